-- Who is due a weekly report, with the figures of the week, and what its acceptance writes (functions 2.5). Texts are Python's.
-- Locks: none; functions only.
-- depends: 0039.conversation_followup

set local lock_timeout = '5s';

create function messaging.people_weekly_report() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    -- The week from Monday that is (nearly) over: from Thursday on this one, until Wednesday the one before. So a late run, or a
    -- second one, tells of the same week under the same key.
    v_week date := date_trunc('week', (v_now at time zone 'America/Sao_Paulo') - interval '3 days')::date;
    v_from timestamptz := v_week::timestamp at time zone 'America/Sao_Paulo';
    v_to timestamptz := (v_week + 7)::timestamp at time zone 'America/Sao_Paulo';
begin
    return query
    with written as (
        select
            m.user_id,
            count(*) as total,
            count(*) filter (where m.created_at >= v_from and m.created_at < v_to) as week
        from public.messages as m
        group by m.user_id
    ), held as (
        select
            s.user_id,
            count(*) as total,
            sum(
                case
                    when s.ended_at >= v_from and s.ended_at < v_to and jsonb_typeof(to_jsonb(s.key_insights)) = 'array'
                        then jsonb_array_length(to_jsonb(s.key_insights))
                    else 0
                end
            ) as insights
        from public.sessions as s
        where s.status = 'completed'
        group by s.user_id
    )

    select
        p.id, p.phone::text, p.name::text, 'weekly_report', p.id::text, null::timestamptz,
        jsonb_build_object(
            'week_start', v_week, 'since', v_from,
            'messages_total', coalesce(w.total, 0), 'messages_week', coalesce(w.week, 0),
            'insights', coalesce(h.insights, 0), 'sessions_completed', coalesce(h.total, 0),
            'journey_title', j.title, 'episode', coalesce(p.current_episode, 0), 'episodes', coalesce(j.total_episodes, 8),
            'percent', least(round(100.0 * coalesce(p.current_episode, 0) / greatest(coalesce(j.total_episodes, 8), 1)), 100),
            'journeys_completed', coalesce(p.journeys_completed, 0)
        )
    from public.profiles as p
    left join written as w on p.user_id = w.user_id
    left join held as h on p.user_id = h.user_id
    left join public.content_journeys as j on p.current_journey_id = j.id
    where
        p.status = 'active'
        and not exists (select from public.sessions as s where s.user_id = p.user_id and s.status = 'in_progress')
        and coalesce(messaging.last_wrote_at(p) <= v_now - interval '10 minutes', true)
        and messaging.may_choose('weekly_report', p.id, p.phone)
    order by p.id;
end
$$;
comment on function messaging.people_weekly_report() is
'Audience: active people who are not talking to us right now, with the figures of the local week from Monday (functions 2.5).';

create function messaging.due_weekly_report(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (select from public.profiles as p where p.id = p_subject_id::uuid and p.status = 'active')
            then 'the profile is no longer active'
    end
$$;
comment on function messaging.due_weekly_report(text) is 'Still due while the profile (the subject) is active.';

create function messaging.effect_weekly_report(p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_user uuid;
    v_week date;
    v_paragraph text;
begin
    perform messaging.effect_history(p_message_id);
    select p.user_id, (o.facts ->> 'week_start')::date, o.facts ->> 'paragraph'
    into v_user, v_week, v_paragraph
    from messaging.outbox as o
    inner join public.profiles as p on o.profile_id = p.id
    where o.id = p_message_id;
    if v_user is null then
        return;
    end if;
    -- Not by "on conflict": an adopted table has no unique constraint on the pair (bug 12).
    update public.weekly_plans as w
    set reflections = coalesce(v_paragraph, w.reflections)
    where w.user_id = v_user and w.week_start = v_week;
    if not found then
        insert into public.weekly_plans (user_id, week_start, reflections) values (v_user, v_week, v_paragraph);
    end if;
end
$$;
comment on function messaging.effect_weekly_report(bigint) is
'Effect: the report stands in the history, and the week of the person in weekly_plans, with the paragraph where one was composed.';

revoke execute on function messaging.people_weekly_report() from public, anon, authenticated, service_role;
revoke execute on function messaging.due_weekly_report(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.effect_weekly_report(bigint) from public, anon, authenticated, service_role;
