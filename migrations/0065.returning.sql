-- A number that comes back: its provider's own queue is purged first, what waited is thinned out, and its pace begins slowly.
-- Locks: ACCESS EXCLUSIVE on messaging.senders, messaging.attempts and messaging.purposes for a moment, while columns with constant defaults are added.
-- depends: 0064.unknown_audit

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

create table messaging.purged (
    attempt_id bigint primary key references messaging.attempts (id),
    message_id bigint not null references messaging.outbox (id),
    instance_id uuid not null references public.whatsapp_instances (id),
    return_token uuid not null,
    seen_at timestamptz not null,
    purged_at timestamptz
);
create index purged_message on messaging.purged (message_id);
create index purged_instance on messaging.purged (instance_id, seen_at);
alter table messaging.purged enable row level security;
revoke all on table messaging.purged from public, anon, authenticated, service_role;
comment on table messaging.purged is
'Messages of ours that stood in the provider''s own queue when we purged it: handed over, and most probably never delivered. Evidence for a
person; no machine sends them again.';
comment on column messaging.purged.seen_at is 'When they stood there.';
comment on column messaging.purged.purged_at is
'When the provider confirmed that the queue is empty. Null: the worker ended before it knew, and the next one purged what was left.';

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

select roleta_migrations.remember_function('0065.returning', f.name)
from (
    values
    ('messaging.lease_length(messaging.senders)'), ('messaging.can_send(uuid)'), ('messaging.wake(uuid, timestamptz, timestamptz)'),
    ('messaging.follow_fitness()'), ('messaging.claim(text, integer)'), ('messaging.follow_attempt(messaging.attempts, numeric)'),
    ('messaging.forecast(bigint)'), ('messaging.expected_times(jsonb)')
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

        if messaging.can_send(v_id) then
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
comment on function messaging.claim(text, integer) is
'queued -> leased for up to p_limit messages of numbers that are ready: every due reply (one per person; while the number''s pace is ramped, one
of all), and one paced message where the slot is due.';

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
        v_gap := greatest(v_gap, coalesce(p_retry_after_s, 0));
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
            -- A provider that asks to wait asks the whole number.
            v_now + make_interval(secs => p_retry_after_s::double precision),
            least(v_now + make_interval(secs => v_sender.reply_gap_s::double precision), v_cap)
        )
    );
end
$$;
comment on function messaging.follow_attempt(messaging.attempts, numeric) is
'Moves the slot after an attempt has ended: a paced one by a gap drawn now, wider after a return; a reply by a little within its bound.';

