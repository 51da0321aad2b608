-- A run for ten thousand people: what each message costs is asked once, and the end of the run is told without reading every queue.
-- Locks: none; a type and functions only.
-- depends: 0075.uncertain_sends

set local lock_timeout = '5s';

create type messaging.new_message as (
    agency_id uuid,
    dedupe_key text,
    request_hash bytea,
    instance_id uuid,
    purpose text,
    lane text,
    profile_id uuid,
    phone text,
    phone_key text,
    content jsonb,
    subject_id text,
    not_before timestamptz,
    expires_at timestamptz,
    time_zone text,
    on_unknown text,
    enqueued_by text,
    run_id text,
    facts jsonb,
    compose text
);
comment on type messaging.new_message is 'What enqueue_many knows of a message before it is a row of the outbox.';

select roleta_migrations.remember_function('0076.bulk', 'messaging.enqueue_many(jsonb)');
create or replace function messaging.enqueue_many(p_messages jsonb)
returns table (message_id bigint, dedupe_key text, instance_id uuid, created boolean, same_request boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_new messaging.new_message[];
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
        select array_agg(
            (
                i.agency_id, e.value ->> 'dedupe_key',
                sha256(convert_to(concat_ws(
                    chr(31), e.value ->> 'purpose', d.phone_key, e.value ->> 'content',
                    e.value ->> 'subject_id', e.value ->> 'instance_id', e.value ->> 'compose'
                ), 'UTF8')),
                i.id, r.purpose, r.lane, (e.value ->> 'profile_id')::uuid, e.value ->> 'phone', d.phone_key,
                e.value -> 'content', e.value ->> 'subject_id', d.not_before,
                coalesce(
                    -- Whose time ran out on the way here expires by itself: one late person must not refuse a whole list.
                    case when d.expires_at between v_now - interval '1 minute' and v_now then v_now + interval '1 millisecond' end,
                    d.expires_at,
                    greatest(d.not_before, v_now) + r.expires_after
                ),
                coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo'), coalesce(e.value ->> 'on_unknown', r.on_unknown),
                e.value ->> 'enqueued_by', e.value ->> 'run_id', coalesce(e.value -> 'facts', '{}'), e.value ->> 'compose'
            )::messaging.new_message
            order by e.ordinality
        )
        into v_new
        from jsonb_array_elements(p_messages) with ordinality as e
        left join messaging.purposes as r on r.purpose = e.value ->> 'purpose'
        -- Asked once for each message: in the condition of a join both of its sides would ask.
        cross join lateral (
            select
                messaging.phone_key(e.value ->> 'phone') as phone_key,
                messaging.resolve_instance(
                    (e.value ->> 'profile_id')::uuid, e.value ->> 'phone', (e.value ->> 'instance_id')::uuid
                ) as instance_id,
                coalesce((e.value ->> 'not_before')::timestamptz, v_now) as not_before,
                (e.value ->> 'expires_at')::timestamptz as expires_at
            offset 0
        ) as d
        left join public.whatsapp_instances as i on i.id = d.instance_id;
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

select roleta_migrations.remember_function('0076.bulk', 'messaging.forecast(bigint)');
create or replace function messaging.forecast(p_message_id bigint) returns timestamptz
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_sender messaging.senders;
    v_slot timestamptz;
    v_gap double precision;
    v_from timestamptz;
    v_needs interval;
    v_is_ramping boolean;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.dispatch_state in ('leased', 'sending') then
        return messaging.clock();
    elsif v_message.dispatch_state is null or v_message.dispatch_state not in ('draft', 'queued') or not messaging.can_send(v_message.instance_id)
        or (select c.paused_at is not null from messaging.control as c)
    then
        return null;
    end if;
    select s.* into v_sender from messaging.senders as s where s.instance_id = v_message.instance_id;
    if v_message.lane = 'reply' then
        if messaging.ramp_left(v_sender, messaging.clock()) = 0 then
            return greatest(v_message.not_before, messaging.clock());
        end if;
        return greatest(v_message.not_before, v_sender.reply_after, messaging.clock()) + (
            select make_interval(secs => (count(*) * v_sender.reply_gap_s)::double precision)
            from messaging.outbox as o
            where
                o.instance_id = v_message.instance_id and o.lane = 'reply' and o.dispatch_state = 'queued'
                and (o.not_before, o.id) < (v_message.not_before, v_message.id)
        );
    end if;

    v_slot := greatest(v_sender.next_send_at, messaging.clock());
    v_gap := messaging.mean_gap_s(v_message.instance_id);
    v_is_ramping := messaging.ramp_left(v_sender, v_slot) > 0;

    -- Of all that goes before it, and itself: whoever starts last, with a gap for each one behind it.
    -- Materialized: the conditions of "before it", pushed into the indexes, would read the queues of all numbers.
    with queue as materialized (
        select o.id, o.lane, o.not_before
        from messaging.outbox as o
        where o.instance_id = v_message.instance_id and o.dispatch_state = 'queued'
        union all
        -- Drafts are composed before their turn comes, so they stand in the queue already.
        select o.id, o.lane, o.not_before
        from messaging.outbox as o
        where o.instance_id = v_message.instance_id and o.dispatch_state = 'draft'
    )

    select
        b.starts_at,
        make_interval(secs => b.needs_s)
    into v_from, v_needs
    from (
        select
            a.starts_at,
            v_gap * a.behind
            + case when v_is_ramping then messaging.ramp_extra_s(v_sender, a.behind, a.starts_at) else 0 end as needs_s
        from (
            select
                greatest(q.not_before, v_slot) as starts_at,
                count(*) over () - row_number() over (order by q.not_before, q.id = v_message.id, q.id) as behind
            from queue as q
            where
                q.id = v_message.id
                or (
                    q.lane = 'timed' and v_message.lane = 'bulk'
                    and q.not_before <= greatest(v_message.not_before, v_slot)
                )
                or (q.lane = v_message.lane and (q.not_before, q.id) < (v_message.not_before, v_message.id))
        ) as a
    ) as b
    order by b.starts_at + make_interval(secs => b.needs_s) desc
    limit 1;

    if (select p.quiet_hours from messaging.purposes as p where p.purpose = v_message.purpose) then
        return messaging.by_day(v_from, v_needs, v_message.time_zone);
    end if;
    return v_from + v_needs;
end
$$;
comment on function messaging.forecast(bigint) is
'When a queued message or a draft should leave: the slot, what goes before it and when that may, a mean gap for each, wider after a return, and
its nights. Null when only a person or the provider can say.';
