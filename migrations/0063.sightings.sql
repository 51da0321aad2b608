-- What was seen to leave one of our numbers under an id that is not ours yet: perhaps a message of which we cannot tell. Both doors for events note it.
-- Locks: SHARE on messaging.attempts (writers wait) for the time of building one partial index: one read of the table.
-- depends: 0062.evidence

set local lock_timeout = '5s';

-- Order of locks here: senders -> outbox -> attempts -> evidence -> the app's rows -> sightings. Who writes sightings holds none of the others, or holds
-- them already; who looks for evidence only reads sightings.

create table messaging.sightings (
    id bigint generated always as identity primary key,
    instance_id uuid not null references public.whatsapp_instances (id),
    provider_message_id text not null,
    provider_queue_id text,
    source text not null,
    sent_by text not null,
    is_waiting boolean not null default false,
    phone_key text not null,
    text_key bytea,
    message_kind text,
    happened_at timestamptz,
    seen_at timestamptz not null,
    constraint sightings_once unique (instance_id, provider_message_id),
    constraint sightings_source_known check (source in ('outgoing_event', 'provider_queue', 'provider_search')),
    constraint sightings_sent_by_known check (sent_by in ('api', 'hand', 'unsaid'))
);
create index sightings_person on messaging.sightings (instance_id, phone_key);
create index sightings_seen on messaging.sightings (seen_at);
alter table messaging.sightings enable row level security;
revoke all on table messaging.sightings from public, anon, authenticated, service_role;
comment on table messaging.sightings is
'What was seen to leave one of our numbers (or to wait at its provider) under an id that no accepted attempt has: perhaps an unknown of ours. Kept a week.';
comment on column messaging.sightings.sent_by is
'api: a send over the API, perhaps ours; hand: typed on the phone, never ours; unsaid: the provider does not say (a
receipt): it confirms nothing, and forbids to call a message unsent.';
comment on column messaging.sightings.text_key is 'A digest of what it says, never the words; null where the provider does not say.';
comment on column messaging.sightings.is_waiting is 'It has not left yet: it waits in the provider''s queue.';

create index attempts_unaccounted on messaging.attempts (instance_id, begun_at)
where provider_message_id is null and (outcome is null or outcome = 'unknown');

create function messaging.text_key(p_text text) returns bytea
language sql immutable parallel safe security invoker
return sha256(convert_to(
    -- A trial account of Z-API puts a line of its own above the text.
    btrim(regexp_replace(regexp_replace(p_text, '^\[MENSAGEM DE TESTE[^\n]*\n', ''), '\s+', ' ', 'g')), 'UTF8'
));
comment on function messaging.text_key(text) is 'The same for two texts that differ in nothing but white space: providers trim.';

