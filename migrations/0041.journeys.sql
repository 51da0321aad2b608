-- Who is due the next episode of a journey, or a word at its end, and how an accepted one moves the person on (functions 2.6). Texts are Python's.
-- Locks: none; functions only.
-- depends: 0040.reports

set local lock_timeout = '5s';

create function messaging.people_content() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    select
        p.id, p.phone::text, p.name::text, k.purpose, concat_ws(':', p.id, k.episode, j.id), null::timestamptz,
        jsonb_build_object(
            'journey_id', j.id, 'journey_title', j.title, 'episode', k.episode, 'episodes', k.episodes,
            'local_date', messaging.local_date(v_now)
        ) || case k.purpose
            when 'content' then jsonb_build_object(
                'episode_title', e.title, 'stage_title', e.stage_title, 'essay', e.essay, 'hook', e.hook_to_next,
                'first', k.episode = 1, 'last', k.episode >= k.episodes
            )
            else jsonb_build_object(
                'next_journey_id', j.next_journey_id,
                'next_journey_title', (select n.title from public.content_journeys as n where n.id = j.next_journey_id limit 1),
                'other_journeys', (
                    select coalesce(jsonb_agg(a.title order by a.title, a.id), '[]')
                    from public.content_journeys as a
                    where a.is_active and a.id <> j.id
                )
            )
        end
    from public.profiles as p
    inner join public.content_journeys as j on p.current_journey_id = j.id
    left join lateral (
        select x.* from public.journey_episodes as x
        where x.journey_id = j.id and x.episode_number = coalesce(p.current_episode, 0) + 1
        order by x.id
        limit 1
    ) as e on true
    cross join lateral (
        select
            coalesce(p.current_episode, 0) + 1 as episode,
            -- What is written counts, also beyond what the journey says of itself.
            (
                select greatest(coalesce(j.total_episodes, 8), max(x.episode_number)) from public.journey_episodes as x
                where x.journey_id = j.id
            ) as episodes,
            case when e.id is null then 'content_completed' else 'content' end as purpose
    ) as k
    where
        p.status in ('active', 'trial')
        and coalesce(p.last_content_sent_at < v_now - interval '60 hours', true)
        -- A hole in the journey is no end of it: that person waits until the episode is written.
        and (e.id is not null or k.episode > k.episodes)
        and messaging.may_choose(k.purpose, p.id, p.phone)
    order by p.id;
end
$$;
comment on function messaging.people_content() is
'Audience: people on a journey whose last content is over 2.5 days old, with the next episode, or with the journey''s end (functions 2.6).';

create function messaging.due_content(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    -- The subject is profile:episode:journey. A journey's id may hold a colon, so it is the rest.
    select case
        when not exists (
            select from public.profiles as p
            where
                p.status in ('active', 'trial')
                and concat_ws(':', p.id, coalesce(p.current_episode, 0) + 1, p.current_journey_id) = p_subject_id
                and p.id = split_part(p_subject_id, ':', 1)::uuid
        ) then 'the person is no longer at this episode of this journey'
    end
$$;
comment on function messaging.due_content(text) is
'Still due while the person has a running profile and stands right before this episode of this journey.';

create function messaging.due_content_completed(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.due_content(p_subject_id)
$$;
comment on function messaging.due_content_completed(text) is 'As due_content: the person stands right behind the last episode.';

create function messaging.effect_content(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_history(p_message_id);
    -- Whoever left the journey while the message was under way keeps the new place.
    update public.profiles as p
    set
        current_episode = case
            when p.current_journey_id = o.facts ->> 'journey_id'
                then greatest(p.current_episode, (o.facts ->> 'episode')::integer)
            else p.current_episode
        end,
        last_content_sent_at = greatest(p.last_content_sent_at, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id;
$$;
comment on function messaging.effect_content(bigint) is 'Effect: the person stands at this episode, had content now, and the text is in the history.';

create function messaging.effect_content_completed(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_history(p_message_id);
    update public.profiles as p
    set
        current_journey_id = o.facts ->> 'next_journey_id', current_episode = 0,
        journeys_completed = coalesce(p.journeys_completed, 0) + 1
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id and messaging.due_content(o.subject_id) is null;
    update public.profiles as p
    set last_content_sent_at = greatest(p.last_content_sent_at, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id;
$$;
comment on function messaging.effect_content_completed(bigint) is
'Effect: the next journey from its beginning, one more completed, content now, history. Only an accepted message moves anybody (bug 13).';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'people_content', 'due_content', 'due_content_completed', 'effect_content', 'effect_content_completed'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
