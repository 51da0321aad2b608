-- claim: which messages leave next. Locks the numbers that are ready, then looks at their queues.
-- depends: 0010.receipts

set local lock_timeout = '5s';

create function messaging.next_paced(p_instance_id uuid, p_now timestamptz) returns messaging.outbox
language sql stable security definer set search_path = ''
as $$
    -- Two probes of one index, the first lane that has something due.
    (
        select o.* from messaging.outbox as o
        where
            o.instance_id = p_instance_id and o.lane = 'timed' and o.dispatch_state = 'queued'
            and o.not_before <= p_now
        order by o.not_before, o.id
        limit 1
    )
    union all
    (
        select o.* from messaging.outbox as o
        where
            o.instance_id = p_instance_id and o.lane = 'bulk' and o.dispatch_state = 'queued'
            and o.not_before <= p_now
        order by o.not_before, o.id
        limit 1
    )
    limit 1
$$;
comment on function messaging.next_paced(uuid, timestamptz) is
'The head of a number''s paced lanes that is due: timed before bulk, then not_before, then id.';

create function messaging.set_aside(p_message messaging.outbox, p_verdict messaging.verdict, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    case p_verdict.action
        when 'expire' then
            perform messaging.move(p_message.id, 'expired', p_by, p_verdict.why);
        when 'withdraw' then
            perform messaging.move(p_message.id, 'withdrawn', p_by, p_verdict.why);
        when 'hold' then
            update messaging.outbox as o
            set
                dispatch_state = 'held', held_by = p_verdict.why, changed_by = p_by,
                reason = 'waits until ' || p_verdict.why || ' is settled'
            where o.id = p_message.id;
        when 'wait' then
            update messaging.outbox as o
            set not_before = p_verdict.until, reason = p_verdict.why
            where o.id = p_message.id;
    end case;
end
$$;
comment on function messaging.set_aside(messaging.outbox, messaging.verdict, text) is
'queued -> expired, withdrawn or held, or later: takes what may not go away from the head of its queue.';

create function messaging.lease_message(p_message_id bigint, p_until timestamptz, p_worker text) returns uuid
language sql volatile security definer set search_path = ''
as $$
    update messaging.outbox as o
    set
        dispatch_state = 'leased', lease_token = gen_random_uuid(), leased_until = p_until,
        changed_by = p_worker, reason = null
    where o.id = p_message_id and o.dispatch_state = 'queued'
    returning o.lease_token
$$;
comment on function messaging.lease_message(bigint, timestamptz, text) is 'queued -> leased; the token fences every later step.';

create function messaging.is_next_reply(p_message messaging.outbox) returns boolean
language sql stable security definer set search_path = ''
as $$
    -- One answer at a time to each person, in the order in which they were written, also when one has to wait.
    select not exists (
        select from messaging.outbox as o
        where
            o.instance_id = p_message.instance_id and o.phone_key = p_message.phone_key and o.lane = 'reply'
            and o.dispatch_state in ('queued', 'leased', 'sending')
            and (o.id < p_message.id or o.dispatch_state <> 'queued')
    )
$$;
comment on function messaging.is_next_reply(messaging.outbox) is
'Whether no earlier answer to the same person on the same number is queued, and none in flight.';

create function messaging.claim(p_worker text, p_limit integer default 16)
returns table (message_id bigint, instance_id uuid, instance_name text, lane text, lease_token uuid)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_left integer := p_limit;
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

        if messaging.can_send(v_id) then
            for v_message in
                select o.* from messaging.outbox as o
                where
                    o.instance_id = v_id and o.lane = 'reply' and o.dispatch_state = 'queued'
                    and o.not_before <= v_now
                    and messaging.is_next_reply(o)
                order by o.not_before, o.id
                limit 20
            loop
                exit when v_left = 0;
                v_verdict := messaging.judge(v_message, v_now);
                if v_verdict.action = 'go' then
                    message_id := v_message.id;
                    instance_id := v_id;
                    lane := v_message.lane;
                    lease_token := messaging.lease_message(v_message.id, v_until, p_worker);
                    v_left := v_left - 1;
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
comment on function messaging.claim(text, integer) is
'queued -> leased for up to p_limit messages of numbers that are ready: every due reply (one per person), and one paced message where the slot is due.';

create function messaging.ready_in_s() returns double precision
language sql stable security definer set search_path = ''
as $$
    -- Not greatest(null, 0), which is 0 and would make an idle worker spin.
    select
        case
            when min(s.ready_at) is not null
                then greatest(extract(epoch from min(s.ready_at) - messaging.clock()), 0)
        end::double precision
    from messaging.senders as s
    where s.ready_at is not null and not exists (
        select from messaging.control as c where c.paused_at is not null
    )
$$;
comment on function messaging.ready_in_s() is
'Seconds until the next number is due, by the database''s clock; null when none has anything to do. A worker sleeps so long.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'is_next_reply', 'next_paced', 'set_aside', 'lease_message', 'claim', 'ready_in_s'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.claim(text, integer) to service_role;
grant execute on function messaging.ready_in_s() to service_role;
