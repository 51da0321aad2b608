-- The one door into the outbox, the choice of the number that speaks, and the three purposes of the first handlers.
-- depends: 0012.attempts

set local lock_timeout = '5s';

insert into messaging.purposes (purpose, lane, quiet_hours, expires_after, on_unknown, on_accepted)
values
('answer', 'reply', false, '15 minutes', 'hold', 'effect_history'),
('welcome', 'timed', false, '24 hours', 'hold', 'effect_history'),
('direct', 'timed', false, '6 hours', 'hold', 'effect_history')
on conflict do nothing;

create function messaging.find_profile(p_phone text) returns uuid
language sql stable security definer set search_path = ''
as $$
    -- Where an adopted table holds several rows for one phone: active before trial before the rest, then the newest.
    select p.id from public.profiles as p
    where messaging.phone_key(p.phone) = messaging.phone_key(p_phone) and messaging.phone_key(p.phone) <> ''
    order by
        case p.status when 'active' then 0 when 'trial' then 1 else 2 end,
        p.updated_at desc nulls last,
        p.id
    limit 1
$$;
comment on function messaging.find_profile(text) is
'The profile of a phone in any of its Brazilian forms; null for a stranger.';

create function messaging.profile_of_user(p_user_id uuid) returns uuid
language sql stable security definer set search_path = ''
as $$
    select p.id from public.profiles as p where p.user_id = p_user_id order by p.id limit 1
$$;
comment on function messaging.profile_of_user(uuid) is 'The profile of the app''s user id; null when there is none.';

create function messaging.default_instance() returns uuid
language sql stable security definer set search_path = ''
as $$
    select i.id from public.whatsapp_instances as i where i.is_default
$$;
comment on function messaging.default_instance() is 'The number that serves profiles without one of their own.';

create function messaging.resolve_instance(
    p_profile_id uuid default null, p_phone text default null, p_instance_id uuid default null
) returns uuid
language sql stable security definer set search_path = ''
as $$
    select coalesce(
        p_instance_id,
        (
            select p.whatsapp_instance_id from public.profiles as p
            where p.id = coalesce(p_profile_id, messaging.find_profile(p_phone))
        ),
        messaging.default_instance()
    )
$$;
comment on function messaging.resolve_instance(uuid, text, uuid) is
'Which number speaks: the one named, else the profile''s, else the default. Whatever its health: a number that is down holds its messages.';

