-- Two kinds of rows get their place in the order of locks. Who is behind a LID is noted before any sender is locked: receipts held their sender and then
-- wanted the LID's row, a stop the other way round, and one of two events of a person was rolled back. Several sightings of a number are
-- written by whoever holds its sender: two looks into one provider's queue each removed what the other noted.
-- Locks: none; functions only.
-- depends: 0085.cancel_aims

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0086.lock_order', 'messaging.note_lid(uuid,text,text)');
create function messaging.note_lid(p_agency_id uuid, p_lid text, p_phone text) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into messaging.person_lids as l (agency_id, lid, phone, phone_key, seen_at)
    select p_agency_id, p_lid, p_phone, messaging.phone_key(p_phone), messaging.clock()
    where
        p_lid is not null and messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$' and p_phone not like '%@lid'
        -- Not a lock per message: a day is near enough for when it was last seen.
        and not exists (
            select from messaging.person_lids as k
            where
                k.lid = p_lid and k.agency_id is not distinct from p_agency_id and k.phone = p_phone
                and k.seen_at >= messaging.clock() - interval '1 day'
        )
    on conflict (lid, agency_id) do update
    set phone = excluded.phone, phone_key = excluded.phone_key, seen_at = excluded.seen_at
$$;
comment on function messaging.note_lid(uuid, text, text) is
'Learns which phone is behind a LID, once a day while it stays the same. Its row comes before turns, numbers and senders in the order of locks.';
revoke execute on function messaging.note_lid(uuid, text, text) from public, anon, authenticated, service_role;

select roleta_migrations.remember_function('0086.lock_order', f.name)
from (
    values
    ('messaging.note_traces(bigint[],text,jsonb)'),
    ('messaging.tell_unknowns(integer)'),
    (
        'messaging.accept_event(uuid,text,text,jsonb,text,text,text,timestamptz,text,text,text[],text,text,double precision,text,text,'
        || 'double precision,text,text,text)'
    ),
    ('messaging.accept_agency_event(uuid,text,text,jsonb,text,text,text,timestamptz,boolean,text,text,text[],text,text,text)'),
    ('messaging.erase_messages(text,text,text)')
) as f (name);

