-- The evidence ladder: what was seen to leave is matched with what we cannot tell of, a provider's answer is noted, silence counts while the channel is
-- alive. Then the rule that the message fixed.
-- Locks: SHARE on messaging.inbound_events (writers wait) for the time of building one partial index: one read of the table.
-- depends: 0064.decisions

set local lock_timeout = '5s';

-- That the webhook of a number brings something: the proof that silence says something.
create index inbound_events_alive on messaging.inbound_events (instance_id, received_at)
where kind in ('message', 'delivery', 'status');
create index evidence_waiting on messaging.evidence (message_id) where says = 'waiting';

create function messaging.could_be(p_message messaging.outbox, p_sighting messaging.sightings) returns boolean
language sql immutable security invoker
return
    p_message.instance_id = p_sighting.instance_id and p_message.phone_key = p_sighting.phone_key
    and coalesce(p_sighting.message_kind = p_message.content ->> 'kind', true)
    and coalesce(p_sighting.text_key = messaging.text_key(p_message.content ->> 'text'), true);
comment on function messaging.could_be(messaging.outbox, messaging.sightings) is
'Whether what was seen may be this message: same number, same person, and the same kind and words as far as both are known.';

create function messaging.matches(p_instance_id uuid, p_phone_key text)
returns table (attempt_id bigint, message_id bigint, sighting_id bigint, is_open boolean)
language sql stable security definer set search_path = ''
as $$
    select a.id, a.message_id, s.id, a.outcome is null
    from messaging.sightings as s
    inner join messaging.attempts as a
        on s.instance_id = a.instance_id and a.provider_message_id is null and (a.outcome is null or a.outcome = 'unknown')
    inner join messaging.outbox as o on a.message_id = o.id
    where
        s.instance_id = p_instance_id and s.phone_key = p_phone_key
        -- What was typed by hand is never ours, whatever it says.
        and s.sent_by = 'api'
        and coalesce(s.happened_at, s.seen_at) between a.begun_at - interval '5 s' and a.begun_at + interval '15 min'
        and s.seen_at >= a.begun_at - interval '5 s'
        and messaging.could_be(o, s)
        and not exists (
            select from messaging.attempts as owner
            where owner.instance_id = s.instance_id and owner.provider_message_id = s.provider_message_id
        )
$$;
comment on function messaging.matches(uuid, text) is
'Which unaccounted attempts to one person may be which of the sightings that nobody owns; an open attempt may still turn out to be one.';

create function messaging.gather_evidence(p_message_id bigint) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_attempt messaging.attempts;
    v_sighting messaging.sightings;
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
    end if;

    for v_attempt in
        select a.* from messaging.attempts as a
        where a.message_id = p_message_id and a.outcome = 'unknown'
        order by a.id
    loop
        v_sighting := null;
        if v_attempt.provider_message_id is null then
            -- One message and one sighting that fit nothing else, or no verdict.
            with m as materialized (
                select * from messaging.matches(v_message.instance_id, v_message.phone_key)
            )
            select s.* into v_sighting
            from m
            inner join messaging.sightings as s on m.sighting_id = s.id
            where
                m.attempt_id = v_attempt.id
                and not exists (
                    select from m as other
                    where
                        other.sighting_id = m.sighting_id
                        and (other.message_id <> m.message_id or other.is_open or other.attempt_id > m.attempt_id)
                )
                and not exists (
                    select from m as other where other.message_id = m.message_id and other.sighting_id <> m.sighting_id
                );
            continue when v_sighting.id is null;
            update messaging.attempts as a
            set provider_message_id = v_sighting.provider_message_id, provider_queue_id = v_sighting.provider_queue_id
            where a.id = v_attempt.id
            returning a.* into v_attempt;
        else
            select s.* into v_sighting
            from messaging.sightings as s
            where s.instance_id = v_attempt.instance_id and s.provider_message_id = v_attempt.provider_message_id;
            continue when v_sighting.id is null;
        end if;

        -- What came before its id was known, a definite failure among it, says more than that it left.
        perform messaging.use_waiting_receipts(v_attempt.instance_id, v_attempt.provider_message_id, p_message_id);
        continue when (
            select bool_and(r.receipt = 'failed') from messaging.receipts as r
            where r.instance_id = v_attempt.instance_id and r.provider_message_id = v_attempt.provider_message_id
        );
        perform messaging.note_evidence(
            v_attempt, v_sighting.source, case when v_sighting.is_waiting then 'waiting' else 'sent' end,
            coalesce(v_sighting.happened_at, v_sighting.seen_at),
            case
                when v_sighting.is_waiting then 'it waits in the provider''s queue'
                when v_sighting.text_key is null then 'left the number in its time, to this person'
                else 'left the number in its time, to this person, with this text'
            end
        );
        if not v_sighting.is_waiting then
            perform messaging.confirm_sent(v_attempt, 'gather_evidence', 'it was seen to leave the number');
        end if;
    end loop;
    perform messaging.wake(v_message.instance_id);
    return (select o.dispatch_state from messaging.outbox as o where o.id = p_message_id);
