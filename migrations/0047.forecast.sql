-- The forecast counts drafts, which stand in the queue already, and what answers push; it tells the end of a whole run, and when a message that
-- is not there yet would go.
-- Locks: none; functions only.
-- depends: 0046.subscriptions

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0047.forecast', f.name)
from (values ('messaging.mean_gap_s(uuid)'), ('messaging.forecast(bigint)'), ('messaging.pool_overview()')) as f (name);

create or replace function messaging.mean_gap_s(p_instance_id uuid) returns double precision
language sql stable security definer set search_path = ''
as $$
    -- The drawn gap's mean, plus how long this number's sends have lately taken, plus what its answers push: a slot waits for the first
    -- moment without an answer in the last r seconds, for answers that come at a rate of l a second (exp(l r) - 1) / l - r.
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
        ), 1)
        + case
            when a.rate > 0
                then least(s.reply_push_max_s, (exp(least(a.rate * s.reply_gap_s, 10)) - 1) / a.rate - s.reply_gap_s)
            else 0
        end
    )::double precision
    from messaging.senders as s
    cross join lateral (
        select count(*) / 3600.0 as rate
        from messaging.attempts as a
        where
            a.instance_id = s.instance_id and a.lane = 'reply'
            -- As a value: a volatile function is asked for every row, past the index.
            and a.begun_at > (select messaging.clock()) - interval '1 hour'
    ) as a
    where s.instance_id = p_instance_id
$$;
comment on function messaging.mean_gap_s(uuid) is
'Seconds from one paced message of the number to the next, as its gaps, its recent sends and its answers make them.';

create or replace function messaging.forecast(p_message_id bigint) returns timestamptz
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
    elsif v_message.dispatch_state is null or v_message.dispatch_state not in ('draft', 'queued') or not messaging.can_send(v_message.instance_id)
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
    order by a.starts_at + make_interval(secs => v_gap * (count(*) over () - a.place)) desc
    limit 1;

    if (select p.quiet_hours from messaging.purposes as p where p.purpose = v_message.purpose) then
        return messaging.by_day(v_from, v_needs, v_message.time_zone);
    end if;
    return v_from + v_needs;
end
$$;
comment on function messaging.forecast(bigint) is
'When a queued message or a draft should leave: the slot, what goes before it and when that may, a mean gap for each, and its nights.
Null when only a person or the provider can say.';

create or replace function messaging.pool_overview()
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
                union all
                (
                    select o.id from messaging.outbox as o
                    where o.instance_id = i.id and o.lane = 'timed' and o.dispatch_state = 'draft'
                    order by o.not_before desc, o.id desc
                    limit 1
                )
                union all
                (
                    select o.id from messaging.outbox as o
                    where o.instance_id = i.id and o.lane = 'bulk' and o.dispatch_state = 'draft'
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
            count(*) filter (where o.dispatch_state in ('draft', 'queued') and o.lane = 'timed') as timed,
            count(*) filter (where o.dispatch_state in ('draft', 'queued') and o.lane = 'bulk') as bulk,
            count(*) filter (where o.dispatch_state = 'held') as held,
            count(*) filter (where o.dispatch_state = 'unknown') as unknown,
            count(*) filter (where o.dispatch_state in ('leased', 'sending')) as in_flight
        -- One piece for each partial index: no index has them all, and the table is read once a number.
        from (
            select x.lane, x.dispatch_state from messaging.outbox as x
            where x.instance_id = i.id and x.dispatch_state = 'queued'
            union all
            select x.lane, x.dispatch_state from messaging.outbox as x
            where x.instance_id = i.id and x.dispatch_state = 'draft'
            union all
            select x.lane, x.dispatch_state from messaging.outbox as x
            where x.instance_id = i.id and x.dispatch_state in ('held', 'unknown')
            union all
            select x.lane, x.dispatch_state from messaging.outbox as x
            where x.instance_id = i.id and x.dispatch_state in ('leased', 'sending')
        ) as o
    ) as q
    cross join lateral (
        select
            count(*) filter (where t.outcome = 'accepted') as accepted_hour,
            max(t.ended_at) filter (where t.outcome = 'accepted') as last_accepted_at
        from messaging.attempts as t
        where t.instance_id = i.id and t.begun_at > (select messaging.clock()) - interval '1 hour'
    ) as a
    order by i.is_default desc, i.name
$$;
comment on function messaging.pool_overview() is
'The pool as a table, one row per number: health, people and seats, queue by lane (drafts among them),
next slot (null: now), and when the queue should be empty.';

create function messaging.run_forecast(p_run_id text) returns timestamptz
language sql stable security definer set search_path = ''
as $$
    select max(messaging.forecast(l.id))
    from (
        select distinct on (o.instance_id, o.lane) o.id
        from messaging.outbox as o
        where o.run_id = p_run_id and o.dispatch_state in ('draft', 'queued')
        order by o.instance_id, o.lane, o.not_before desc, o.id desc
    ) as l
$$;
comment on function messaging.run_forecast(text) is
'When the last message of a run should leave, of those on numbers that can send; null when none waits.';

create function messaging.expected_times(p_people jsonb)
returns table (place integer, instance_name text, expected_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    perform messaging.require(jsonb_typeof(p_people) = 'array', 'expected_times takes a list of {profile_id, purpose, time_zone?}');
    return query
    with asked as (
        select
            e.ordinality,
            r.lane,
            r.quiet_hours,
            coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo') as time_zone,
            messaging.resolve_instance((e.value ->> 'profile_id')::uuid) as instance_id
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
            make_interval(secs => n.gap_s * (
                case when a.lane = 'bulk' then n.paced else n.timed end
                -- Of those asked about: what overtakes first, then their own order.
                + row_number() over (partition by a.instance_id order by a.lane = 'bulk', a.ordinality) - 1
            )) as needs
        from asked as a
        left join numbers as n on a.instance_id = n.instance_id
    )

    select
        h.ordinality::integer,
        i.name::text,
        case
            when not messaging.can_send(h.instance_id) or (select c.paused_at is not null from messaging.control as c) then null
            when h.quiet_hours then messaging.by_day(h.slot, h.needs, h.time_zone)
            else h.slot + h.needs
        end
    from ahead as h
    left join public.whatsapp_instances as i on h.instance_id = i.id
    order by h.ordinality;
end
$$;
comment on function messaging.expected_times(jsonb) is
'For people who would get a message now, in that order: the number that would write, and when (messaging.forecast, before there is a
message). Null while the number is down or everything is paused.';

revoke execute on function messaging.run_forecast(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.expected_times(jsonb) from public, anon, authenticated, service_role;
grant execute on function messaging.run_forecast(text) to service_role;
grant execute on function messaging.expected_times(jsonb) to service_role;
