-- How a return is prepared: its provider's own queue is noted and purged, what waited is thinned out, and the number may speak.
-- Locks: none; a table and functions of their own.
-- depends: 0068.ramp

set local lock_timeout = '5s';

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
                'take_returns', 'note_queue', 'thin_out', 'finish_return', 'returns', 'return_notes'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('take_returns', 'note_queue', 'finish_return', 'returns', 'return_notes') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
