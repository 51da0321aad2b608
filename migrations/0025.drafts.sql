-- Drafts: messages whose text takes seconds (a paragraph of the agent's) are enqueued before it is written; and what effects need to know (facts).
-- Locks: ACCESS EXCLUSIVE on messaging.outbox for the time of adding columns (constant defaults, no rewrite); SHARE while two partial indexes
-- of no rows are built.
-- depends: 0024.audiences

set local lock_timeout = '5s';

alter table messaging.outbox
add column facts jsonb not null default '{}',
add column compose text,
add column compose_token uuid,
add column compose_until timestamptz,
add column compose_count integer not null default 0;
comment on column messaging.outbox.facts is 'What the effects of its purpose write into the app: never sent, never a credential.';
comment on column messaging.outbox.compose is 'What composes its text. Until then the content is the fixed text, which stands where composing fails.';
comment on column messaging.outbox.compose_token is 'The worker''s right to finish this draft; null: nobody composes it.';
comment on column messaging.outbox.compose_until is 'When another worker may take this draft.';
comment on column messaging.outbox.compose_count is 'How often it was taken to be composed: after three lost workers the fixed text goes.';
create index outbox_drafts on messaging.outbox (not_before, id) where dispatch_state = 'draft';
create index outbox_drafts_of_instance on messaging.outbox (instance_id, lane, not_before, id) where dispatch_state = 'draft';

select roleta_migrations.remember_function('0025.drafts', 'messaging.enqueue_many(jsonb)');
create or replace function messaging.enqueue_many(p_messages jsonb)
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
                        e.value ->> 'subject_id', e.value ->> 'instance_id', e.value ->> 'compose'
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
                        -- Whose time ran out on the way here expires by itself: one late person must not refuse a whole list.
                        case
                            when (e.value ->> 'expires_at')::timestamptz between v_now - interval '1 minute' and v_now
                                then v_now + interval '1 millisecond'
                        end,
                        (e.value ->> 'expires_at')::timestamptz,
                        greatest((e.value ->> 'not_before')::timestamptz, v_now) + r.expires_after
                    ),
                    'time_zone', coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo'),
                    'on_unknown', coalesce(e.value ->> 'on_unknown', r.on_unknown),
                    'enqueued_by', e.value ->> 'enqueued_by',
                    'run_id', e.value ->> 'run_id',
                    'facts', coalesce(e.value -> 'facts', '{}'),
                    'compose', e.value ->> 'compose'
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
            when jsonb_typeof(n.facts) <> 'object' then 'facts is an object'
            when n.compose !~ '^[a-z_]{1,50}$' then 'compose is the name of what composes it'
            when n.compose is not null and n.content ->> 'kind' <> 'text' then 'only a text is composed'
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
        or jsonb_typeof(n.facts) <> 'object' or n.compose !~ '^[a-z_]{1,50}$'
        or (n.compose is not null and n.content ->> 'kind' <> 'text')
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
            subject_id, not_before, expires_at, time_zone, on_unknown, enqueued_by, run_id, facts, compose,
            dispatch_state, changed_by, created_at, changed_at
        )
        overriding system value
        select
            v_ids[n.ordinality], n.agency_id, n.dedupe_key, n.request_hash, n.instance_id, n.purpose, n.lane, n.profile_id, n.phone,
            n.phone_key, n.content, n.subject_id, n.not_before, n.expires_at, n.time_zone, n.on_unknown,
            n.enqueued_by, n.run_id, n.facts, n.compose,
            case when n.compose is null then 'queued' else 'draft' end, n.enqueued_by, v_now, v_now
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
    -- Two probes of the unique index: "is not distinct from" would walk the whole of it, for each message.
    cross join lateral (
        select x.* from messaging.outbox as x
        where x.agency_id is null and n.agency_id is null and x.dedupe_key = n.dedupe_key
        union all
        select x.* from messaging.outbox as x
        where x.agency_id = n.agency_id and x.dedupe_key = n.dedupe_key
    ) as o
    order by n.ordinality;
end
$$;
comment on function messaging.enqueue_many(jsonb) is
'nothing -> queued (draft where a text is to be composed) for up to 1,000 messages, answered in their order. A dedupe_key that exists
gives the earlier message; same_request: whether it asked the same.';
