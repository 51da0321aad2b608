-- An event at the door: stored once, applied in the same transaction, and who is behind a LID.
-- Locks: ACCESS EXCLUSIVE on messaging.inbound_events for the time of adding two columns (no default, no rewrite).
-- depends: 0029.heeding

set local lock_timeout = '5s';

-- The order of locks here, in 0031.turns and 0032.answers: the person (an advisory lock) -> the event -> the turn -> senders -> outbox
-- -> the app's rows. These come last, as in every effect: whoever holds a sender may wait for a profile (briefly), so nobody here holds a profile
-- while waiting for a sender.

create table messaging.person_lids (
    agency_id uuid,
    lid text not null,
    phone text not null,
    phone_key text not null,
    seen_at timestamptz not null,
    constraint person_lids_once unique nulls not distinct (lid, agency_id)
);
alter table messaging.person_lids enable row level security;
revoke all on table messaging.person_lids from public, anon, authenticated, service_role;
comment on table messaging.person_lids is 'Which phone is behind a LID: learned from events that carry both, since nothing else tells (zapi contract 2.5).';

alter table messaging.inbound_events
add column media_url text,
add column command text,
add constraint inbound_events_command_known check (command in ('stop', 'start')) not valid;
comment on column messaging.inbound_events.media_url is 'Where the provider keeps the audio or picture, for 30 days.';
comment on column messaging.inbound_events.command is 'What its words order: stop or start, where that changed something.';

select roleta_migrations.remember_function(
    '0030.inbound', 'messaging.accept_event(uuid,text,text,jsonb,text,text,text,timestamptz,text,text,text[],text,text,double precision)'
);
drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision
);

create function messaging.accept_event(
    p_instance_id uuid, p_event_key text, p_kind text, p_payload jsonb,
    p_phone text default null, p_text text default null, p_message_kind text default null,
    p_happened_at timestamptz default null, p_ignored_reason text default null,
    p_receipt text default null, p_receipt_ids text[] default '{}',
    p_error text default null, p_error_class text default null, p_debounce_s double precision default 2,
    p_lid text default null, p_command text default null, p_takeover_s double precision default null, p_media_url text default null
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
    return next;
end
$$;
comment on function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
) is
'Stores an authentic event once and applies it in the same transaction: a receipt, a change of connection, a person''s message, or (p_takeover_s) one that
was typed by hand on our number. p_lid: what else the person of p_phone is called. is_new is false for a repeat, which changes nothing.';

revoke execute on function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
) from public, anon, authenticated, service_role;
grant execute on function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
) to service_role;
