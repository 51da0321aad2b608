-- What is known of one attempt counts for the message while another is under way: it does not go a third time. What was taken out of a provider's queue
-- does not wait there any more.
-- Locks: none; functions and a view only.
-- depends: 0078.one_look

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0079.proof', f.name)
from (
    values
    ('messaging.record_attempt(bigint,text,text,text,integer,text,text,numeric)'),
    ('messaging.settle_expired(uuid,timestamp with time zone)'),
    ('messaging.presumed(bigint)'),
    ('messaging.presume(bigint)'),
    ('messaging.note_withdrawn(bigint)'),
    ('messaging.finish_return(uuid,uuid,integer,text,text)')
) as f (name);

create function messaging.sent_attempt(p_message_id bigint) returns bigint
language sql stable security definer set search_path = ''
as $$
    select min(e.attempt_id)
    from messaging.evidence as e
    where
        e.message_id = p_message_id and e.says = 'sent'
        -- What the provider reported as failed after it had taken it did not arrive.
        and not exists (
            select from messaging.evidence as f where f.attempt_id = e.attempt_id and f.source = 'receipt' and f.says = 'not_sent'
        )
$$;
comment on function messaging.sent_attempt(bigint) is
'The first attempt at a message of which we could not tell, and evidence says since that it was sent; null where there is none.';
revoke execute on function messaging.sent_attempt(bigint) from public, anon, authenticated, service_role;

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

create or replace function messaging.settle_expired(p_instance_id uuid, p_now timestamptz) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_sent_attempt bigint;
    v_settled integer := 0;
begin
    for v_message in
        select o.* from messaging.outbox as o
        where
            o.instance_id = p_instance_id and o.dispatch_state in ('leased', 'sending')
            and o.leased_until <= p_now
        order by o.id
    loop
        if v_message.dispatch_state = 'leased' then
            perform messaging.move(
                v_message.id, 'queued', 'settle_expired', 'the worker that took it never began; nothing was sent'
            );
        else
            update messaging.attempts as a
            set outcome = 'unknown', ended_at = p_now, detail = 'the worker did not record an outcome in its time'
            where a.message_id = v_message.id and a.outcome is null;
            perform messaging.move(
                v_message.id, 'unknown', 'settle_expired', 'the worker began and never said how it ended'
            );
            v_sent_attempt := case when v_message.attempt_count > 1 then messaging.sent_attempt(v_message.id) end;
            if v_sent_attempt is not null then
                perform messaging.move(
                    v_message.id, 'accepted', 'settle_expired', format('attempt %s was sent, as came to be known meanwhile', v_sent_attempt)
                );
            end if;
        end if;
        v_settled := v_settled + 1;
    end loop;
    return v_settled;
end
$$;

create or replace function messaging.presumed(p_message_id bigint) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        -- Whichever attempt it was: the person has it.
        when messaging.sent_attempt(p_message_id) is not null then null
        when bool_or(e.says = 'sent') then null
        when messaging.waits_at_provider(p_message_id) then null
        when bool_or(e.says = 'not_sent') then 'not_sent'
    end
    from messaging.evidence as e
    where
        e.message_id = p_message_id
        and e.attempt_id = (
            select max(a.id) from messaging.attempts as a where a.message_id = p_message_id and a.outcome = 'unknown'
        )
$$;