create or replace function messaging.accept_event(
    p_instance_id uuid, p_event_key text, p_kind text, p_payload jsonb,
    p_phone text default null, p_text text default null, p_message_kind text default null,
    p_happened_at timestamptz default null, p_ignored_reason text default null,
    p_receipt text default null, p_receipt_ids text[] default '{}',
    p_error text default null, p_error_class text default null, p_debounce_s double precision default 2,
    p_lid text default null, p_command text default null, p_takeover_s double precision default null, p_media_url text default null,
    p_sent_by text default null, p_queue_id text default null
)
returns table (event_id bigint, is_new boolean, ignored_reason text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_agency uuid;
    v_phone text := p_phone;
    v_key text;
    v_person text;
    v_profile uuid;
    v_command text;
    v_looked_up boolean := true;
    -- A picture without words asks for no answer, and still the person has written.
    v_shown boolean := p_kind = 'message' and p_ignored_reason = 'missing_data'
    and p_message_kind in ('image', 'video', 'document', 'sticker', 'location', 'contact');
    v_event messaging.inbound_events;
    v_id text;
begin
    select i.agency_id into v_agency from public.whatsapp_instances as i where i.id = p_instance_id;
    ignored_reason := p_ignored_reason;

    if p_kind = 'message' and (p_ignored_reason is null or p_takeover_s is not null or v_shown) then
        if p_phone like '%@lid' then
            select l.phone into v_phone
            from messaging.person_lids as l
            where l.lid = p_phone and l.agency_id is not distinct from v_agency;
        end if;
        -- A LID that is not known is no phone, although it has digits.
        v_key := substring(messaging.phone_key(v_phone) from '^[0-9]{8,15}$');
        v_person := coalesce(v_agency::text, 'house') || ':' || v_key;
        v_phone := coalesce(v_phone, p_phone);
        -- One event of a person at a time. One that meets the end of the person's turn waits for the turn's row.
        perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || v_person, 0));
    end if;
    v_now := messaging.clock();

    if v_key is not null and (p_ignored_reason is null or v_shown) then
        begin
            v_profile := messaging.find_profile(v_phone);
        exception
            -- The app's trouble must not lose the event (functions 2.2, step 5).
            when others then
                v_looked_up := false;
                raise warning 'whose message this is could not be looked up (%)', sqlstate;
        end;
    end if;
    if p_kind = 'message' and p_ignored_reason is null then
        v_command := case
            when p_command = 'stop' then 'stop'
            -- A start word of somebody who never said stop is a word.
            when p_command = 'start' and exists (
                select from messaging.opt_outs as x
                where x.phone_key = v_key and x.agency_id is not distinct from v_agency and x.opted_in_at is null
            ) then 'start'
        end;
        ignored_reason := case
            when not v_looked_up then 'profile_lookup_error'
            when v_profile is null then 'user_not_found'
            when v_command = 'stop' and exists (
                select from messaging.opt_outs as x
                where x.phone_key = v_key and x.agency_id is not distinct from v_agency and x.opted_in_at is null
            ) then 'already_opted_out'
            when v_command is null and exists (
                select from messaging.takeovers as t
                where t.phone_key = v_key and t.agency_id is not distinct from v_agency and t.until > v_now
            ) then 'human_takeover'
        end;
        v_command := case when ignored_reason is distinct from 'already_opted_out' then v_command end;
    end if;

    insert into messaging.inbound_events (
        instance_id, event_key, kind, phone, person_key, profile_id, text, message_kind, ignored_reason, payload,
        happened_at, received_at, processed_at, media_url, command
    )
    select
        p_instance_id, p_event_key, p_kind, v_phone, case when w.waits then v_person end, v_profile, p_text, p_message_kind,
        ignored_reason, p_payload, p_happened_at, v_now, case when not w.waits then v_now end, p_media_url, v_command
    from (select p_kind = 'message' and ignored_reason is null as waits) as w
    on conflict do nothing
    returning * into v_event;
    event_id := v_event.id;
    is_new := event_id is not null;
    if not is_new then
        return next;
        return;
    end if;

    -- Stored and applied in one transaction: a provider that is told 200 will not tell us again.
    perform messaging.note_lid(v_agency, p_lid, p_phone);
    if p_kind = 'disconnected' then
        perform messaging.record_health(p_instance_id, false, null, 'provider event');
    elsif p_kind = 'connected' then
        perform messaging.record_health(p_instance_id, true, null, 'provider event');
    end if;
    if p_error_class = 'restriction' then
        -- The number before its sender: of several ids, a later one may be the first to halt it.
        perform messaging.lock_instance(p_instance_id);
    end if;
    if p_receipt is not null then
        foreach v_id in array p_receipt_ids loop
            perform messaging.apply_receipt(
                p_instance_id, v_id, p_receipt, p_happened_at, p_error, p_error_class
            );
        end loop;
    end if;
    if v_event.person_key is not null then
        insert into messaging.turns as t (person_key, profile_id, waiting_since, ready_at)
        values (v_person, v_profile, v_now, v_now + make_interval(secs => p_debounce_s))
        on conflict (person_key) do update
        set
            -- Each message waits for the next one, but nobody waits more than five times as long. A turn being
            -- answered is left alone: finish_turn finds what came meanwhile.
            ready_at = case
                when t.lease_token is not null then t.ready_at
                else greatest(
                    t.ready_at,
                    least(excluded.ready_at, t.waiting_since + make_interval(secs => 5 * p_debounce_s))
                )
            end;
    end if;
    if v_key is not null and (p_ignored_reason is null or v_shown) then
        perform messaging.heed_message(v_event, v_agency, v_command);
    elsif v_key is not null and not exists (
        -- An echo of what we sent ourselves is nobody's hand, whatever its flags say.
        select from messaging.attempts as a
        where a.instance_id = p_instance_id and a.provider_message_id = any(p_receipt_ids)
    ) then
        perform messaging.heed_hand(v_agency, v_key, v_person, p_takeover_s);
    end if;
    -- After the app's rows: who looks for evidence holds none of them.
    if p_sent_by is not null then
        for v_id in select distinct x.id from unnest(p_receipt_ids) as x (id) order by x.id loop
            perform messaging.note_sighting(
                p_instance_id, v_id, 'outgoing_event', p_sent_by, coalesce(v_phone, p_phone), p_text, p_message_kind, p_happened_at,
                p_queue_id
            );
        end loop;
    end if;
    return next;
end
$$;

