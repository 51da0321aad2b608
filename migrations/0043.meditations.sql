-- Which meditation a person gets, that it was given, and the link that goes in place of a refused audio.
-- Locks: none; functions only.
-- depends: 0042.calendar

set local lock_timeout = '5s';

create function messaging.meditation_recipient(p_user_id uuid, p_phone text) returns table (profile_id uuid, phone text, name text)
language sql stable security definer set search_path = ''
as $$
    select p.id, coalesce(p_phone, p.phone::text), p.name::text
    from public.profiles as p
    where p.id = coalesce(messaging.profile_of_user(p_user_id), messaging.find_profile(p_phone))
$$;
comment on function messaging.meditation_recipient(uuid, text) is
'The person of an app''s user id, else of a phone, and where to write to: the phone given wins. No row: nobody we know.';

create function messaging.choose_meditation(p_key text, p_meditation_id text, p_category text, p_profile_id uuid)
returns table (meditation_id text, title text, duration_seconds integer, audio_url text)
language sql stable security definer set search_path = ''
as $$
    select m.id, m.title::text, coalesce(a.duration_seconds, m.duration_seconds), a.public_url
    from public.meditations as m
    left join lateral (
        select x.public_url::text as public_url, x.duration_seconds from public.meditation_audios as x
        where x.meditation_id = m.id and x.public_url ~* '^https?://'
        order by x.created_at desc, x.id
        limit 1
    ) as a on true
    where m.id = p_meditation_id or (p_meditation_id is null and m.category::text = p_category and m.is_active)
    order by
        -- Asked again under the same key: what was chosen then.
        m.id in (
            select o.facts ->> 'meditation_id' from messaging.outbox as o
            where o.agency_id is null and o.dedupe_key in ('meditation:' || p_key, 'meditation_apology:' || p_key)
        ) desc,
        a.public_url is not null desc,
        exists (
            select from public.user_meditation_history as h
            inner join public.profiles as p on h.user_id = p.user_id
            where p.id = p_profile_id and h.meditation_id = m.id and h.sent_at > messaging.clock() - interval '30 days'
        ),
        -- A draw of the key's: two callers with one key draw the same.
        md5(concat_ws(':', p_key, m.id))
    limit 1
$$;
comment on function messaging.choose_meditation(text, text, text, uuid) is
'The meditation named, else one of the category drawn by the key: first among those with an audio that the person did not get within 30 days.
audio_url null: it has none. No row: there is no such meditation.';

create function messaging.effect_meditation(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_history(p_message_id);
    insert into public.user_meditation_history (user_id, meditation_id, sent_at, context)
    select p.user_id, o.facts ->> 'meditation_id', messaging.sent_at(o.id), o.facts ->> 'context'
    from messaging.outbox as o
    inner join public.profiles as p on o.profile_id = p.id
    where o.id = p_message_id
$$;
comment on function messaging.effect_meditation(bigint) is
'Effect: the person had this meditation, as audio or, after a refusal, as a link. Nothing stands there that nobody accepted (bug 20).';

create function messaging.fallback_meditation(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.enqueue(jsonb_build_object(
        'purpose', o.purpose, 'phone', o.phone, 'profile_id', o.profile_id, 'instance_id', o.instance_id,
        'content', jsonb_build_object('kind', 'text', 'text', o.facts ->> 'link_text'), 'facts', o.facts,
        'dedupe_key', 'meditation_link:' || o.id, 'enqueued_by', o.enqueued_by, 'run_id', o.run_id, 'time_zone', o.time_zone
    ))
    from messaging.outbox as o
    where o.id = p_message_id and o.content ->> 'kind' = 'audio' and o.facts ? 'link_text'
$$;
comment on function messaging.fallback_meditation(bigint) is
'on_rejected: a refused audio goes as a text with its link, on the same number, in the same transaction.';

revoke execute on function messaging.meditation_recipient(uuid, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.choose_meditation(text, text, text, uuid) from public, anon, authenticated, service_role;
revoke execute on function messaging.effect_meditation(bigint) from public, anon, authenticated, service_role;
revoke execute on function messaging.fallback_meditation(bigint) from public, anon, authenticated, service_role;
grant execute on function messaging.meditation_recipient(uuid, text) to service_role;
grant execute on function messaging.choose_meditation(text, text, text, uuid) to service_role;
