-- A number that comes back is silent until its return is prepared, and then begins slowly: what its row remembers, and who may speak.
-- Locks: ACCESS EXCLUSIVE on messaging.senders, messaging.attempts and messaging.purposes for a moment, while columns with constant defaults are added.
-- depends: 0066.unknown_audit

set local lock_timeout = '5s';

alter table messaging.senders
add column ramp_factor numeric not null default 3 check (ramp_factor between 1 and 100),
add column ramp_messages integer not null default 20 check (ramp_messages between 0 and 10000),
add column down_since timestamptz,
add column returned_at timestamptz,
add column return_due_at timestamptz,
add column return_token uuid,
add column return_failures integer not null default 0,
add column return_failure text,
add column paced_since_return integer not null default 0,
add column reply_after timestamptz not null default 'epoch';
create index senders_return_due on messaging.senders (return_due_at) where return_due_at is not null;
comment on column messaging.senders.ramp_factor is 'How many times as long the first gap after a return is; it falls to 1 along a straight line.';
comment on column messaging.senders.ramp_messages is
'After so many paced messages, or the time that they take at the largest gap, the pace is the usual one again. 0: at once.';
comment on column messaging.senders.down_since is 'Since when the number may not send, by its status or a halt. Null while it may.';
comment on column messaging.senders.returned_at is 'When the number last became fit again after it had been down.';
comment on column messaging.senders.return_due_at is
'When a worker should prepare the number''s return (purge the provider''s queue, thin out its own); while this is set, nothing leaves.
Set on a number that is down: its provider''s queue is to be purged in the meantime.';
comment on column messaging.senders.return_token is 'Who prepares the return now; fences what that worker records.';
comment on column messaging.senders.return_failure is 'Why the last try to purge the provider''s queue failed; return_failures: how many did.';
comment on column messaging.senders.paced_since_return is 'Paced messages since the return: how far the ramp has come.';
comment on column messaging.senders.reply_after is 'While the pace is ramped, answers too leave one by one: none before this.';

alter table messaging.attempts add column gap_factor numeric not null default 1;
comment on column messaging.attempts.gap_factor is 'By how much the ramp after a return had widened gap_s when it was drawn.';

alter table messaging.purposes add column newest_only boolean not null default false;
comment on column messaging.purposes.newest_only is
'True: of several to one person that waited for a number that was down, only the newest still goes. False for all that was asked for.';
-- What is proactive; but each reminder is of a session of its own.
update messaging.purposes as p set newest_only = true where p.quiet_hours and p.purpose <> 'session_24h';
update messaging.senders as s
set down_since = messaging.clock()
from public.whatsapp_instances as i
where i.id = s.instance_id and (i.status <> 'active' or i.halted_reason is not null);

-- How the pace begins again.

create function messaging.ramp_span_s(p_sender messaging.senders) returns numeric
language sql immutable security invoker
return p_sender.ramp_messages * p_sender.gap_max_s * (1 + p_sender.ramp_factor) / 2;
comment on function messaging.ramp_span_s(messaging.senders) is
'The longest that a ramp lasts, in seconds, however few messages there are: 30 minutes with 20 messages and gaps up to 45 s.';

create function messaging.ramp_left(p_sender messaging.senders, p_now timestamptz) returns numeric
language sql immutable security invoker
return case
    when p_sender.returned_at is null or p_sender.ramp_messages = 0 then 0
    else greatest(0, 1 - greatest(
        p_sender.paced_since_return::numeric / p_sender.ramp_messages,
        extract(epoch from p_now - p_sender.returned_at) / nullif(messaging.ramp_span_s(p_sender), 0)
    ))
end;
comment on function messaging.ramp_left(messaging.senders, timestamptz) is
'How much of the ramp is still to go: 1 at the return, 0 once it is over, by messages or by time, whichever is faster.';

create function messaging.gap_factor(p_sender messaging.senders, p_now timestamptz) returns numeric
language sql immutable security invoker
return round(1 + (p_sender.ramp_factor - 1) * messaging.ramp_left(p_sender, p_now), 4);
comment on function messaging.gap_factor(messaging.senders, timestamptz) is 'How many times as long the number''s gaps are now.';

create function messaging.ramp_extra_s(p_sender messaging.senders, p_gaps bigint, p_from timestamptz) returns double precision
language sql immutable security invoker
as $$
    -- Each of the next gaps is longer by its place in the ramp: an arithmetic series.
    select
        case
            when messaging.ramp_left(p_sender, p_from) = 0 or n.gaps <= 0 then 0
            else (p_sender.ramp_factor - 1) * (p_sender.gap_min_s + p_sender.gap_max_s) / 2
                * (n.gaps * (1 - n.done / p_sender.ramp_messages) - n.gaps * (n.gaps - 1) / (2 * p_sender.ramp_messages))
        end::double precision
    from (
        select
            p_sender.paced_since_return::numeric as done,
            least(p_gaps, p_sender.ramp_messages - p_sender.paced_since_return)::numeric as gaps
    ) as n