create function messaging.note_sighting(
    p_instance_id uuid, p_provider_message_id text, p_source text, p_sent_by text, p_phone text, p_text text, p_message_kind text,
    p_happened_at timestamptz, p_queue_id text
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_phone text := p_phone;
begin
    if p_sent_by is null or coalesce(p_provider_message_id, '') = '' or exists (
        select from messaging.attempts as a
        where a.instance_id = p_instance_id and a.provider_message_id = p_provider_message_id and a.outcome = 'accepted'
    ) then
        return;
    end if;
    if v_phone like '%@lid' then
        select l.phone into v_phone
        from messaging.person_lids as l
        inner join public.whatsapp_instances as i on l.agency_id is not distinct from i.agency_id
        where l.lid = p_phone and i.id = p_instance_id;
    end if;
    if messaging.phone_key(v_phone) !~ '^[0-9]{8,15}$' or v_phone is null then
        return;
    end if;
    -- One message is told of by several events: who sent it, and what it says, may stand in any of them.
    insert into messaging.sightings as s (
        instance_id, provider_message_id, provider_queue_id, source, sent_by, is_waiting, phone_key, text_key, message_kind, happened_at, seen_at
    )
    values (
        p_instance_id, p_provider_message_id, p_queue_id, p_source, p_sent_by, p_source = 'provider_queue', messaging.phone_key(v_phone),
        messaging.text_key(p_text), p_message_kind, p_happened_at, messaging.clock()
    )
    on conflict (instance_id, provider_message_id) do update
    set
        provider_queue_id = coalesce(s.provider_queue_id, excluded.provider_queue_id),
        source = case when s.is_waiting then excluded.source else s.source end,
        is_waiting = s.is_waiting and excluded.is_waiting,
        sent_by = case
            when 'hand' in (s.sent_by, excluded.sent_by) then 'hand'
            when 'api' in (s.sent_by, excluded.sent_by) then 'api'
            else 'unsaid'
        end,
        text_key = coalesce(s.text_key, excluded.text_key),
        message_kind = coalesce(s.message_kind, excluded.message_kind),
        happened_at = least(s.happened_at, excluded.happened_at);
end
$$;
comment on function messaging.note_sighting(uuid, text, text, text, text, text, text, timestamptz, text) is
'Remembers what left a number (or waits at its provider) and is not known to be ours. Nothing where p_sent_by is null, or behind a LID that nobody knows.';

-- Both gain a parameter, so they are made anew.
select roleta_migrations.remember_function(
    '0063.sightings',
    'messaging.accept_event(uuid,text,text,jsonb,text,text,text,timestamptz,text,text,text[],text,text,double precision,text,text,double precision,text)'
);
drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
);
create function messaging.accept_event(
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

    if p_lid is not null and messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$' and p_phone not like '%@lid' then
        insert into messaging.person_lids as l (agency_id, lid, phone, phone_key, seen_at)
        values (v_agency, p_lid, p_phone, messaging.phone_key(p_phone), v_now)
        on conflict (lid, agency_id) do update
        set phone = excluded.phone, phone_key = excluded.phone_key, seen_at = excluded.seen_at
        -- Not a write per message: a day is near enough for when it was last seen.
        where l.phone <> excluded.phone or l.seen_at < excluded.seen_at - interval '1 day';
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
comment on function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text, text, text
) is
'Stores an authentic event once and applies it in the same transaction: a receipt, a change of connection, a person''s message, or (p_takeover_s) one that
was typed by hand on our number. p_lid: what else the person of p_phone is called. p_sent_by: a message left our number, by the api, by hand, or it was
left unsaid. is_new is false for a repeat, which changes nothing.';

select roleta_migrations.remember_function(
    '0063.sightings', 'messaging.accept_agency_event(uuid,text,text,jsonb,text,text,text,timestamptz,boolean,text,text,text[],text,text)'
);
drop function messaging.accept_agency_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, boolean, text, text, text[], text, text
);
create function messaging.accept_agency_event(
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

    if p_receipt is not null then
        foreach v_id in array p_receipt_ids loop
            perform messaging.apply_receipt(p_instance_id, v_id, p_receipt, p_happened_at, p_error);
        end loop;
    end if;
    if p_lid is not null and messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$' and p_phone not like '%@lid' then
        insert into messaging.person_lids as l (agency_id, lid, phone, phone_key, seen_at)
        values (v_agency, p_lid, p_phone, messaging.phone_key(p_phone), messaging.clock())
        on conflict (lid, agency_id) do update
        set phone = excluded.phone, phone_key = excluded.phone_key, seen_at = excluded.seen_at
        where l.phone <> excluded.phone or l.seen_at < excluded.seen_at - interval '1 day';
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
comment on function messaging.accept_agency_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, boolean, text, text, text[], text, text, text
) is
'Stores an authentic event of an agency''s number once and applies it: receipts, stop or start for the whole agency (opted: what that changed), what left
the number (p_sent_by). Nobody answers what is said there. is_new false: a repeat, which changes nothing.';

do $$
declare
    v_function record;
begin
    for v_function in
        select
            p.oid::regprocedure as signature,
            p.proname as name
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'text_key', 'note_sighting', 'accept_event', 'accept_agency_event'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('accept_event', 'accept_agency_event') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
