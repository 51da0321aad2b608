-- begin_attempt -> (the provider) -> record_attempt: the only way a message is sent.
-- depends: 0011.claim

set local lock_timeout = '5s';

create function messaging.begin_attempt(p_message_id bigint, p_lease_token uuid, p_worker text)
returns table (
    attempt_id bigint, refusal text, instance_id uuid, instance_name text, provider text,
    zapi_instance_id text, zapi_token text, zapi_client_token text,
    phone text, content jsonb, purpose text, write_within_s double precision, send_timeout_s double precision
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_sender messaging.senders;
    v_message messaging.outbox;
    v_verdict messaging.verdict;
    v_still_due text;
    v_why text;
begin
    select s.* into v_sender
    from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    -- After the lock, so that time spent waiting for it counts.
    v_now := messaging.clock();
    select o.* into v_message
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;
    instance_id := v_message.instance_id;
    purpose := v_message.purpose;

    if v_message.id is null or v_message.dispatch_state <> 'leased'
        or v_message.lease_token is distinct from p_lease_token or v_message.leased_until <= v_now
    then
        refusal := 'the lease is no longer held';
        return next;
        return;
    end if;

    v_verdict := messaging.judge(v_message, v_now);
    select p.still_due into v_still_due from messaging.purposes as p where p.purpose = v_message.purpose;
    if v_verdict.action = 'go' and v_still_due is not null then
        begin
            execute format('select messaging.%I($1)', v_still_due) using v_message.subject_id into v_why;
            if v_why is not null then
                v_verdict := ('withdraw', null, v_why)::messaging.verdict;
            end if;
        exception
            -- Whether it is still due cannot be told now: it steps aside, and what is behind it goes on.
            when others then
                v_verdict := (
                    'wait', v_now + interval '5 minutes', format('%s failed (%s)', v_still_due, sqlstate)
                )::messaging.verdict;
        end;
    end if;
    if exists (select from messaging.control as c where c.paused_at is not null) then
        refusal := 'everything is paused';
    elsif not messaging.can_send(v_message.instance_id) then
        refusal := 'the number may not send now';
    elsif v_verdict.action <> 'go' then
        refusal := v_verdict.why;
    end if;

    if refusal is not null then
        perform messaging.move(p_message_id, 'queued', p_worker, 'not begun: ' || refusal);
        if v_verdict.action <> 'go' then
            perform messaging.set_aside(v_message, v_verdict, 'begin_attempt');
        end if;
        -- Nothing left: the slot that the claim took is free again.
        perform messaging.wake(
            v_message.instance_id, case when v_message.lane <> 'reply' then v_now end
        );
        return next;
        return;
    end if;

    insert into messaging.attempts (
        message_id, instance_id, lane, worker, lease_token, begun_at, gap_min_s
    )
    values (
        p_message_id, v_message.instance_id, v_message.lane, p_worker, p_lease_token, v_now, v_sender.gap_min_s
    )
    returning id into attempt_id;
    update messaging.outbox as o
    set
        dispatch_state = 'sending', leased_until = v_now + messaging.lease_length(v_sender),
        attempt_count = o.attempt_count + 1, changed_by = p_worker, reason = null
    where o.id = p_message_id;
    perform messaging.wake(
        v_message.instance_id,
        case when v_message.lane <> 'reply' then v_now + messaging.lease_length(v_sender) end
    );

    select
        i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token
    into instance_name, provider, zapi_instance_id, zapi_token, zapi_client_token
    from public.whatsapp_instances as i
    where i.id = v_message.instance_id;
    phone := v_message.phone;
    content := v_message.content;
    write_within_s := 5;
    send_timeout_s := v_sender.send_timeout_s;
    return next;
end
$$;
comment on function messaging.begin_attempt(bigint, uuid, text) is
'leased -> sending: commits "we are about to send", fenced by the lease. Gives what the send needs, or a refusal and the message back to its queue.';

create function messaging.follow_attempt(p_attempt messaging.attempts, p_retry_after_s numeric) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := p_attempt.ended_at;
    v_sender messaging.senders;
    v_head timestamptz;
    v_gap numeric;
    v_cap timestamptz;
begin
    select s.* into v_sender from messaging.senders as s where s.instance_id = p_attempt.instance_id;

    if p_attempt.lane <> 'reply' then
        v_gap := v_sender.gap_min_s + random()::numeric * (v_sender.gap_max_s - v_sender.gap_min_s);
        update messaging.attempts as a set gap_s = v_gap, gap_min_s = v_sender.gap_min_s where a.id = p_attempt.id;
        v_gap := greatest(v_gap, coalesce(p_retry_after_s, 0));
        perform messaging.wake(
            p_attempt.instance_id,
            v_now + make_interval(secs => v_gap::double precision),
            v_now + make_interval(secs => v_gap::double precision)
        );
        return;
    end if;

    -- A reply did not wait for the slot; it pushes it a little, and all replies together only so far beyond the
    -- moment at which the waiting paced message was due.
    select least(
        (
            select o.not_before from messaging.outbox as o
            where o.instance_id = p_attempt.instance_id and o.lane = 'timed' and o.dispatch_state = 'queued'
            order by o.not_before
            limit 1
        ),
        (
            select o.not_before from messaging.outbox as o
            where o.instance_id = p_attempt.instance_id and o.lane = 'bulk' and o.dispatch_state = 'queued'
            order by o.not_before
            limit 1
        )
    ) into v_head;
    v_cap := case
        when v_head is null then 'infinity'
        else greatest(v_head, v_sender.slot_due_at)
            + make_interval(secs => v_sender.reply_push_max_s::double precision)
    end;
    perform messaging.wake(
        p_attempt.instance_id,
        greatest(
            v_sender.next_send_at,
            -- A provider that asks to wait asks the whole number.
            v_now + make_interval(secs => p_retry_after_s::double precision),
            least(v_now + make_interval(secs => v_sender.reply_gap_s::double precision), v_cap)
        )
    );
end
$$;
comment on function messaging.follow_attempt(messaging.attempts, numeric) is
'Moves the slot after an attempt has ended: a paced one by a gap drawn now, a reply by a little within its bound.';

create function messaging.record_attempt(
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
            and v_message.dispatch_state in ('unknown', 'withdrawn')
            and (v_outcome = 'rejected' or v_provider_message_id is not null)
        then
            -- Late, but the best evidence there is.
            update messaging.attempts as a
            set
                provider_message_id = v_provider_message_id, provider_queue_id = p_provider_queue_id,
                http_status = p_http_status, detail = 'the worker''s answer came late: ' || v_outcome
            where a.id = p_attempt_id;
            if v_message.dispatch_state = 'unknown' and v_outcome <> 'unknown' then
                perform messaging.move(
                    v_attempt.message_id, v_outcome, 'record_attempt', 'the worker''s answer came late'
                );
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
comment on function messaging.record_attempt(bigint, text, text, text, integer, text, text, numeric) is
'sending -> accepted, rejected, unknown, or queued (not_sent). Idempotent by attempt; draws the gap, applies waiting receipts, halts a refused number.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'begin_attempt', 'follow_attempt', 'record_attempt'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.begin_attempt(bigint, uuid, text) to service_role;
grant execute on function messaging.record_attempt(
    bigint, text, text, text, integer, text, text, numeric
) to service_role;