create or replace function messaging.presume(p_message_id bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_attempt messaging.attempts;
begin
    perform from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    select o.* into v_message
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;
    if v_message.id is null then
        raise exception using errcode = 'WP002', message = 'there is no message with this id';
    elsif v_message.dispatch_state <> 'unknown' then
        return false;
    end if;
    select a.* into v_attempt
    from messaging.attempts as a
    where a.message_id = p_message_id and a.outcome = 'unknown'
    order by a.id desc
    limit 1;
    if messaging.is_silent(v_attempt, v_message) then
        -- Every event of a message may have been lost: silence calls it unsent only where the message's own rule says to act on that.
        perform messaging.note_evidence(
            v_attempt, 'silence', case v_message.on_unknown when 'resend_once' then 'not_sent' else 'nothing' end, null,
            'no sign of it in 15 minutes; the provider knows of none, the number is connected and other events came'
        );
    end if;
    if v_message.on_unknown = 'resend_once' and messaging.presumed(p_message_id) = 'not_sent'
        and v_message.expires_at > messaging.clock()
        -- The attempts themselves say whether it went twice, whatever became of the decisions.
        and (select count(*) from messaging.attempts as a where a.message_id = p_message_id and a.outcome in ('accepted', 'unknown')) < 2
    then
        perform messaging.decide_unknown(p_message_id, 'resend', 'reconcile', 'its rule: once, after recorded silence');
        return true;
    end if;
    return false;
end
$$;

create or replace function messaging.note_withdrawn(p_attempt_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
begin
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    if v_attempt.id is null then
        raise exception using errcode = 'WP002', message = 'there is no attempt with this id';
    end if;
    -- It was seen waiting and does not wait any more; should the queue still hold it, it will be seen again.
    delete from messaging.sightings as s
    where s.instance_id = v_attempt.instance_id and s.provider_message_id = v_attempt.provider_message_id and s.is_waiting;
    perform messaging.note_evidence(v_attempt, 'provider_queue', 'not_sent', null, 'withdrawn from the provider''s queue');
end
$$;

create or replace function messaging.finish_return(
    p_instance_id uuid, p_token uuid, p_found integer default null, p_failure text default null, p_by text default 'a worker'
)
returns table (return_state text, thinned_out integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz;
    v_sender messaging.senders;
    v_is_down boolean;
begin
    select s.* into v_sender
    from messaging.senders as s
    where s.instance_id = p_instance_id and s.return_token = p_token
    for no key update;
    if not found then
        -- It went down or came back once more, or took longer than its lease: what was purged then says nothing of now.
        return query select 'not_held'::text, 0;
        return;
    end if;
    v_now := messaging.clock();
    v_is_down := v_sender.down_since is not null;
    if p_failure is not null then
        update messaging.senders as s
        set
            return_token = null, return_failures = s.return_failures + 1, return_failure = left(p_failure, 200),
            return_due_at = v_now + case when v_is_down then interval '10 minutes' else make_interval(secs => least(5 * 2 ^ s.return_failures, 60)) end
        where s.instance_id = p_instance_id;
        return query select 'failed'::text, 0;
        return;
    end if;

    update messaging.purged as p set purged_at = v_now where p.instance_id = p_instance_id and p.return_token = p_token;
    perform messaging.note_evidence(a, 'provider_queue', 'not_sent', v_now, 'withdrawn from the provider''s queue before the number came back')
    from messaging.purged as p
    inner join messaging.attempts as a on p.attempt_id = a.id
    where p.instance_id = p_instance_id and p.return_token = p_token and a.outcome = 'unknown';
    -- The queue was emptied: nothing that was seen waiting there waits any more. In the order in which sightings are noted.
    delete from messaging.sightings as s
    where s.id in (
        select x.id from messaging.sightings as x
        where x.instance_id = p_instance_id and x.is_waiting
        order by x.provider_message_id
        for update
    );
    if p_found > 0 then
        insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
        values (p_instance_id, v_now, p_by, format('purged the provider''s queue of %s messages', p_found));
    end if;
    update messaging.senders as s
    set
        return_due_at = null, return_token = null, return_failures = 0, return_failure = null,
        -- The ramp begins when the number may speak.
        returned_at = case when v_is_down then s.returned_at else v_now end, reply_after = case when v_is_down then s.reply_after else v_now end
    where s.instance_id = p_instance_id;
    if v_is_down then
        return query select 'down'::text, 0;
        return;
    end if;
    thinned_out := messaging.thin_out(p_instance_id, v_now);
    perform messaging.wake(p_instance_id);
    return_state := 'returned';
    return next;
end
$$;

create view audit.sent_and_goes_again with (security_invoker = true) as
select
    o.id as message_id,
    o.dispatch_state,
    e.attempt_id
from messaging.evidence as e
inner join messaging.outbox as o on e.message_id = o.id
where
    e.says = 'sent' and o.dispatch_state in ('queued', 'held', 'leased', 'unknown')
    and not exists (
        select from messaging.evidence as f where f.attempt_id = e.attempt_id and f.source = 'receipt' and f.says = 'not_sent'
    );
comment on view audit.sent_and_goes_again is 'I3: evidence says that an attempt was sent, and the message waits to go again, or counts as uncertain.';
revoke all on table audit.sent_and_goes_again from public, anon, authenticated, service_role;

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where c.relnamespace = 'audit'::regnamespace and c.relkind = 'v' and c.relname <> 'findings'
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;