$$;
comment on function messaging.ramp_extra_s(messaging.senders, bigint, timestamptz) is
'By how many seconds the ramp lengthens so many gaps, the first of which begins at p_from.';

select roleta_migrations.remember_function('0067.returning', f.name)
from (
    values
    ('messaging.lease_length(messaging.senders)'),
    ('messaging.can_send(uuid)'),
    ('messaging.wake(uuid, timestamptz, timestamptz)'),
    ('messaging.follow_fitness()')
) as f (name);

create or replace function messaging.lease_length(p_sender messaging.senders) returns interval
language sql immutable security invoker
return make_interval(secs => (
    5 + p_sender.send_timeout_s + p_sender.gap_max_s * messaging.gap_factor(p_sender, p_sender.returned_at)
)::double precision);
comment on function messaging.lease_length(messaging.senders) is
'Write deadline (5 s after begin) + the provider''s timeout + the largest gap: after it, the number may speak again whatever happened.';

create or replace function messaging.can_send(p_instance_id uuid) returns boolean
language sql stable security definer set search_path = ''
as $$
    select i.status = 'active' and i.halted_reason is null and s.return_due_at is null
    from public.whatsapp_instances as i
    inner join messaging.senders as s on i.id = s.instance_id
    where i.id = p_instance_id
$$;
comment on function messaging.can_send(uuid) is
'Whether the number itself is fit to send: active, not halted, and its return, if it was down, is prepared.';

create or replace function messaging.wake(
    p_instance_id uuid, p_next_send_at timestamptz default null, p_slot_due_at timestamptz default null
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_sender messaging.senders;
    v_slot timestamptz;
    v_lease timestamptz;
    v_busy boolean;
    v_answering boolean;
    v_reply timestamptz;
    v_head timestamptz;
begin
    select s.* into v_sender from messaging.senders as s where s.instance_id = p_instance_id;
    v_slot := coalesce(p_next_send_at, v_sender.next_send_at);

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

create or replace function messaging.follow_fitness() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
    v_now timestamptz;
    v_number record;
begin
    -- By statement and in id order: one that changes many numbers locks their senders as everybody else does.
    for v_number in
        select
            a.id,
            a.provider,
            a.status,
            b.status = 'active' and b.halted_reason is null as was_fit,
            a.status = 'active' and a.halted_reason is null as is_fit
        from after_change as a
        inner join before_change as b on a.id = b.id
        where (a.status, a.halted_reason) is distinct from (b.status, b.halted_reason)
        order by a.id
    loop
        perform from messaging.senders as s
        where s.instance_id = v_number.id
        for no key update;
        v_now := messaging.clock();
        if v_number.was_fit and not v_number.is_fit then
            -- What the provider holds for a phone that is gone would leave all at once when it is back, before we know of it. Who only pauses a
            -- number lets what is in flight end.
            update messaging.senders as s
            set
                down_since = v_now, return_token = null, return_failures = 0, return_failure = null,
                return_due_at = case when v_number.provider = 'zapi' and v_number.status <> 'paused' then v_now end
            where s.instance_id = v_number.id;
        elsif v_number.is_fit and not v_number.was_fit then
            -- A client's number that opens for the first time has not been away.
            update messaging.senders as s
            set
                down_since = null, return_token = null, return_failures = 0, return_failure = null,
                returned_at = v_now, return_due_at = v_now, paced_since_return = 0, reply_after = v_now
            where s.instance_id = v_number.id and (s.down_since is not null or v_number.provider = 'zapi');
        end if;
        perform messaging.wake(v_number.id);
    end loop;
    return null;
end
$$;
comment on function messaging.follow_fitness() is
'Trigger on whatsapp_instances: a number that stops is put to sleep at once; one that resumes waits until its return is prepared.';

create or replace view audit.forgotten_senders with (security_invoker = true) as
select s.instance_id
from messaging.senders as s
inner join public.whatsapp_instances as i on s.instance_id = i.id
where
    s.ready_at is null and i.status = 'active' and i.halted_reason is null and s.return_due_at is null
    and exists (
        select from messaging.outbox as o where o.instance_id = s.instance_id and o.dispatch_state = 'queued'
    );

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
                'ramp_span_s', 'ramp_left', 'gap_factor', 'ramp_extra_s'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
    end loop;
end
$$;
