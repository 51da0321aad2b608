-- Whom we win back, after a missed session or a silence: the audience of reactivation-check, and the life of its messages (functions 2.10).
-- Locks: none; functions only.
-- depends: 0037.checkin

set local lock_timeout = '5s';

create function messaging.times_expired(p_purpose text, p_profile_id uuid, p_since timestamptz) returns bigint
language sql stable security definer set search_path = ''
as $$
    select count(*) from messaging.outbox as o
    where o.profile_id = p_profile_id and o.purpose = p_purpose and o.created_at > p_since and o.dispatch_state = 'expired'
$$;
comment on function messaging.times_expired(text, uuid, timestamptz) is
'How many messages of this purpose to this person ran out of time since then. None of them was sent, so none of them may stand in the way of the next.';

create function messaging.people_reactivation_missed() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    -- The latest missed session speaks for the earlier ones: effect_reactivation_missed closes them too.
    return query
    select distinct on (p.id)
        p.id, p.phone, p.name, 'reactivation_missed', n.id::text, messaging.end_of_local_day(v_now),
        jsonb_build_object(
            'kind', 'missed',
            'mark', concat_ws(
                '.', floor(extract(epoch from n.scheduled_at))::bigint,
                nullif(messaging.times_expired('reactivation_missed', p.id, n.scheduled_at), 0)
            ),
            'missed_on', messaging.local_date(n.scheduled_at), 'missed_at', to_char(n.scheduled_at at time zone 'America/Sao_Paulo', 'HH24:MI')
        )
    from public.sessions as n
    inner join public.profiles as p on n.user_id = p.user_id
    where
        p.status in ('active', 'trial')
        and n.status = 'scheduled'
        and n.started_at is null
        and n.scheduled_at < v_now - interval '1 hour'
        -- An adopted project's old ones were missed by nobody who remembers.
        and n.scheduled_at > v_now - interval '7 days'
        and coalesce(p.last_reactivation_sent, '-infinity') <= v_now - interval '24 hours'
        and messaging.may_choose('reactivation_missed', p.id, p.phone, messaging.end_of_local_day(v_now))
    order by p.id, n.scheduled_at desc, n.id;
end
$$;
comment on function messaging.people_reactivation_missed() is
'First part of reactivation-check: a session still scheduled, an hour to seven days late, nobody written to within 24 hours; one a person.';

create function messaging.people_reactivation_silent() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    select
        p.id, p.phone, p.name, 'reactivation', p.id::text, messaging.end_of_local_day(v_now),
        jsonb_build_object(
            'kind', 'silent', 'stage', g.days,
            'mark', concat_ws(
                '.', floor(extract(epoch from messaging.last_wrote_at(p)))::bigint,
                nullif(messaging.times_expired('reactivation', p.id, messaging.last_wrote_at(p)), 0)
            )
        )
    from public.profiles as p
    cross join lateral (
        select case when messaging.last_wrote_at(p) <= v_now - interval '7 days' then 7 else 3 end as days
    ) as g
    where
        p.status = 'active'
        and messaging.last_wrote_at(p) < v_now - interval '3 days'
        -- Once in each stage of a silence (bug 17): nothing went out since the stage began.
        and coalesce(p.last_reactivation_sent, '-infinity') < messaging.last_wrote_at(p) + make_interval(days => g.days)
        and coalesce(p.last_reactivation_sent, '-infinity') <= v_now - interval '24 hours'
        -- The check-in asked just now: not both.
        and coalesce(p.last_checkin_sent_at, '-infinity') <= v_now - interval '3 days'
        and not messaging.has_session_ahead(p.user_id, v_now)
        and messaging.may_choose('reactivation', p.id, p.phone, messaging.end_of_local_day(v_now))
    order by p.id;
end
$$;
comment on function messaging.people_reactivation_silent() is
'Second part of reactivation-check: active, wrote once and not for 3 days, no session ahead; once at 3 to 6 days and once from 7 on.';

create function messaging.people_reactivation() returns setof messaging.due
language sql stable security definer set search_path = ''
as $$
    with missed as materialized (
        select m.* from messaging.people_reactivation_missed() as m
    )

    select m.* from missed as m
    union all
    select s.* from messaging.people_reactivation_silent() as s
    where s.profile_id not in (select m.profile_id from missed as m)
$$;
comment on function messaging.people_reactivation() is 'Audience of reactivation-check: both parts, each person in one of them.';

create function messaging.has_session_ahead(p_user_id uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (
        select from public.sessions as n where n.user_id = p_user_id and n.status = 'scheduled' and n.scheduled_at > p_now
    )
$$;
comment on function messaging.has_session_ahead(uuid, timestamptz) is 'Whether a session of the person lies ahead.';

create function messaging.due_reactivation_missed(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when n.id is null then 'the session is gone'
            when n.status <> 'scheduled' or n.started_at is not null then 'the session was settled'
            when n.scheduled_at > messaging.clock() - interval '1 hour' then 'the session was moved'
            when p.status in ('active', 'trial') is not true then 'the person is no longer with us'
            when p.last_reactivation_sent > messaging.clock() - interval '24 hours' then 'the person was written to already'
        end
    from (select p_subject_id::uuid as id) as s
    left join public.sessions as n on s.id = n.id
    left join public.profiles as p on n.user_id = p.user_id
$$;
comment on function messaging.due_reactivation_missed(text) is 'Still due: null while the session (its id) is missed and not settled.';

create function messaging.due_reactivation(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when p.status = 'active' is not true then 'the person is no longer with us'
            when messaging.last_wrote_at(p) >= messaging.clock() - interval '3 days' then 'the person wrote meanwhile'
            when messaging.has_session_ahead(p.user_id, messaging.clock()) then 'the person has a session ahead'
            when p.last_reactivation_sent > messaging.clock() - interval '24 hours' then 'the person was written to already'
            when p.last_checkin_sent_at > messaging.clock() - interval '3 days' then 'the person was asked already'
        end
    from (select p_subject_id::uuid as id) as s
    left join public.profiles as p on s.id = p.id
$$;
comment on function messaging.due_reactivation(text) is 'Still due: null while the person (profile id) is active, silent and has nothing ahead.';

create function messaging.effect_reactivation(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.profiles as p
    set last_reactivation_sent = greatest(p.last_reactivation_sent, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id
$$;
comment on function messaging.effect_reactivation(bigint) is 'Effect: the person was written to now. No history row, as in the original.';

create function messaging.effect_reactivation_missed(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_reactivation(p_message_id);
    update public.sessions as n
    set status = 'no_show'
    from messaging.outbox as o
    inner join public.sessions as told on told.id = o.subject_id::uuid
    where
        o.id = p_message_id and n.user_id = told.user_id and n.scheduled_at <= told.scheduled_at
        and n.status = 'scheduled' and n.started_at is null
        and n.scheduled_at < messaging.clock() - interval '1 hour';
$$;
comment on function messaging.effect_reactivation_missed(bigint) is
'Effect: the person was written to now; the session and the missed ones before it are no_show. No history row, as in the original.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'times_expired', 'people_reactivation_missed', 'people_reactivation_silent', 'people_reactivation', 'has_session_ahead',
                'due_reactivation_missed', 'due_reactivation', 'effect_reactivation', 'effect_reactivation_missed'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
