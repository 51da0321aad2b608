-- What an operator orders: stopping everything, withdrawing what has not begun.
-- depends: 0016.inbox

set local lock_timeout = '5s';

create function messaging.pause_all(p_by text, p_why text default null) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a pause says who orders it');
    update messaging.control as c
    set paused_at = messaging.clock(), paused_by = p_by, paused_why = p_why
    where c.paused_at is null;
    return found;
end
$$;
comment on function messaging.pause_all(text, text) is
'Stops every claim and begin, from the very next one on; what is in flight ends. False if it was paused already.';

create function messaging.resume_all(p_by text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a resume says who orders it');
    update messaging.control as c
    set paused_at = null, paused_by = null, paused_why = null
    where c.paused_at is not null;
    return found;
end
$$;
comment on function messaging.resume_all(text) is 'Ends pause_all. What waited goes at each number''s pace, never in a burst.';

create function messaging.cancel(
    p_by text, p_why text, p_preview boolean default true, p_message_id bigint default null,
    p_run_id text default null, p_enqueued_by text default null, p_instance_id uuid default null
)
returns table (instance_id uuid, instance_name text, dispatch_state text, messages bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_instances uuid[];
    v_freed uuid[] := '{}';
    v_instance uuid;
    v_message messaging.outbox;
    v_ids bigint[];
begin
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a cancel says who orders it');
    perform messaging.require(coalesce(btrim(p_why), '') <> '', 'a cancel says why');
    perform messaging.require(
        num_nonnulls(p_message_id, p_run_id, p_enqueued_by, p_instance_id) = 1,
        'cancel one thing: a message, a run, a function or a number'
    );

    v_instances := array(
        select distinct o.instance_id from messaging.outbox as o
        where
            o.dispatch_state in ('draft', 'queued', 'held', 'leased')
            and (p_message_id is null or o.id = p_message_id)
            and (p_run_id is null or o.run_id = p_run_id)
            and (p_enqueued_by is null or o.enqueued_by = p_enqueued_by)
            and (p_instance_id is null or o.instance_id = p_instance_id)
        order by o.instance_id
    );
    if not p_preview then
        perform from messaging.senders as s
        where s.instance_id = any(v_instances)
        order by s.instance_id
        for no key update;
    end if;

    -- Only of the numbers that are locked now: what joins a run later on another number is not part of this order.
    v_ids := array(
        select o.id from messaging.outbox as o
        where
            o.instance_id = any(v_instances)
            and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
            and (p_message_id is null or o.id = p_message_id)
            and (p_run_id is null or o.run_id = p_run_id)
            and (p_enqueued_by is null or o.enqueued_by = p_enqueued_by)
        order by o.id
    );
    return query
    select
        o.instance_id, i.name, o.dispatch_state, count(*)
    from messaging.outbox as o
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    where o.id = any(v_ids)
    group by o.instance_id, i.name, o.dispatch_state
    order by i.name, o.dispatch_state;
    if p_preview then
        return;
    end if;

    for v_message in
        select o.* from messaging.outbox as o where o.id = any(v_ids) order by o.id
    loop
        -- Taken but not begun: nothing was sent, and its worker's begin will be refused.
        if v_message.dispatch_state = 'leased' then
            perform messaging.move(v_message.id, 'queued', p_by, 'taken back to be withdrawn');
            if v_message.lane <> 'reply' then
                v_freed := v_freed || v_message.instance_id;
            end if;
        end if;
        perform messaging.move(v_message.id, 'withdrawn', p_by, p_why);
    end loop;
    foreach v_instance in array v_instances loop
        -- The slot that a withdrawn lease held is free again: it was due when the claim took it.
        perform messaging.wake(v_instance, case when v_instance = any(v_freed) then messaging.clock() end);
    end loop;
end
$$;
comment on function messaging.cancel(text, text, boolean, bigint, text, text, uuid) is
'draft, queued, held, leased -> withdrawn for one message, run, function or number; what has begun is left. Preview only counts.';

create function messaging.wake_forgotten() returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_forgotten uuid[];
    v_id uuid;
    v_count integer := 0;
begin
    v_forgotten := array(
        select s.instance_id from messaging.senders as s
        where
            s.ready_at is null and messaging.can_send(s.instance_id)
            and exists (
                select from messaging.outbox as o
                where o.instance_id = s.instance_id and o.dispatch_state = 'queued'
            )
        order by s.instance_id
    );
    foreach v_id in array v_forgotten loop
        perform from messaging.senders as s where s.instance_id = v_id for no key update;
        -- Looked at again under the lock: it may have been asleep for a good reason a moment ago.
        if (select s.ready_at is null from messaging.senders as s where s.instance_id = v_id) then
            perform messaging.wake(v_id);
            if (select s.ready_at is not null from messaging.senders as s where s.instance_id = v_id) then
                v_count := v_count + 1;
            end if;
        end if;
    end loop;
    return v_count;
end
$$;
comment on function messaging.wake_forgotten() is
'Wakes numbers that have a queue and sleep, and returns how many: 0, or there is a defect to report.';

create function messaging.standing()
returns table (paused_at timestamptz, paused_by text, paused_why text, failed_effects bigint)
language sql stable security definer set search_path = ''
as $$
    select
        c.paused_at, c.paused_by, c.paused_why,
        (select count(*) from messaging.failed_effects as e where e.succeeded_at is null)
    from messaging.control as c
$$;
comment on function messaging.standing() is 'Whether everything is paused, by whom and why, and how many effects wait to be retried.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'pause_all', 'resume_all', 'cancel', 'wake_forgotten', 'standing'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        execute format('grant execute on function %s to service_role', v_function);
    end loop;
end
$$;
