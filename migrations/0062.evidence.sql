-- What is known of a message of which we cannot tell whether it was sent: evidence, each with its source and time, and what was seen to leave our numbers.
-- Locks: SHARE on messaging.attempts (writers wait) for the time of building one partial index: one read of the table.
-- depends: 0061.agency_audit

set local lock_timeout = '5s';

-- Order of locks here: senders -> outbox -> attempts -> evidence -> the app's rows -> sightings. Who writes sightings holds none of the others, or holds
-- them already; who looks for evidence only reads sightings.

create table messaging.evidence (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    attempt_id bigint not null references messaging.attempts (id),
    source text not null,
    says text not null,
    happened_at timestamptz not null,
    seen_at timestamptz not null,
    detail text not null default '',
    constraint evidence_once unique (attempt_id, source, says, detail),
    constraint evidence_source_known check (
        source in ('receipt', 'outgoing_event', 'provider_queue', 'provider_search', 'silence', 'late_answer')
    ),
    constraint evidence_says_known check (says in ('sent', 'not_sent', 'waiting', 'nothing'))
);
create index evidence_message on messaging.evidence (message_id, id);
alter table messaging.evidence enable row level security;
revoke all on table messaging.evidence from public, anon, authenticated, service_role;
comment on table messaging.evidence is
'What speaks for or against an attempt of which we could not tell whether it was sent; kept whatever was decided.';
comment on column messaging.evidence.says is
'sent; not_sent (silence: presumed, not certain); waiting (in the provider''s queue); nothing (asked, and it knows of none).';
comment on column messaging.evidence.happened_at is 'When it took place, by its source; of an answer that was given again, the first time.';
comment on column messaging.evidence.seen_at is 'When we learned of it; of an answer that was given again, the last time.';

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

create function messaging.note_evidence(
    p_attempt messaging.attempts, p_source text, p_says text, p_happened_at timestamptz, p_detail text
) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into messaging.evidence (message_id, attempt_id, source, says, happened_at, seen_at, detail)
    values (
        p_attempt.message_id, p_attempt.id, p_source, p_says, coalesce(p_happened_at, messaging.clock()), messaging.clock(),
        coalesce(left(p_detail, 500), '')
    )
    on conflict (attempt_id, source, says, detail) do update set seen_at = excluded.seen_at
$$;
comment on function messaging.note_evidence(messaging.attempts, text, text, timestamptz, text) is
'One piece of evidence for an attempt; given again, it is only seen again.';

create function messaging.is_unsettled(p_attempt messaging.attempts) returns boolean
language sql stable security definer set search_path = ''
as $$
    select
        exists (select from messaging.outbox as o where o.id = p_attempt.message_id and o.dispatch_state = 'unknown')
        and not exists (
            select from messaging.attempts as a
            where a.message_id = p_attempt.message_id and a.id > p_attempt.id and a.outcome in ('accepted', 'unknown')
        )
$$;
comment on function messaging.is_unsettled(messaging.attempts) is
'Whether the message is unknown because of this attempt: a later one that may have arrived is not undone by what became of an earlier one.';

