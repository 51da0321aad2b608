-- What an operator asks: the pool as a table, why a message has not gone, and when it will.
-- depends: 0017.control

set local lock_timeout = '5s';

create function messaging.mean_gap_s(p_instance_id uuid) returns double precision
language sql stable security definer set search_path = ''
as $$
    -- The drawn gap's mean, plus how long this number's sends have lately taken, plus what its answers push.
    select (
        (s.gap_min_s + s.gap_max_s) / 2
        + coalesce((
            select avg(extract(epoch from r.ended_at - r.begun_at))
            from (
                select a.ended_at, a.begun_at from messaging.attempts as a
                where a.instance_id = s.instance_id and a.lane <> 'reply' and a.ended_at is not null
                order by a.begun_at desc
                limit 20
            ) as r
        ), 0.5)
        + least(s.reply_push_max_s, (
            select count(*) from messaging.attempts as a
            where
                a.instance_id = s.instance_id and a.lane = 'reply'
                and a.begun_at > messaging.clock() - interval '1 hour'
        ) * s.reply_gap_s * s.reply_gap_s / 2 / 3600 * (s.gap_min_s + s.gap_max_s) / 2)
    )::double precision
    from messaging.senders as s
    where s.instance_id = p_instance_id
$$;
comment on function messaging.mean_gap_s(uuid) is
'Seconds from one paced message of the number to the next, as its gaps, its recent sends and its answers make them.';

create function messaging.by_day(p_from timestamptz, p_needs interval, p_time_zone text) returns timestamptz
language plpgsql stable security invoker
as $$
declare
    v_at timestamptz := p_from;
    v_left interval := p_needs;
    v_evening timestamptz;
begin
    -- A year of days is more than any message waits.
    for v_day in 1..366 loop
        v_at := coalesce(messaging.quiet_until(v_at, p_time_zone), v_at);
        v_evening := ((v_at at time zone p_time_zone)::date + time '22:00') at time zone p_time_zone;
        exit when v_at + v_left < v_evening;
        v_left := v_left - (v_evening - v_at);
        v_at := v_evening;
    end loop;
    return v_at + v_left;
end
$$;
comment on function messaging.by_day(timestamptz, interval, text) is
'The moment at which so much time has passed since p_from, not counting the quiet hours.';

create function messaging.forecast(p_message_id bigint) returns timestamptz
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_slot timestamptz;
    v_gap double precision;
    v_from timestamptz;
    v_needs interval;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.dispatch_state in ('leased', 'sending') then
        return messaging.clock();
    elsif v_message.dispatch_state is distinct from 'queued' or not messaging.can_send(v_message.instance_id)
        or (select c.paused_at is not null from messaging.control as c)
    then
        return null;
    elsif v_message.lane = 'reply' then
        return greatest(v_message.not_before, messaging.clock());
    end if;

    select greatest(s.next_send_at, messaging.clock()) into v_slot
    from messaging.senders as s
    where s.instance_id = v_message.instance_id;
    v_gap := messaging.mean_gap_s(v_message.instance_id);

    -- Of all that goes before it, and itself: whoever starts last, with a gap for each one behind it.
    select
        a.starts_at,
        make_interval(secs => v_gap * (count(*) over () - a.place))
    into v_from, v_needs
    from (
        select
            greatest(q.not_before, v_slot) as starts_at,
            row_number() over (order by q.not_before, q.id = v_message.id, q.id) as place
        from messaging.outbox as q
        where
            q.instance_id = v_message.instance_id and q.dispatch_state = 'queued'
            and (
                q.id = v_message.id
                or (
                    q.lane = 'timed' and v_message.lane = 'bulk'
                    and q.not_before <= greatest(v_message.not_before, v_slot)
                )
                or (q.lane = v_message.lane and (q.not_before, q.id) < (v_message.not_before, v_message.id))
            )
    ) as a
    order by a.starts_at + make_interval(secs => v_gap * (count(*) over () - a.place)) desc
    limit 1;

    if (select p.quiet_hours from messaging.purposes as p where p.purpose = v_message.purpose) then
        return messaging.by_day(v_from, v_needs, v_message.time_zone);
    end if;
    return v_from + v_needs;
end
$$;
comment on function messaging.forecast(bigint) is
'When a queued message should leave: the slot, what goes before it and when that may, a mean gap for each, and its nights.
Null when only a person or the provider can say.';