create or replace function messaging.accept_agency_event(
    p_instance_id uuid, p_event_key text, p_kind text, p_payload jsonb, p_phone text default null, p_text text default null,
    p_message_kind text default null, p_happened_at timestamptz default null, p_from_me boolean default false,
    p_command text default null, p_receipt text default null, p_receipt_ids text[] default '{}', p_error text default null,
    p_lid text default null, p_sent_by text default null
)
returns table (event_id bigint, is_new boolean, opted text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid;
    v_phone text := p_phone;
    v_key text;
    v_id text;
begin
    select i.agency_id into v_agency
    from public.whatsapp_instances as i
    where i.id = p_instance_id and i.agency_id is not null;
    if not found then
        raise exception using errcode = 'WP002', message = 'there is no number of an agency with this id';
    end if;
    if p_phone like '%@lid' then
        select l.phone into v_phone from messaging.person_lids as l where l.lid = p_phone and l.agency_id = v_agency;
    end if;
    v_key := substring(messaging.phone_key(v_phone) from '^[0-9]{8,15}$');
    if p_kind = 'message' then
        perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || v_agency || ':' || v_key, 0));
    end if;

    insert into messaging.inbound_events (
        instance_id, event_key, kind, phone, text, message_kind, ignored_reason, payload, happened_at, received_at, processed_at
    )
    values (
        p_instance_id, p_event_key, p_kind, coalesce(v_phone, p_phone), p_text, p_message_kind,
        case when p_kind = 'message' then case when p_from_me then 'own_message' else 'agency_number' end end,
        p_payload, p_happened_at, messaging.clock(), messaging.clock()
    )
    on conflict do nothing
    returning id into event_id;
    is_new := event_id is not null;
    if not is_new then
        -- Told again, perhaps because what should have followed failed: what it did is said once more.
        select e.id, case e.command when 'stop' then 'out' when 'start' then 'in' end
        into event_id, opted
        from messaging.inbound_events as e
        where e.instance_id = p_instance_id and e.event_key = p_event_key;
        return next;
        return;
    end if;

    perform messaging.note_lid(v_agency, p_lid, p_phone);
    if p_receipt is not null then
        foreach v_id in array p_receipt_ids loop
            perform messaging.apply_receipt(p_instance_id, v_id, p_receipt, p_happened_at, p_error);
        end loop;
    end if;
    if p_kind = 'message' and not p_from_me and v_key is not null then
        if p_command = 'stop' then
            opted := case when messaging.opt_out(v_agency, v_key, p_text) then 'out' end;
        elsif p_command = 'start' then
            opted := case when messaging.opt_in(v_agency, v_key) then 'in' end;
        end if;
        update messaging.inbound_events as e set command = p_command where e.id = event_id and opted is not null;
    end if;
    if p_sent_by is not null then
        for v_id in select distinct x.id from unnest(p_receipt_ids) as x (id) order by x.id loop
            perform messaging.note_sighting(
                p_instance_id, v_id, 'outgoing_event', p_sent_by, coalesce(v_phone, p_phone), p_text, p_message_kind, p_happened_at,
                null
            );
        end loop;
    end if;
    return next;
end
$$;

