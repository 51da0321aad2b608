-- A provider that asks to wait (429, Retry-After) asks the whole number: paced messages and answers alike, whatever else ends or is refused
-- meanwhile.
-- Locks: ACCESS EXCLUSIVE on messaging.senders (a row per number) for adding an empty column: milliseconds.
-- depends: 0081.event_texts_needed

set local lock_timeout = '5s';

alter table messaging.senders add column wait_until timestamptz;
comment on column messaging.senders.wait_until is
'Until when the provider asked the number to wait: nothing leaves before it, answers neither. Null: it never asked.';

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.wake(uuid,timestamp with time zone,timestamp with time zone)');
create or replace function messaging.wake(
    p_instance_id uuid, p_next_send_at timestamptz default null, p_slot_due_at timestamptz default null
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_sender messaging.senders;
    v_slot timestamptz;
    v_slot_due timestamptz;
    v_lease timestamptz;
    v_busy boolean;
    v_answering boolean;
    v_reply timestamptz;
    v_head timestamptz;
begin
    select s.* into v_sender from messaging.senders as s where s.instance_id = p_instance_id;
    -- Whatever a caller draws or frees: no slot lies before what the provider asked for.
    v_slot := greatest(coalesce(p_next_send_at, v_sender.next_send_at), v_sender.wait_until);
    v_slot_due := greatest(coalesce(p_slot_due_at, v_sender.slot_due_at), v_sender.wait_until);

    select
        min(o.leased_until),
        coalesce(bool_or(o.lane <> 'reply'), false),
        coalesce(bool_or(o.lane = 'reply'), false)
    into v_lease, v_busy, v_answering
    from messaging.outbox as o
    where o.instance_id = p_instance_id and o.dispatch_state in ('leased', 'sending');

    if messaging.can_send(p_instance_id) then
        select o.not_before into v_reply
        from messaging.outbox as o
        where
            o.instance_id = p_instance_id and o.lane = 'reply' and o.dispatch_state = 'queued'
            and messaging.is_next_reply(o)
        order by o.not_before, o.id
        limit 1;
        -- After a return answers go one by one: the end of this one wakes the number for the next.
        if v_reply is not null and messaging.ramp_left(v_sender, messaging.clock()) > 0 then
            v_reply := case when not v_answering then greatest(v_reply, v_sender.reply_after) end;
        end if;
        if v_reply is not null then
            v_reply := greatest(v_reply, v_sender.wait_until);
        end if;

        if not v_busy then
            -- least() passes over nulls and greatest() too: no head must give null, not the slot.
            v_head := least(
                (
                    select o.not_before from messaging.outbox as o
                    where o.instance_id = p_instance_id and o.lane = 'timed' and o.dispatch_state = 'queued'
                    order by o.not_before, o.id
                    limit 1
                ),
                (
                    select o.not_before from messaging.outbox as o
                    where o.instance_id = p_instance_id and o.lane = 'bulk' and o.dispatch_state = 'queued'
                    order by o.not_before, o.id
                    limit 1
                )
            );
            if v_head is not null then
                v_head := greatest(v_head, v_slot);
            end if;
        end if;
    end if;

    update messaging.senders as s
    set
        next_send_at = v_slot,
        slot_due_at = v_slot_due,
        ready_at = least(v_lease, v_reply, v_head)
    where
        s.instance_id = p_instance_id
        and (
            s.next_send_at <> v_slot or s.slot_due_at <> v_slot_due
            or s.ready_at is distinct from least(v_lease, v_reply, v_head)
        );
end
$$;

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.follow_attempt(messaging.attempts,numeric)');
create or replace function messaging.follow_attempt(p_attempt messaging.attempts, p_retry_after_s numeric) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := p_attempt.ended_at;
    v_sender messaging.senders;
    v_head timestamptz;
    v_factor numeric;
    v_gap numeric;
    v_cap timestamptz;
begin
    if p_retry_after_s > 0 then
        -- A provider that asks to wait asks the whole number; of two that it asked for, the longer holds.
        update messaging.senders as s
        set wait_until = greatest(s.wait_until, v_now + make_interval(secs => p_retry_after_s::double precision))
        where s.instance_id = p_attempt.instance_id;
    end if;
    select s.* into v_sender from messaging.senders as s where s.instance_id = p_attempt.instance_id;
    v_factor := messaging.gap_factor(v_sender, v_now);

    if p_attempt.lane <> 'reply' then
        v_gap := v_factor * (v_sender.gap_min_s + random()::numeric * (v_sender.gap_max_s - v_sender.gap_min_s));
        update messaging.attempts as a
        set gap_s = v_gap, gap_min_s = v_sender.gap_min_s, gap_factor = v_factor
        where a.id = p_attempt.id;
        -- What did not leave brings the ramp no further.
        if messaging.ramp_left(v_sender, v_now) > 0 and p_attempt.outcome <> 'not_sent' then
            update messaging.senders as s
            set paced_since_return = s.paced_since_return + 1
            where s.instance_id = p_attempt.instance_id;
        end if;
        perform messaging.wake(
            p_attempt.instance_id,
            v_now + make_interval(secs => v_gap::double precision),
            v_now + make_interval(secs => v_gap::double precision)
        );
        return;
    end if;

    if messaging.ramp_left(v_sender, v_now) > 0 then
        update messaging.senders as s
        set reply_after = v_now + make_interval(secs => v_sender.reply_gap_s::double precision)
        where s.instance_id = p_attempt.instance_id;
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
            least(v_now + make_interval(secs => v_sender.reply_gap_s::double precision), v_cap)
        )
    );