-- When what waits will go.

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
            return greatest(v_message.not_before, messaging.clock());
        end if;
        return greatest(v_message.not_before, v_sender.reply_after, messaging.clock()) + (
            select make_interval(secs => (count(*) * v_sender.reply_gap_s)::double precision)
            from messaging.outbox as o
            where
                o.instance_id = v_message.instance_id and o.lane = 'reply' and o.dispatch_state = 'queued'
                and (o.not_before, o.id) < (v_message.not_before, v_message.id)
        );
    end if;

    v_slot := greatest(v_sender.next_send_at, messaging.clock());
    v_gap := messaging.mean_gap_s(v_message.instance_id);

    -- Of all that goes before it, and itself: whoever starts last, with a gap for each one behind it.
    select
        b.starts_at,
        make_interval(secs => b.needs_s)
    into v_from, v_needs
    from (
        select
            a.starts_at,
            v_gap * a.behind + messaging.ramp_extra_s(v_sender, a.behind, a.starts_at) as needs_s
        from (
            select
                greatest(q.not_before, v_slot) as starts_at,
                count(*) over () - row_number() over (order by q.not_before, q.id = v_message.id, q.id) as behind
            -- Drafts are composed before their turn comes, so they stand in the queue already.
            from (
                select
                    o.id,
                    o.lane,
                    o.not_before
                from messaging.outbox as o
                where o.instance_id = v_message.instance_id and o.dispatch_state = 'queued'
                union all
                select
                    o.id,
                    o.lane,
                    o.not_before
                from messaging.outbox as o
                where o.instance_id = v_message.instance_id and o.dispatch_state = 'draft'
            ) as q
            where
                (
                    q.id = v_message.id
                    or (
                        q.lane = 'timed' and v_message.lane = 'bulk'
                        and q.not_before <= greatest(v_message.not_before, v_slot)
                    )
                    or (q.lane = v_message.lane and (q.not_before, q.id) < (v_message.not_before, v_message.id))
                )
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
comment on function messaging.forecast(bigint) is
'When a queued message or a draft should leave: the slot, what goes before it and when that may, a mean gap for each, wider after a return, and
its nights. Null when only a person or the provider can say.';

create or replace function messaging.expected_times(p_people jsonb)
returns table (place integer, instance_name text, expected_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    perform messaging.require(jsonb_typeof(p_people) = 'array', 'expected_times takes a list of {profile_id or instance_id, purpose, time_zone?}');
    return query
    with asked as (
        select
            e.ordinality,
            r.lane,
            r.quiet_hours,
            coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo') as time_zone,
            messaging.resolve_instance((e.value ->> 'profile_id')::uuid, null, (e.value ->> 'instance_id')::uuid) as instance_id
        from jsonb_array_elements(p_people) with ordinality as e
        left join messaging.purposes as r on r.purpose = e.value ->> 'purpose'
    ), numbers as (
        select
            s.instance_id,
            greatest(s.next_send_at, v_now) as slot,
            messaging.mean_gap_s(s.instance_id) as gap_s,
            count(o.id) filter (where o.lane = 'timed') as timed,
            count(o.id) filter (where o.lane <> 'reply') as paced
        from messaging.senders as s
        left join (
            select x.id, x.lane, x.instance_id from messaging.outbox as x where x.dispatch_state = 'queued'
            union all
            select x.id, x.lane, x.instance_id from messaging.outbox as x where x.dispatch_state = 'draft'
        ) as o on s.instance_id = o.instance_id
        where s.instance_id in (select a.instance_id from asked as a)
        group by s.instance_id
    ), ahead as (
        select
            a.*,
            n.slot,
            n.gap_s,
            case when a.lane = 'bulk' then n.paced else n.timed end
            -- Of those asked about: what overtakes first, then their own order.
            + row_number() over (partition by a.instance_id order by a.lane = 'bulk', a.ordinality) - 1 as gaps
        from asked as a
        left join numbers as n on a.instance_id = n.instance_id
    ), foreseen as (
        select
            h.*,
            make_interval(secs => h.gap_s * h.gaps + messaging.ramp_extra_s(s, h.gaps, h.slot)) as needs
        from ahead as h
        left join messaging.senders as s on h.instance_id = s.instance_id
    )

    select
        h.ordinality::integer,
        i.name::text,
        case
            when not messaging.can_send(h.instance_id) or (select c.paused_at is not null from messaging.control as c) then null
            when h.quiet_hours then messaging.by_day(h.slot, h.needs, h.time_zone)
            else h.slot + h.needs
        end
    from foreseen as h
    left join public.whatsapp_instances as i on h.instance_id = i.id
    order by h.ordinality;
end
$$;

-- How a return is prepared: a worker takes it, notes what stands in the provider's queue, purges that, and says so.

create function messaging.take_returns(p_limit integer default 8, p_lease_s double precision default 60)
returns table (
    instance_id uuid, instance_name text, provider text, zapi_instance_id text, zapi_token text, zapi_client_token text,
    evolution_instance_name text, return_token uuid
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_due uuid[];
begin
    -- What another worker holds is its own to prepare: nothing here waits.
    v_due := array(
        select s.instance_id from messaging.senders as s
        where s.return_due_at <= v_now
        order by s.return_due_at, s.instance_id
        limit p_limit
        for no key update skip locked
    );
    return query
    with taken as (
        update messaging.senders as s
        set return_token = gen_random_uuid(), return_due_at = v_now + make_interval(secs => p_lease_s)
        where s.instance_id = any(v_due)
        returning s.instance_id, s.return_token
    )

    select
        i.id, i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token, i.evolution_instance_name, t.return_token
    from taken as t
    inner join public.whatsapp_instances as i on t.instance_id = i.id
    order by i.id;
end
$$;
comment on function messaging.take_returns(integer, double precision) is
'The numbers whose return is to be prepared, each to one worker only; taken by the next one when that worker does not say how it went.';

create function messaging.note_queue(p_instance_id uuid, p_token uuid, p_entries jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_ours integer;
begin
    perform messaging.require(jsonb_typeof(p_entries) = 'array', 'the provider''s queue comes as a list of {message_id?, phone?, text?}');
    perform from messaging.senders as s
    where s.instance_id = p_instance_id and s.return_token = p_token
    for no key update;
    if not found then
        return null;
    end if;
    -- By the id that the provider gave us; what we cannot tell of has none, but may be known by person and text, if only one is.
    insert into messaging.purged (attempt_id, message_id, instance_id, return_token, seen_at)
    select distinct on (f.attempt_id)
        f.attempt_id,
        f.message_id,
        p_instance_id,
        p_token,
        v_now
    from jsonb_to_recordset(p_entries) as e (message_id text, phone text, text text)
    cross join lateral (
        select
            a.id as attempt_id,
            a.message_id
        from messaging.attempts as a
        where a.instance_id = p_instance_id and a.provider_message_id = e.message_id
        union all
        select
            max(a.id) as attempt_id,
            max(o.id) as message_id
        from messaging.outbox as o
        inner join messaging.attempts as a on o.id = a.message_id
        where
            o.instance_id = p_instance_id and o.dispatch_state = 'unknown' and o.phone_key = messaging.phone_key(e.phone)
            and o.content ->> 'text' = e.text and a.outcome = 'unknown' and a.provider_message_id is null
        having count(distinct o.id) = 1
    ) as f
    on conflict (attempt_id) do update
    set return_token = excluded.return_token, seen_at = excluded.seen_at, purged_at = null;
    get diagnostics v_ours = row_count;
    return v_ours;
end
$$;
comment on function messaging.note_queue(uuid, uuid, jsonb) is
'Before the purge: which messages of ours stand in the provider''s queue, so that a crash right after it loses no trace of them. How many; null
when the return is no longer this worker''s. Their dispatch_state stays: accepted is not delivered, and no machine sends them again.';

create function messaging.thin_out(p_instance_id uuid, p_now timestamptz) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message record;
    v_gone integer := 0;
begin
    for v_message in
        select
            w.id,
            w.is_over
        from (
            select
                o.id,
                o.expires_at <= p_now as is_over,
                p.newest_only and o.lane <> 'reply' and o.not_before <= p_now as is_weighed,
                row_number() over (
                    partition by o.agency_id, o.purpose, o.phone_key, o.expires_at <= p_now, o.not_before <= p_now order by o.id desc
                ) as place
            from messaging.outbox as o
            inner join messaging.purposes as p on o.purpose = p.purpose
            where o.instance_id = p_instance_id and o.dispatch_state in ('draft', 'queued', 'held')
        ) as w
        where w.is_over or (w.is_weighed and w.place > 1)
        order by w.id
    loop
        if v_message.is_over then
            perform messaging.move(v_message.id, 'expired', 'finish_return', 'its time was over before the number came back');
        else
            perform messaging.move(
                v_message.id, 'withdrawn', 'finish_return', 'the number was down, and a newer one of this kind waits for the same person'
            );
        end if;
        v_gone := v_gone + 1;
    end loop;
    return v_gone;
end
$$;
comment on function messaging.thin_out(uuid, timestamptz) is
'draft, queued, held -> expired where their time is over, -> withdrawn where the purpose keeps the newest only (its sender locked). How many.';

create function messaging.finish_return(
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
comment on function messaging.finish_return(uuid, uuid, integer, text, text) is
'The end of a return''s preparation: the number may send again, its queue thinned out, its pace ramped; down: only its provider''s queue was
purged; failed: it stays silent and is tried again; not_held: not this worker''s any more. p_found: how many stood in the provider''s queue.';

create function messaging.returns()
returns table (
    instance_id uuid, instance_name text, down_since timestamptz, returned_at timestamptz, is_prepared boolean,
    failures integer, failure text, gap_factor numeric, ramp_until timestamptz, ramp_messages_left integer, purged bigint
)
language sql stable security definer set search_path = ''
as $$
    select
        i.id, i.name, s.down_since, s.returned_at, s.return_due_at is null, s.return_failures, s.return_failure,
        messaging.gap_factor(s, n.now),
        case
            when messaging.ramp_left(s, n.now) > 0
                then s.returned_at + make_interval(secs => messaging.ramp_span_s(s)::double precision)
        end,
        greatest(s.ramp_messages - s.paced_since_return, 0),
        p.purged
    from messaging.senders as s
    inner join public.whatsapp_instances as i on s.instance_id = i.id
    cross join (select messaging.clock() as now) as n
    cross join lateral (
        select count(*) as purged
        from messaging.purged as g
        inner join messaging.outbox as o on g.message_id = o.id
        where g.instance_id = s.instance_id and g.seen_at > n.now - interval '7 days' and o.delivery_state is null
    ) as p
    where s.return_due_at is not null or messaging.ramp_left(s, n.now) > 0 or p.purged > 0
    order by i.name, i.id
$$;
comment on function messaging.returns() is
'The numbers that come back, or whose provider''s queue was purged within a week: whether that is prepared, what keeps it, how long the ramp
lasts, and how many messages that were purged no receipt speaks of.';

create function messaging.return_notes(p_message_id bigint) returns table (note text)
language sql stable security definer set search_path = ''
as $$
    select unnest(array_remove(array[
        case
            when o.dispatch_state not in ('draft', 'queued', 'held', 'leased') or i.status <> 'active' or i.halted_reason is not null then null
            when s.return_due_at is not null and s.return_failure is not null
                then format('the number came back at %s and stays silent: its provider''s queue could not be purged (%s)', t.back, s.return_failure)
            when s.return_due_at is not null
                then format('the number came back at %s and stays silent until its provider''s queue is purged', t.back)
            when messaging.ramp_left(s, n.now) > 0
                then format(
                    'the number came back at %s; ramping until %s or for %s more messages: its gaps are %s times as long now', t.back,
                    to_char(
                        (s.returned_at + make_interval(secs => messaging.ramp_span_s(s)::double precision)) at time zone o.time_zone, 'HH24:MI:SS'
                    ),
                    s.ramp_messages - s.paced_since_return, round(messaging.gap_factor(s, n.now), 1)
                )
        end,
        (
            select
                case
                    when g.purged_at is null then 'it stood in the provider''s own queue when a worker was about to purge that'
                    else format(
                        'it stood in the provider''s own queue when that was purged at %s: most probably never delivered',
                        to_char(g.purged_at at time zone o.time_zone, 'YYYY-MM-DD HH24:MI:SS')
                    )
                end
            from messaging.purged as g
            where g.message_id = o.id
            order by g.seen_at desc
            limit 1
        )
    ], null))
    from messaging.outbox as o
    inner join messaging.senders as s on o.instance_id = s.instance_id
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    cross join (select messaging.clock() as now) as n
    cross join lateral (select to_char(s.returned_at at time zone o.time_zone, 'HH24:MI:SS') as back) as t
    where o.id = p_message_id
$$;
comment on function messaging.return_notes(bigint) is
'What its number''s return means for a message, in sentences, in the person''s time zone: that the number waits for its purge, or is ramping; that
the message was purged.';

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
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'ramp_span_s', 'ramp_left', 'gap_factor', 'ramp_extra_s', 'take_returns', 'note_queue', 'thin_out', 'finish_return', 'returns',
                'return_notes'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text ~ '(take_returns|note_queue|finish_return|returns|return_notes)' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