create or replace function messaging.erase_messages(p_phone text, p_by text, p_why text default null)
returns table (erasure_id bigint, erased jsonb, in_flight bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_key text := messaging.phone_key(p_phone);
    v_person record;
    v_mark text;
    v_messages bigint[];
    v_own bigint[];
    v_mentions bigint[];
    v_waiting bigint[];
    v_message bigint;
begin
    perform messaging.require(v_key ~ '^[0-9]{8,15}$', 'a person is erased by a phone of 8 to 15 digits');
    perform messaging.require(coalesce(p_by, '') <> '', 'an erasure says by whom');
    if exists (select from public.whatsapp_instances as i where messaging.phone_key(i.phone_number) = v_key) then
        raise exception using errcode = 'WP004', message = 'this is a number of ours, not a person';
    end if;

    -- The person first, as at the door; then the LIDs, the turn, the events, senders, outbox. App rows are erase_profile's: another transaction.
    perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || t.tenant || ':' || t.key, 0))
    from (
        select a.tenant, k.key
        from messaging.person_to_erase(p_phone) as x
        cross join lateral unnest(x.keys) as k (key)
        cross join (
            select coalesce(i.agency_id::text, 'house') as tenant from public.whatsapp_instances as i
            union
            select 'house'
        ) as a
        order by k.key, a.tenant
    ) as t;
    v_now := messaging.clock();
    select x.* into v_person from messaging.person_to_erase(p_phone) as x;
    delete from messaging.person_lids as l where l.phone_key = any(v_person.keys);
    delete from messaging.turns as t
    where
        split_part(t.person_key, ':', 2) = any(v_person.keys)
        -- Under a phone that somebody else has by now, unless that one waits for the same turn.
        or (t.profile_id = any(v_person.profiles) and not exists (
            select from messaging.inbound_events as e
            where e.person_key = t.person_key and e.processed_at is null and e.profile_id <> all(v_person.profiles)
        ));
    select
        coalesce(array_agg(n.event_id) filter (where n.is_own), '{}'),
        coalesce(array_agg(n.event_id) filter (where not n.is_own), '{}')
    into v_own, v_mentions
    from messaging.events_naming(v_person.keys, v_person.profiles, v_person.lids, v_person.needles) as n;
    perform from messaging.inbound_events as e where e.id = any(v_own || v_mentions) order by e.id for no key update;
    v_messages := array(
        select o.id from messaging.outbox as o
        where (o.phone_key = any(v_person.keys) or o.profile_id = any(v_person.profiles)) and o.phone not like 'erased:%'
        order by o.id
    );
    perform from messaging.senders as s
    where s.instance_id in (select o.instance_id from messaging.outbox as o where o.id = any(v_messages))
    order by s.instance_id
    for no key update;

    -- What waits goes first; then what waited for it to be settled.
    v_waiting := messaging.withdraw_messages(v_messages, p_by, 'the person was erased');
    for v_message in
        select o.id from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state = 'unknown' order by o.id
    loop
        perform messaging.move(v_message, 'withdrawn', p_by, 'the person was erased');
        v_waiting := v_waiting || v_message;
    end loop;
    -- What is being sent this moment has its words from us already, and may come back to the queue: it is for the next call.
    select count(*) into in_flight from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state = 'sending';
    v_messages := array(
        select o.id from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state <> 'sending'
        order by o.id
        for no key update
    );
    erased := jsonb_build_object(
        'messages', cardinality(v_messages), 'withdrawn', cardinality(v_waiting), 'events', cardinality(v_own), 'mentions', cardinality(v_mentions)
    );
    if v_messages = '{}' and v_own = '{}' and v_mentions = '{}' and v_person.lids = '{}' and v_person.profiles = '{}' and v_person.open_ids = '{}' then
        return next;
        return;
    end if;
    -- Whoever comes next finds by this what the second half would no longer find by a phone: erase_profile closes it.
    insert into messaging.erasures (erased_at, erased_by, why, erased, open_keys, open_profiles)
    values (v_now, p_by, p_why, erased, v_person.keys, v_person.profiles)
    returning id into erasure_id;
    v_mark := 'erased:' || erasure_id;

    perform messaging.erase_outbox(v_messages, v_person.forms, v_mark, v_now);
    delete from messaging.sightings as s
    where s.id in (
        select x.id from messaging.sightings as x
        where x.phone_key = any(v_person.keys)
        order by x.instance_id, x.provider_message_id
        for update
    );
    update messaging.inbound_events as e
    set
        payload = jsonb_build_object('removed', 'erased'), text = null, media_url = null,
        raw_removed_at = coalesce(e.raw_removed_at, v_now), text_removed_at = coalesce(e.text_removed_at, v_now),
        processed_at = coalesce(e.processed_at, v_now), person_key = null,
        phone = case
            when
                messaging.phone_key(e.phone) = any(v_person.keys) or e.phone = any(v_person.lids) or e.profile_id = any(v_person.profiles)
                then v_mark
            else e.phone
        end
    where e.id = any(v_own);
    -- Somebody else's message stays, and is answered: of it, only the digits are this person's.
    update messaging.inbound_events as e
    set
        payload = messaging.replace_digits(e.payload, v_person.needles, v_mark),
        text = regexp_replace(e.text, v_person.needles, v_mark, 'g')
    where e.id = any(v_mentions);
    delete from messaging.takeovers as t where t.phone_key = any(v_person.keys);
    -- A stop in force keeps the key, and nothing else: the rules look it up by that. An old one is history.
    update messaging.opt_outs as x
    set word = null, phone_key = case when x.opted_in_at is null then x.phone_key else v_mark end
    where x.phone_key = any(v_person.keys) and (x.word is not null or x.opted_in_at is not null);
    return next;