end
$$;

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.begin_attempt(bigint,uuid,text)');
create or replace function messaging.begin_attempt(p_message_id bigint, p_lease_token uuid, p_worker text)
returns table (
    attempt_id bigint, refusal text, instance_id uuid, instance_name text, provider text,
    zapi_instance_id text, zapi_token text, zapi_client_token text, evolution_instance_name text,
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
    elsif v_sender.wait_until > v_now then
        -- It was claimed before another send of the number was answered so.
        refusal := 'the provider asked the number to wait';
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
        i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token, i.evolution_instance_name
    into instance_name, provider, zapi_instance_id, zapi_token, zapi_client_token, evolution_instance_name
    from public.whatsapp_instances as i
    where i.id = v_message.instance_id;
    phone := v_message.phone;
    content := v_message.content;
    write_within_s := 5;
    send_timeout_s := v_sender.send_timeout_s;
    return next;
end
$$;

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.claim(text,integer)');
create or replace function messaging.claim(p_worker text, p_limit integer default 16)
returns table (message_id bigint, instance_id uuid, instance_name text, lane text, lease_token uuid)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_left integer := p_limit;
    v_replies integer;
    v_due uuid[];
    v_id uuid;
    v_sender messaging.senders;
    v_until timestamptz;
    v_message messaging.outbox;
    v_verdict messaging.verdict;
    v_slot timestamptz;
begin
    perform messaging.require(coalesce(p_worker, '') <> '', 'a worker gives its name');
    perform messaging.require(p_limit between 1 and 200, 'a claim takes 1 to 200 messages');
    perform messaging.require(
        current_setting('transaction_isolation') = 'read committed',
        'claim looks again after it has locked: run it in READ COMMITTED'
    );
    if exists (select from messaging.control as c where c.paused_at is not null) then
        return;
    end if;

    -- First statement: lock numbers that are ready; another worker's are passed over.
    v_due := array(
        select s.instance_id from messaging.senders as s
        where s.ready_at <= v_now
        order by s.ready_at
        limit p_limit
        for no key update skip locked
    );

    -- From here on every statement has a snapshot younger than its lock.
    foreach v_id in array v_due loop
        select s.* into v_sender from messaging.senders as s where s.instance_id = v_id;
        v_until := v_now + messaging.lease_length(v_sender);
        v_slot := v_sender.next_send_at;
        select i.name into instance_name from public.whatsapp_instances as i where i.id = v_id;
        perform messaging.settle_expired(v_id, v_now);

        -- A number that was asked to wait is here only where a lease ran out meanwhile.
        if messaging.can_send(v_id) and coalesce(v_sender.wait_until <= v_now, true) then
            v_replies := 20;
            if messaging.ramp_left(v_sender, v_now) > 0 then
                -- What waited while the number was down does not leave in a burst.
                v_replies := case
                    when v_sender.reply_after <= v_now and not exists (
                        select from messaging.outbox as o
                        where o.instance_id = v_id and o.dispatch_state in ('leased', 'sending') and o.lane = 'reply'
                    ) then 1
                    else 0
                end;
            end if;
            for v_message in
                select o.* from messaging.outbox as o
                where
                    o.instance_id = v_id and o.lane = 'reply' and o.dispatch_state = 'queued'
                    and o.not_before <= v_now
                    and messaging.is_next_reply(o)
                order by o.not_before, o.id
                limit 20
            loop
                exit when v_left = 0 or v_replies = 0;
                v_verdict := messaging.judge(v_message, v_now);
                if v_verdict.action = 'go' then
                    message_id := v_message.id;
                    instance_id := v_id;
                    lane := v_message.lane;
                    lease_token := messaging.lease_message(v_message.id, v_until, p_worker);
                    v_left := v_left - 1;
                    v_replies := v_replies - 1;
                    return next;
                else
                    perform messaging.set_aside(v_message, v_verdict, 'claim');
                end if;
            end loop;

            -- The slot is also the lease of the paced message in flight: while one is, it lies in the future.
            if v_left > 0 and v_slot <= v_now and not exists (
                select from messaging.outbox as o
                where o.instance_id = v_id and o.dispatch_state in ('leased', 'sending') and o.lane <> 'reply'
            ) then
                for v_look in 1..20 loop
                    v_message := messaging.next_paced(v_id, v_now);
                    exit when v_message.id is null;
                    v_verdict := messaging.judge(v_message, v_now);
                    if v_verdict.action = 'go' then
                        message_id := v_message.id;
                        instance_id := v_id;
                        lane := v_message.lane;
                        lease_token := messaging.lease_message(v_message.id, v_until, p_worker);
                        v_slot := v_until;
                        v_left := v_left - 1;
                        return next;
                        exit;
                    end if;
                    perform messaging.set_aside(v_message, v_verdict, 'claim');
                end loop;
            end if;
        end if;

        -- Both clocks move together, or the next enqueue would let a second message out beside this one.
        perform messaging.wake(v_id, v_slot);
        exit when v_left = 0;
    end loop;
end
$$;

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.explain(bigint)');
create or replace function messaging.explain(p_message_id bigint) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_instance public.whatsapp_instances;
    v_control messaging.control;
    v_wait_until timestamptz;
    v_because text;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.id is null then
        raise exception using errcode = 'WP002', message = 'there is no message with this id';
    end if;
    select i.* into v_instance from public.whatsapp_instances as i where i.id = v_message.instance_id;
    select c.* into v_control from messaging.control as c;
    select s.wait_until into v_wait_until from messaging.senders as s where s.instance_id = v_message.instance_id;

    v_because := case
        when v_message.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn') then v_message.reason
        when v_message.dispatch_state = 'unknown'
            then 'we cannot tell whether it was sent' || case
                when messaging.waits_at_provider(p_message_id) then ': it waits in the provider''s queue'
                when messaging.presumed(p_message_id) = 'not_sent' then ', presumably not'
                else ''
            end || case v_message.on_unknown
                when 'drop' then '; without further evidence it is let go at its end'
                when 'resend_once' then '; after recorded silence it is sent again, once'
                else '; it is never sent again by itself: a person decides'
            end
        when v_message.dispatch_state = 'sending' then 'it is at the provider now'
        when v_message.dispatch_state = 'leased' then 'a worker has taken it and is about to begin'
        when v_control.paused_at is not null
            then 'everything is paused by ' || v_control.paused_by || coalesce(': ' || v_control.paused_why, '')
        when v_instance.halted_reason is not null
            then format('the provider refuses the number %s: %s', v_instance.name, v_instance.halted_reason)
        when v_instance.status <> 'active' then format('the number %s is %s', v_instance.name, v_instance.status)
        when v_message.dispatch_state = 'held' then v_message.reason
        when v_wait_until > messaging.clock() and v_wait_until >= v_message.not_before
            then format(
                'the provider asked the number %s to wait until %s',
                v_instance.name, to_char(v_wait_until at time zone v_message.time_zone, 'HH24:MI:SS')
            )
        when v_message.not_before > messaging.clock() then coalesce(v_message.reason, 'its time has not come')
        else 'it waits for its turn at the pace of ' || v_instance.name
    end;

    return jsonb_build_object(
        'message_id', v_message.id,
        'dispatch_state', v_message.dispatch_state,
        'delivery_state', v_message.delivery_state,
        'delivery_error', v_message.delivery_error,
        'because', v_because,
        'purpose', v_message.purpose,
        'lane', v_message.lane,
        'instance_name', v_instance.name,
        'phone', '…' || right(v_message.phone, 4),
        'not_before', v_message.not_before,
        'expires_at', v_message.expires_at,
        'expected_at', messaging.forecast(p_message_id),
        'enqueued_by', v_message.enqueued_by,
        'run_id', v_message.run_id,
        'history', (
            select jsonb_agg(jsonb_build_object(
                'at', h.happened_at, 'from', h.from_state, 'to', h.to_state, 'by', h.changed_by, 'reason', h.reason
            ) order by h.id)
            from messaging.history as h
            where h.message_id = p_message_id
        ),
        'attempts', (
            select jsonb_agg(jsonb_build_object(
                'begun_at', a.begun_at, 'ended_at', a.ended_at, 'outcome', a.outcome,
                'http_status', a.http_status, 'detail', a.detail, 'worker', a.worker
            ) order by a.id)
            from messaging.attempts as a
            where a.message_id = p_message_id
        ),
        'receipts', (
            select jsonb_agg(jsonb_build_object(
                'receipt', r.receipt, 'at', r.happened_at, 'received_at', r.received_at, 'error', r.error
            ) order by r.id)
            from messaging.receipts as r
            where r.message_id = p_message_id
        ),
        'evidence', messaging.evidence_of(p_message_id),
        'decisions', (
            select jsonb_agg(jsonb_build_object(
                'at', d.decided_at, 'decision', d.decision, 'by', d.decided_by, 'why', d.why
            ) order by d.id)
            from messaging.decisions as d
            where d.message_id = p_message_id
        )
    );
end
$$;

select roleta_migrations.remember_function('0082.provider_wait', 'messaging.forecast(bigint)');
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
            return greatest(v_message.not_before, v_sender.wait_until, messaging.clock());
        end if;
        return greatest(v_message.not_before, v_sender.reply_after, v_sender.wait_until, messaging.clock()) + (
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
