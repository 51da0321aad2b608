-- When a number may send, and what may stand at the head of its queue. Every function here expects its caller to hold
-- the sender's row lock.
-- depends: 0007.outbox

set local lock_timeout = '5s';

create function messaging.can_send(p_instance_id uuid) returns boolean
language sql stable security definer set search_path = ''
as $$
    select i.status = 'active' and i.halted_reason is null
    from public.whatsapp_instances as i
    where i.id = p_instance_id
$$;
comment on function messaging.can_send(uuid) is 'Whether the number itself is fit to send: active and not halted.';

create function messaging.quiet_until(p_at timestamptz, p_time_zone text) returns timestamptz
language sql stable security invoker
return (
    select
        case
            when l.local_time::time >= '22:00' then (l.local_time::date + 1 + time '08:00') at time zone p_time_zone
            when l.local_time::time < '08:00' then (l.local_time::date + time '08:00') at time zone p_time_zone
        end
    from (select p_at at time zone p_time_zone as local_time) as l
);
comment on function messaging.quiet_until(timestamptz, text) is
'The end (08:00) of the quiet hours (22:00-08:00) that the moment falls into, in that zone; null by day.';

create function messaging.lease_length(p_sender messaging.senders) returns interval
language sql immutable security invoker
return make_interval(secs => (5 + p_sender.send_timeout_s + p_sender.gap_max_s)::double precision);
comment on function messaging.lease_length(messaging.senders) is
'Write deadline (5 s after begin) + the provider''s timeout + the largest gap: after it, the number may speak again whatever happened.';

create type messaging.verdict as (action text, until timestamptz, why text);

create function messaging.judge(p_message messaging.outbox, p_now timestamptz) returns messaging.verdict
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_morning timestamptz;
    v_unknown bigint;
begin
    if p_now >= p_message.expires_at then
        return ('expire', null, 'its time was over before its turn came')::messaging.verdict;
    end if;

    if (select p.quiet_hours from messaging.purposes as p where p.purpose = p_message.purpose) then
        v_morning := messaging.quiet_until(p_now, p_message.time_zone);
        if v_morning >= p_message.expires_at then
            return ('expire', null, 'its time is over before the quiet hours end')::messaging.verdict;
        elsif v_morning is not null then
            return ('wait', v_morning, 'quiet hours')::messaging.verdict;
        end if;
    end if;

    -- While we cannot tell whether this person got the last message, the next one that is not an answer waits.
    if p_message.lane <> 'reply' then
        select u.id into v_unknown
        from messaging.outbox as u
        where
            u.instance_id = p_message.instance_id and u.phone_key = p_message.phone_key
            and u.dispatch_state = 'unknown' and u.lane <> 'reply'
        order by u.id
        limit 1;
        if v_unknown is not null then
            return ('hold', null, 'message ' || v_unknown)::messaging.verdict;
        end if;
    end if;

    return ('go', null, null)::messaging.verdict;
end
$$;
comment on function messaging.judge(messaging.outbox, timestamptz) is
'What becomes of a message at the head: go, wait (until), hold, or expire; the same rules at claim and at begin.';

create function messaging.wake(
    p_instance_id uuid, p_next_send_at timestamptz default null, p_slot_due_at timestamptz default null
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_slot timestamptz;
    v_lease timestamptz;
    v_busy boolean;
    v_reply timestamptz;
    v_head timestamptz;
begin
    select coalesce(p_next_send_at, s.next_send_at) into v_slot
    from messaging.senders as s
    where s.instance_id = p_instance_id;

    select
        min(o.leased_until),
        coalesce(bool_or(o.lane <> 'reply'), false)
    into v_lease, v_busy
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
        slot_due_at = coalesce(p_slot_due_at, s.slot_due_at),
        ready_at = least(v_lease, v_reply, v_head)
    where
        s.instance_id = p_instance_id
        and (
            s.next_send_at <> v_slot or s.slot_due_at <> coalesce(p_slot_due_at, s.slot_due_at)
            or s.ready_at is distinct from least(v_lease, v_reply, v_head)
        );
end
$$;
comment on function messaging.wake(uuid, timestamptz, timestamptz) is
'Sets ready_at from what is true now (leases, replies, the paced head, the slot). Called by whatever touches a number''s messages.';

-- A change of a number's fitness, by whatever hand, is felt by its sender in the same transaction.
create function messaging.follow_fitness() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
    v_id uuid;
begin
    -- By statement and in id order: one that changes many numbers locks their senders as everybody else does.
    for v_id in
        select a.id
        from after_change as a
        inner join before_change as b on a.id = b.id
        where (a.status, a.halted_reason) is distinct from (b.status, b.halted_reason)
        order by a.id
    loop
        perform from messaging.senders as s
        where s.instance_id = v_id
        for no key update;
        perform messaging.wake(v_id);
    end loop;
    return null;
end
$$;
comment on function messaging.follow_fitness() is
'Trigger on whatsapp_instances: a number that stops or resumes is put to sleep or woken at once.';
create trigger follow_fitness after update on public.whatsapp_instances
referencing old table as before_change new table as after_change
for each statement execute function messaging.follow_fitness();

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'can_send', 'quiet_until', 'lease_length', 'judge', 'wake', 'follow_fitness'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