create function messaging.explain(p_message_id bigint) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_instance public.whatsapp_instances;
    v_control messaging.control;
    v_because text;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.id is null then
        raise exception using errcode = 'WP002', message = 'there is no message with this id';
    end if;
    select i.* into v_instance from public.whatsapp_instances as i where i.id = v_message.instance_id;
    select c.* into v_control from messaging.control as c;

    v_because := case
        when v_message.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn') then v_message.reason
        when v_message.dispatch_state = 'unknown'
            then 'we cannot tell whether it was sent; it is never sent again by itself'
        when v_message.dispatch_state = 'sending' then 'it is at the provider now'
        when v_message.dispatch_state = 'leased' then 'a worker has taken it and is about to begin'
        when v_control.paused_at is not null
            then 'everything is paused by ' || v_control.paused_by || coalesce(': ' || v_control.paused_why, '')
        when v_instance.halted_reason is not null
            then format('the provider refuses the number %s: %s', v_instance.name, v_instance.halted_reason)
        when v_instance.status <> 'active' then format('the number %s is %s', v_instance.name, v_instance.status)
        when v_message.dispatch_state = 'held' then v_message.reason
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
        )
    );
end
$$;
comment on function messaging.explain(bigint) is
'Why a message stands where it stands, what holds it, when it should go, and its whole history; never a phone in full.';

create function messaging.pool_overview()
returns table (
    instance_id uuid, name text, provider text, in_pool boolean, is_default boolean, status text,
    halted_reason text, accepts_new boolean, people integer, seats integer, over_seats boolean,
    gap_min_s numeric, gap_max_s numeric,
    replies bigint, timed bigint, bulk bigint, held bigint, unknown bigint, in_flight bigint, accepted_hour bigint,
    next_send_at timestamptz, queue_empty_at timestamptz, last_accepted_at timestamptz
)
language sql stable security definer set search_path = ''
as $$
    select
        i.id, i.name, i.provider, i.in_pool, i.is_default, i.status, i.halted_reason, i.accepts_new,
        i.current_users, i.max_users, i.current_users > i.max_users, s.gap_min_s, s.gap_max_s,
        q.replies, q.timed, q.bulk, q.held, q.unknown, q.in_flight, a.accepted_hour,
        case when s.next_send_at > messaging.clock() then s.next_send_at end,
        (
            select max(messaging.forecast(l.id))
            from (
                (
                    select o.id from messaging.outbox as o
                    where o.instance_id = i.id and o.lane = 'timed' and o.dispatch_state = 'queued'
                    order by o.not_before desc, o.id desc
                    limit 1
                )
                union all
                (
                    select o.id from messaging.outbox as o
                    where o.instance_id = i.id and o.lane = 'bulk' and o.dispatch_state = 'queued'
                    order by o.not_before desc, o.id desc
                    limit 1
                )
            ) as l
        ),
        a.last_accepted_at
    from public.whatsapp_instances as i
    inner join messaging.senders as s on i.id = s.instance_id
    cross join lateral (
        select
            count(*) filter (where o.dispatch_state = 'queued' and o.lane = 'reply') as replies,
            count(*) filter (where o.dispatch_state = 'queued' and o.lane = 'timed') as timed,
            count(*) filter (where o.dispatch_state = 'queued' and o.lane = 'bulk') as bulk,
            count(*) filter (where o.dispatch_state = 'held') as held,
            count(*) filter (where o.dispatch_state = 'unknown') as unknown,
            count(*) filter (where o.dispatch_state in ('leased', 'sending')) as in_flight
        from messaging.outbox as o
        where
            o.instance_id = i.id
            and o.dispatch_state in ('queued', 'held', 'unknown', 'leased', 'sending')
    ) as q
    cross join lateral (
        select
            count(*) filter (where t.outcome = 'accepted') as accepted_hour,
            max(t.ended_at) filter (where t.outcome = 'accepted') as last_accepted_at
        from messaging.attempts as t
        where t.instance_id = i.id and t.begun_at > messaging.clock() - interval '1 hour'
    ) as a
    order by i.is_default desc, i.name
$$;
comment on function messaging.pool_overview() is
'The pool as a table, one row per number: health, people and seats, queue by lane, next slot (null: now), and when the queue should be empty.';

create function messaging.recent_moves(p_after_id bigint default 0, p_limit integer default 100)
returns table (
    history_id bigint, message_id bigint, instance_name text, purpose text, to_state text,
    happened_at timestamptz, phone_tail text, reason text
)
language sql stable security definer set search_path = ''
as $$
    select r.* from (
        select
            h.id, h.message_id, i.name, o.purpose, h.to_state, h.happened_at, right(o.phone, 4), h.reason
        from messaging.history as h
        inner join messaging.outbox as o on h.message_id = o.id
        inner join public.whatsapp_instances as i on o.instance_id = i.id
        where h.id > p_after_id
        order by h.id desc
        limit p_limit
    ) as r (history_id, message_id, instance_name, purpose, to_state, happened_at, phone_tail, reason)
    order by r.history_id
$$;
comment on function messaging.recent_moves(bigint, integer) is 'The latest moves after a history id, oldest first: what a live view shows.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'mean_gap_s', 'by_day', 'forecast', 'explain', 'pool_overview', 'recent_moves'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text !~ '(mean_gap_s|by_day)' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