end
$$;

create or replace function messaging.note_traces(p_attempt_ids bigint[], p_source text, p_traces jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
    v_message messaging.outbox;
    v_trace record;
    v_nothing integer := 0;
begin
    perform messaging.require(
        p_source in ('provider_queue', 'provider_search'), 'traces come from the provider_queue or a provider_search'
    );
    perform messaging.require(
        (
            select count(distinct a.instance_id) <= 1 from messaging.attempts as a where a.id = any(p_attempt_ids)
        ), 'traces are of one number'
    );
    perform from messaging.senders as s
    where s.instance_id in (select a.instance_id from messaging.attempts as a where a.id = any(p_attempt_ids))
    for no key update;
    for v_trace in
        select
            a.instance_id, t.value ->> 'provider_message_id' as provider_message_id, t.value ->> 'sent_by' as sent_by,
            t.value ->> 'phone' as phone, t.value ->> 'text' as words, t.value ->> 'message_kind' as message_kind,
            (t.value ->> 'happened_at')::timestamptz as happened_at, t.value ->> 'provider_queue_id' as queue_id
        from jsonb_array_elements(p_traces) as t
        cross join (select m.instance_id from messaging.attempts as m where m.id = any(p_attempt_ids) limit 1) as a
        order by t.value ->> 'provider_message_id'
    loop
        perform messaging.note_sighting(
            v_trace.instance_id, v_trace.provider_message_id, p_source, v_trace.sent_by, v_trace.phone, v_trace.words, v_trace.message_kind,
            v_trace.happened_at, v_trace.queue_id
        );
    end loop;

    for v_attempt in
        select a.* from messaging.attempts as a
        where a.id = any(p_attempt_ids)
        order by a.id
    loop
        select o.* into v_message from messaging.outbox as o where o.id = v_attempt.message_id;
        -- What waited there and does not any more has left it, or was withdrawn by somebody: the queue cannot tell.
        if p_source = 'provider_queue' then
            delete from messaging.sightings as s
            where s.id in (
                select x.id from messaging.sightings as x
                where
                    x.instance_id = v_attempt.instance_id and x.phone_key = v_message.phone_key and x.is_waiting
                    and not exists (
                        select from jsonb_array_elements(p_traces) as t where t.value ->> 'provider_message_id' = x.provider_message_id
                    )
                order by x.provider_message_id
                for update
            );
        end if;
        if not messaging.may_have_left(v_attempt, v_message) then
            perform messaging.note_evidence(
                v_attempt, p_source, 'nothing', null,
                case p_source when 'provider_queue' then 'the provider''s queue holds none' else 'the provider''s messages hold none' end
            );
            v_nothing := v_nothing + 1;
        end if;
    end loop;
    return v_nothing;
end
$$;

create or replace function messaging.tell_unknowns(p_limit integer default 200)
returns table (
    message_id bigint, instance_name text, purpose text, on_unknown text, unknown_since timestamptz, presumed text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
begin
    delete from messaging.sightings as s
    where s.id in (
        select x.id from messaging.sightings as x
        where x.seen_at < v_now - interval '7 days'
        for update skip locked
    );
    return query
    with untold as (
        select o.id, o.instance_id, o.purpose, o.on_unknown, o.changed_at
        from messaging.outbox as o
        left join messaging.unknown_looks as l on o.id = l.message_id
        where
            o.dispatch_state = 'unknown' and o.changed_at <= v_now - interval '1 hour'
            and (l.told_at is null or l.told_at < o.changed_at)
        order by o.id
        limit p_limit
    ),

    told as (
        insert into messaging.unknown_looks as l (message_id, looked_at, told_at)
        select u.id, v_now, v_now
        from untold as u
        order by u.id
        on conflict (message_id) do update set told_at = excluded.told_at
        returning l.message_id
    )

    select u.id, i.name, u.purpose, u.on_unknown, u.changed_at, messaging.presumed(u.id)
    from untold as u
    inner join told as t on u.id = t.message_id
    inner join public.whatsapp_instances as i on u.instance_id = i.id
    order by u.changed_at, u.id;
end
$$;
