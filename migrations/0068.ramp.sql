-- The claim, the gap and the forecast of a number whose pace begins again: widened gaps, answers one by one.
-- Locks: none; functions only.
-- depends: 0067.returning

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0068.ramp', f.name)
from (
    values
    ('messaging.claim(text, integer)'),
    ('messaging.follow_attempt(messaging.attempts, numeric)'),
    ('messaging.forecast(bigint)'),
    ('messaging.expected_times(jsonb)')
) as f (name);

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