create function messaging.confirm_sent(p_attempt messaging.attempts, p_by text, p_reason text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_attempt.message_id for no key update;
    if v_message.dispatch_state = 'unknown' then
        perform messaging.move(v_message.id, 'accepted', p_by, p_reason);
    elsif v_message.dispatch_state in ('queued', 'held', 'leased') then
        -- It was decided to send it again, and that has not begun: what has arrived is not said twice.
        if v_message.dispatch_state = 'leased' then
            perform messaging.move(v_message.id, 'queued', p_by, p_reason);
        end if;
        perform messaging.move(v_message.id, 'withdrawn', p_by, p_reason || ': the first attempt was sent, so it does not go again');
        perform messaging.run_effect(v_message.id);
        perform messaging.wake(
            v_message.instance_id,
            case when v_message.dispatch_state = 'leased' and v_message.lane <> 'reply' then messaging.clock() end
        );
    end if;
end
$$;
comment on function messaging.confirm_sent(messaging.attempts, text, text) is
'An attempt of which we could not tell was sent: unknown -> accepted; sent again but not begun -> withdrawn, with the effect of an acceptance. Elsewhere
nothing (the evidence stands). Its sender locked.';

select roleta_migrations.remember_function('0062.evidence', 'messaging.use_receipt(messaging.receipts,bigint)');
create or replace function messaging.use_receipt(p_receipt messaging.receipts, p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
begin
    update messaging.receipts as r
    set message_id = p_message_id
    where r.id = p_receipt.id;

    update messaging.outbox as o
    set
        delivery_state = p_receipt.receipt,
        delivery_error = case p_receipt.receipt when 'failed' then p_receipt.error else o.delivery_error end
    where
        o.id = p_message_id
        and messaging.delivery_rank(p_receipt.receipt) > messaging.delivery_rank(o.delivery_state);

    select a.* into v_attempt
    from messaging.attempts as a
    where a.instance_id = p_receipt.instance_id and a.provider_message_id = p_receipt.provider_message_id;
    if v_attempt.outcome is distinct from 'unknown' then
        return;
    end if;
    perform messaging.note_evidence(
        v_attempt, 'receipt', case p_receipt.receipt when 'failed' then 'not_sent' else 'sent' end, p_receipt.happened_at,
        p_receipt.receipt || coalesce(': ' || p_receipt.error, '')
    );
    if p_receipt.receipt <> 'failed' then
        perform messaging.confirm_sent(v_attempt, 'apply_receipt', 'the provider reported: ' || p_receipt.receipt);
    elsif messaging.is_unsettled(v_attempt) then
        perform messaging.move(p_message_id, 'rejected', 'apply_receipt', 'the provider reported: failed');
    end if;
end
$$;
comment on function messaging.use_receipt(messaging.receipts, bigint) is
'Delivery forward, and of an attempt of which we could not tell: evidence, and unknown -> accepted or rejected (its sender locked).';

select roleta_migrations.remember_function(
    '0062.evidence', 'messaging.record_attempt(bigint,text,text,text,integer,text,text,numeric)'
);
create or replace function messaging.record_attempt(
    p_attempt_id bigint, p_outcome text, p_provider_message_id text default null,
    p_provider_queue_id text default null, p_http_status integer default null, p_detail text default null,
    p_halt_reason text default null, p_retry_after_s numeric default null
)
returns table (recorded boolean, dispatch_state text, message_id bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_attempt messaging.attempts;
    v_message messaging.outbox;
    v_outcome text := p_outcome;
    v_detail text := left(p_detail, 500);
    v_provider_message_id text;
    -- What a provider asks for is believed for an hour: a number must not be closed for years by one header.
    v_retry_after_s numeric := least(greatest(p_retry_after_s, 0), 3600);
begin
    perform messaging.require(
        p_outcome in ('accepted', 'rejected', 'not_sent', 'unknown'),
        'an outcome is accepted, rejected, not_sent or unknown'
    );
    perform messaging.require(
        p_outcome <> 'accepted' or coalesce(p_provider_message_id, '') <> '',
        'accepted needs the provider''s message id; without one the outcome is unknown'
    );
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    if v_attempt.id is null then
        raise exception using errcode = 'WP002', message = 'there is no attempt with this id';
    end if;

    -- In the order of locks: the number, its sender, the message.
    if p_halt_reason is not null then
        perform messaging.halt_instance(v_attempt.instance_id, p_halt_reason, v_attempt.worker);
    end if;
    perform from messaging.senders as s
    where s.instance_id = v_attempt.instance_id
    for no key update;
    select o.* into v_message
    from messaging.outbox as o
    where o.id = v_attempt.message_id
    for no key update;
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    message_id := v_attempt.message_id;

    -- An unknown keeps the id that it came with: a receipt may settle it by that.
    if v_outcome in ('accepted', 'unknown') and exists (
        select from messaging.attempts as a
        where
            a.instance_id = v_attempt.instance_id and a.provider_message_id = p_provider_message_id
            and a.id <> p_attempt_id
    ) then
        v_outcome := 'unknown';
        v_detail := 'the provider answered with the id of another message';
    elsif v_outcome in ('accepted', 'unknown') then
        v_provider_message_id := nullif(p_provider_message_id, '');
    end if;

    -- Recorded before: by us (the answer to our commit was lost), or the lease ran out and it was settled as unknown.
    if v_attempt.outcome is not null then
        recorded := false;
        if v_attempt.outcome = 'unknown' and v_attempt.provider_message_id is null
            and (v_outcome in ('rejected', 'not_sent') or v_provider_message_id is not null)
        then
            -- Late, but the best evidence there is, whatever was decided meanwhile.
            update messaging.attempts as a
            set
                provider_message_id = v_provider_message_id, provider_queue_id = p_provider_queue_id,
                http_status = p_http_status, detail = 'the worker''s answer came late: ' || v_outcome
            where a.id = p_attempt_id
            returning a.* into v_attempt;
            perform messaging.note_evidence(
                v_attempt, 'late_answer',
                case when v_outcome = 'accepted' then 'sent' when v_outcome = 'unknown' then 'nothing' else 'not_sent' end,
                null, v_attempt.detail
            );
            if v_outcome = 'accepted' then
                perform messaging.confirm_sent(v_attempt, 'record_attempt', 'the worker''s answer came late');
            elsif v_outcome = 'rejected' and messaging.is_unsettled(v_attempt) then
                perform messaging.move(v_attempt.message_id, 'rejected', 'record_attempt', 'the worker''s answer came late');
            end if;
            perform messaging.use_waiting_receipts(v_attempt.instance_id, v_provider_message_id, v_attempt.message_id);
            perform messaging.wake(v_attempt.instance_id);
            recorded := true;
        end if;
        select o.dispatch_state into dispatch_state from messaging.outbox as o where o.id = v_attempt.message_id;
        return next;
        return;
    end if;

    update messaging.attempts as a
    set
        outcome = v_outcome, ended_at = messaging.clock(), http_status = p_http_status, detail = v_detail,
        provider_message_id = v_provider_message_id,
        provider_queue_id = case when v_provider_message_id is not null then p_provider_queue_id end
    where a.id = p_attempt_id
    returning a.* into v_attempt;

    if v_outcome = 'not_sent' then
        perform messaging.move(v_attempt.message_id, 'queued', v_attempt.worker, 'not sent: ' || coalesce(v_detail, 'no reason given'));
        if v_attempt.lane = 'reply' then
            -- A reply has no slot to wait for: it backs off by itself, within its short life.
            update messaging.outbox as o
            set not_before = v_attempt.ended_at + make_interval(
                secs => greatest(least(power(2, o.attempt_count), 60), coalesce(v_retry_after_s, 0))
            )
            where o.id = v_attempt.message_id;
        end if;
    else
        perform messaging.move(
            v_attempt.message_id, v_outcome, v_attempt.worker,
            coalesce(
                nullif(v_detail, ''),
                case v_outcome when 'accepted' then 'the provider accepted it' else 'the provider gave no reason' end
            )
        );
    end if;

    -- A receipt may have overtaken the answer.
    perform messaging.use_waiting_receipts(v_attempt.instance_id, v_provider_message_id, v_attempt.message_id);

    perform messaging.follow_attempt(v_attempt, v_retry_after_s);
    recorded := true;
    select o.dispatch_state into dispatch_state from messaging.outbox as o where o.id = v_attempt.message_id;
    return next;
end
$$;

-- Both gain a parameter, so they are made anew.
select roleta_migrations.remember_function(
    '0062.evidence',
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
    '0062.evidence', 'messaging.accept_agency_event(uuid,text,text,jsonb,text,text,text,timestamptz,boolean,text,text,text[],text,text)'
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
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('text_key', 'is_unsettled', 'note_evidence', 'note_sighting', 'confirm_sent', 'accept_event', 'accept_agency_event')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text ~ 'accept_' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