create function messaging.enqueue_many(p_messages jsonb)
returns table (message_id bigint, dedupe_key text, instance_id uuid, created boolean, same_request boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_new messaging.outbox[];
    v_ids bigint[];
    v_created bigint[] := '{}';
    v_bad text;
    v_instance uuid;
begin
    perform messaging.require(
        jsonb_typeof(p_messages) = 'array' and jsonb_array_length(p_messages) <= 1000,
        'enqueue takes a list of at most 1,000 messages'
    );

    -- What each message will be, from its own words and its purpose's rules.
    begin
        select array_agg(w.message order by w.ordinality)
        into v_new
        from (
            select
                e.ordinality,
                jsonb_populate_record(null::messaging.outbox, jsonb_build_object(
                    'agency_id', i.agency_id,
                    'dedupe_key', e.value ->> 'dedupe_key',
                    'request_hash', sha256(convert_to(concat_ws(
                        chr(31), e.value ->> 'purpose', messaging.phone_key(e.value ->> 'phone'), e.value ->> 'content',
                        e.value ->> 'subject_id', e.value ->> 'instance_id'
                    ), 'UTF8')),
                    'instance_id', i.id,
                    'purpose', r.purpose,
                    'lane', r.lane,
                    'profile_id', e.value ->> 'profile_id',
                    'phone', e.value ->> 'phone',
                    'phone_key', messaging.phone_key(e.value ->> 'phone'),
                    'content', e.value -> 'content',
                    'subject_id', e.value ->> 'subject_id',
                    'not_before', coalesce((e.value ->> 'not_before')::timestamptz, v_now),
                    'expires_at', coalesce(
                        (e.value ->> 'expires_at')::timestamptz,
                        greatest((e.value ->> 'not_before')::timestamptz, v_now) + r.expires_after
                    ),
                    'time_zone', coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo'),
                    'on_unknown', coalesce(e.value ->> 'on_unknown', r.on_unknown),
                    'enqueued_by', e.value ->> 'enqueued_by',
                    'run_id', e.value ->> 'run_id'
                )) as message
            from jsonb_array_elements(p_messages) with ordinality as e
            left join messaging.purposes as r on r.purpose = e.value ->> 'purpose'
            left join public.whatsapp_instances as i on i.id = messaging.resolve_instance(
                (e.value ->> 'profile_id')::uuid, e.value ->> 'phone', (e.value ->> 'instance_id')::uuid
            )
        ) as w;
    exception
        when data_exception then
            perform messaging.require(false, 'an id or a time of a message has the wrong form');
    end;

    select
        case
            when n.purpose is null then 'a message needs a known purpose'
            when coalesce(n.dedupe_key, '') = '' then 'a message needs a dedupe_key'
            when coalesce(n.phone_key, '') !~ '^[0-9]{8,15}$' then 'a message needs a phone of 8 to 15 digits'
            when n.instance_id is null then 'there is no number to send from: name one, or set a default number'
            when n.lane = 'reply' and (m.value ->> 'instance_id') is null
                then 'an answer leaves from the number that was written to: name it'
            when coalesce(n.enqueued_by, '') = '' then 'a message says who enqueued it'
            when coalesce(n.content ->> 'kind', '') not in ('text', 'audio', 'image', 'document')
                then 'content.kind is text, audio, image or document'
            when jsonb_typeof(coalesce(n.content -> 'text', '""'::jsonb)) <> 'string'
                or jsonb_typeof(coalesce(n.content -> 'media_url', '""'::jsonb)) <> 'string'
                then 'content.text and content.media_url are strings'
            when n.content ->> 'kind' = 'text' and coalesce(n.content ->> 'text', '') = ''
                then 'a text message needs content.text'
            when n.content ->> 'kind' <> 'text' and coalesce(n.content ->> 'media_url', '') = ''
                then 'this kind of message needs content.media_url'
            when n.expires_at <= v_now then 'expires_at lies in the past'
            when n.expires_at <= n.not_before then 'expires_at lies before not_before'
            when n.on_unknown not in ('hold', 'resend_once', 'drop') then 'on_unknown is hold, resend_once or drop'
            when not exists (select from pg_catalog.pg_timezone_names as z where z.name = n.time_zone)
                then 'this time zone is not known'
        end
    into v_bad
    from unnest(v_new) with ordinality as n
    inner join jsonb_array_elements(p_messages) with ordinality as m on m.ordinality = n.ordinality
    where
        n.purpose is null or coalesce(n.dedupe_key, '') = '' or coalesce(n.phone_key, '') !~ '^[0-9]{8,15}$'
        or n.instance_id is null or (n.lane = 'reply' and (m.value ->> 'instance_id') is null)
        or coalesce(n.enqueued_by, '') = ''
        or coalesce(n.content ->> 'kind', '') not in ('text', 'audio', 'image', 'document')
        or jsonb_typeof(coalesce(n.content -> 'text', '""'::jsonb)) <> 'string'
        or jsonb_typeof(coalesce(n.content -> 'media_url', '""'::jsonb)) <> 'string'
        or (n.content ->> 'kind' = 'text' and coalesce(n.content ->> 'text', '') = '')
        or (n.content ->> 'kind' <> 'text' and coalesce(n.content ->> 'media_url', '') = '')
        or n.expires_at <= v_now or n.expires_at <= n.not_before
        or n.on_unknown not in ('hold', 'resend_once', 'drop')
        or (
            n.time_zone <> 'America/Sao_Paulo'
            and not exists (select from pg_catalog.pg_timezone_names as z where z.name = n.time_zone)
        )
    limit 1;
    perform messaging.require(v_bad is null, v_bad);

    perform from messaging.senders as s
    where s.instance_id in (select n.instance_id from unnest(v_new) as n)
    order by s.instance_id
    for no key update;

    -- Drawn here, in the order of the list: it is the order within a lane.
    v_ids := array(
        select nextval(pg_get_serial_sequence('messaging.outbox', 'id')) from generate_series(1, cardinality(v_new))
    );
    -- Inserted in the order of their keys: two lists that share keys wait for each other in one direction only.
    with inserted as (
        insert into messaging.outbox as o (
            id, agency_id, dedupe_key, request_hash, instance_id, purpose, lane, profile_id, phone, phone_key, content,
            subject_id, not_before, expires_at, time_zone, on_unknown, enqueued_by, run_id, dispatch_state,
            changed_by, created_at, changed_at
        )
        overriding system value
        select
            v_ids[n.ordinality], n.agency_id, n.dedupe_key, n.request_hash, n.instance_id, n.purpose, n.lane, n.profile_id, n.phone,
            n.phone_key, n.content, n.subject_id, n.not_before, n.expires_at, n.time_zone, n.on_unknown,
            n.enqueued_by, n.run_id, 'queued', n.enqueued_by, v_now, v_now
        from unnest(v_new) with ordinality as n
        order by n.dedupe_key, n.ordinality
        on conflict do nothing
        returning o.id
    )

    select coalesce(array_agg(i.id), '{}') into v_created from inserted as i;

    for v_instance in
        select distinct n.instance_id from unnest(v_new) as n order by n.instance_id
    loop
        perform messaging.wake(v_instance);
    end loop;

    -- A new statement: whoever took a key meanwhile has committed. The earlier message stands, whatever it says.
    return query
    select
        o.id, o.dedupe_key, o.instance_id,
        o.id = any(v_created)
        and n.ordinality = min(n.ordinality) over (partition by o.id),
        o.request_hash = n.request_hash
    from unnest(v_new) with ordinality as n
    inner join messaging.outbox as o
        on n.dedupe_key = o.dedupe_key and n.agency_id is not distinct from o.agency_id
    order by n.ordinality;
end
$$;
comment on function messaging.enqueue_many(jsonb) is
'nothing -> queued for up to 1,000 messages, answered in their order. A dedupe_key that exists gives the earlier message; same_request: whether
it asked the same.';

create function messaging.enqueue(p_message jsonb)
returns table (message_id bigint, dedupe_key text, instance_id uuid, created boolean, same_request boolean)
language sql volatile security definer set search_path = ''
as $$
    select e.* from messaging.enqueue_many(jsonb_build_array(p_message)) as e
$$;
comment on function messaging.enqueue(jsonb) is
'nothing -> queued for one: purpose, phone, content, dedupe_key, enqueued_by; optional: profile_id, instance_id, subject_id, run_id, on_unknown,
not_before, expires_at, time_zone.';

create function messaging.sign_up(
    p_name text, p_phone text, p_email text, p_welcome_text text, p_enqueued_by text,
    p_strategy text default 'random', p_run_id text default null
)
returns table (profile_id uuid, already_exists boolean, instance_id uuid, no_room boolean, message_id bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
    perform messaging.require(coalesce(btrim(p_name), '') <> '', 'a sign-up needs a name');
    perform messaging.require(messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$', 'a sign-up needs a phone');
    -- Both forms of one phone wait for each other here, also where an adopted table could have no unique index.
    perform pg_advisory_xact_lock(hashtextextended('roleta.sign_up.' || messaging.phone_key(p_phone), 0));

    profile_id := messaging.find_profile(p_phone);
    already_exists := profile_id is not null;
    if not already_exists then
        insert into public.profiles (
            user_id, name, phone, email, plan, status, trial_started_at, trial_conversations_count
        )
        values (gen_random_uuid(), p_name, p_phone, p_email, null, 'trial', messaging.clock(), 0)
        on conflict do nothing
        returning id into profile_id;
        -- The app itself may have inserted this phone meanwhile, past our lock.
        if profile_id is null then
            profile_id := messaging.find_profile(p_phone);
            already_exists := true;
            if profile_id is null then
                raise exception using
                    errcode = 'WP004', message = 'another profile already has something of this sign-up, such as its e-mail';
            end if;
        end if;
    end if;

    -- Also for somebody known who never got a number: there may be room now.
    instance_id := public.allocate_whatsapp_instance(profile_id, p_strategy);
    no_room := instance_id is null;
    if already_exists then
        return next;
        return;
    end if;

    -- No room: the default number speaks. Not even that: the profile stands, and the answer says so.
    if coalesce(instance_id, messaging.default_instance()) is not null then
        select e.message_id into message_id
        from messaging.enqueue(jsonb_build_object(
            'purpose', 'welcome', 'phone', p_phone, 'profile_id', profile_id,
            'content', jsonb_build_object('kind', 'text', 'text', p_welcome_text),
            'dedupe_key', 'welcome:' || profile_id, 'enqueued_by', p_enqueued_by, 'run_id', p_run_id
        )) as e;
    end if;
    return next;
end
$$;
comment on function messaging.sign_up(text, text, text, text, text, text, text) is
'Profile, seat and welcome in one transaction; one profile per phone in any form. no_room: all numbers are full, the default one serves.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'find_profile', 'profile_of_user', 'default_instance', 'resolve_instance', 'enqueue_many', 'enqueue', 'sign_up'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated', v_function);
        execute format('grant execute on function %s to service_role', v_function);
    end loop;
end
$$;
