-- A provider that asks to wait is heard also where the worker's answer came after its lease had been settled.
-- Locks: none; functions only.
-- depends: 0087.sent_after_all

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0088.late_wait', 'messaging.wait_as_asked(uuid,timestamp with time zone,numeric)');
create function messaging.wait_as_asked(p_instance_id uuid, p_since timestamptz, p_retry_after_s numeric) returns void
language sql volatile security definer set search_path = ''
as $$
    update messaging.senders as s
    set wait_until = greatest(s.wait_until, p_since + make_interval(secs => p_retry_after_s::double precision))
    where s.instance_id = p_instance_id and p_retry_after_s > 0
$$;
comment on function messaging.wait_as_asked(uuid, timestamptz, numeric) is
'A provider that asks to wait asks the whole number; of two waits that it asked for, the longer holds. Null or 0: none was asked for. Its sender locked.';
revoke execute on function messaging.wait_as_asked(uuid, timestamptz, numeric) from public, anon, authenticated, service_role;

select roleta_migrations.remember_function('0088.late_wait', f.name)
from (
    values
    ('messaging.follow_attempt(messaging.attempts,numeric)'),
    ('messaging.record_attempt(bigint,text,text,text,integer,text,text,numeric)')
) as f (name);

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
    perform messaging.wait_as_asked(p_attempt.instance_id, v_now, p_retry_after_s);
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
    v_sent_attempt bigint;
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
            perform messaging.wait_as_asked(v_attempt.instance_id, messaging.clock(), v_retry_after_s);
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

    -- While this one was under way it may have come to be known that an earlier one was sent.
    if v_outcome <> 'accepted' and v_message.attempt_count > 1 then
        v_sent_attempt := messaging.sent_attempt(v_message.id);
    end if;
    if v_sent_attempt is not null then
        perform messaging.move(
            v_attempt.message_id, 'accepted', v_attempt.worker,
            format('attempt %s was sent, as came to be known meanwhile; this one ended as %s', v_sent_attempt, v_outcome)
        );
    elsif v_outcome = 'not_sent' then
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