end
$$;
comment on function messaging.gather_evidence(bigint) is
'unknown -> accepted (or rejected) where exactly one sighting can be the message and it can be no other: the attempt takes its id, so that receipts
apply. Two candidates, or a text that differs: nothing. Returns where the message stands.';

create function messaging.note_traces(p_attempt_ids bigint[], p_source text, p_traces jsonb) returns integer
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
            where
                s.instance_id = v_attempt.instance_id and s.phone_key = v_message.phone_key and s.is_waiting
                and not exists (
                    select from jsonb_array_elements(p_traces) as t where t.value ->> 'provider_message_id' = s.provider_message_id
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
comment on function messaging.note_traces(bigint[], text, jsonb) is
'What a provider answered about attempts of one number: each trace (provider_message_id, provider_queue_id, phone, text, message_kind, sent_by, happened_at)
is a sighting; an attempt that none can be has evidence that says nothing. Returns how many of those.';

create function messaging.may_have_left(p_attempt messaging.attempts, p_message messaging.outbox) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (
        select from messaging.sightings as s
        where
            s.instance_id = p_attempt.instance_id and s.phone_key = p_message.phone_key
            and s.seen_at >= p_attempt.begun_at - interval '5 s' and messaging.could_be(p_message, s)
            and not exists (
                select from messaging.attempts as owner
                where
                    owner.instance_id = s.instance_id and owner.provider_message_id = s.provider_message_id and owner.id <> p_attempt.id
            )
    )
$$;
comment on function messaging.may_have_left(messaging.attempts, messaging.outbox) is
'Whether anything was seen since the attempt began that may be it, however doubtful: by hand, one of two, too late.';

create function messaging.is_silent(p_attempt messaging.attempts, p_message messaging.outbox) returns boolean
language sql stable security definer set search_path = ''
as $$
    select
        p_attempt.outcome = 'unknown' and p_attempt.provider_message_id is null
        and p_attempt.ended_at + interval '15 min' <= c.now
        and i.status = 'active' and i.halted_reason is null
        -- Other events came since; after a time without connection, a whole quarter of an hour of them.
        and exists (
            select from messaging.inbound_events as e
            where
                e.instance_id = i.id and e.kind in ('message', 'delivery', 'status')
                and e.received_at > greatest(p_attempt.ended_at, i.last_disconnected_at)
                and (coalesce(i.last_disconnected_at, 'epoch') < p_attempt.begun_at or e.received_at + interval '15 min' <= c.now)
        )
        -- The provider was asked when its time was over, and has nothing.
        and exists (
            select from messaging.evidence as e
            where
                e.attempt_id = p_attempt.id and e.source in ('provider_queue', 'provider_search') and e.says = 'nothing'
                and e.seen_at >= p_attempt.ended_at + interval '15 min'
        )
        and not messaging.may_have_left(p_attempt, p_message)
    from public.whatsapp_instances as i
    cross join (select messaging.clock() as now) as c
    where i.id = p_attempt.instance_id
$$;
comment on function messaging.is_silent(messaging.attempts, messaging.outbox) is
'15 minutes after its end there is no sign of the attempt, the provider knows of none, and the channel is proven alive: connected, other events came.';

create function messaging.presume(p_message_id bigint) returns boolean
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
        and not exists (select from messaging.decisions as d where d.message_id = p_message_id and d.decision = 'resend')
    then
        perform messaging.decide_unknown(p_message_id, 'resend', 'reconcile', 'its rule: once, after recorded silence');
        return true;
    end if;
    return false;
end
$$;
comment on function messaging.presume(bigint) is
'Records silence where the channel is proven alive, and obeys resend_once: presumed not sent, one resend within its time, as a decision of reconcile, never
a second. hold: told to the person who decides, and no verdict; drop: nothing before its end. True where it goes again.';

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
                'could_be', 'matches', 'may_have_left', 'is_silent', 'gather_evidence', 'note_traces', 'presume'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('gather_evidence', 'note_traces', 'presume') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
