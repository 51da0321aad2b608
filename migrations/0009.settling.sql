-- How a message moves, what an acceptance writes into the app, and what becomes of leases and messages whose time is over.
-- depends: 0008.pacing

set local lock_timeout = '5s';

create function messaging.move(p_message_id bigint, p_to text, p_by text, p_reason text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_from text;
    v_instance uuid;
begin
    select
        o.dispatch_state,
        o.instance_id
    into v_from, v_instance
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;

    update messaging.outbox as o
    set dispatch_state = p_to, changed_by = p_by, reason = p_reason
    where o.id = p_message_id;

    -- What this unknown held back may go on.
    if v_from = 'unknown' then
        update messaging.outbox as o
        set dispatch_state = 'queued', changed_by = p_by, reason = 'message ' || p_message_id || ' is settled'
        where o.instance_id = v_instance and o.dispatch_state = 'held' and o.held_by = 'message ' || p_message_id;
    end if;
    if p_to = 'accepted' then
        perform messaging.run_effect(p_message_id);
    end if;
end
$$;
comment on function messaging.move(bigint, text, text, text) is
'Moves one message (its sender locked by the caller), releases what it held back, and runs the effect of an acceptance.';

create function messaging.run_effect(p_message_id bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_effect text;
    v_lock_timeout text;
begin
    select p.on_accepted into v_effect
    from messaging.outbox as o
    inner join messaging.purposes as p on o.purpose = p.purpose
    where o.id = p_message_id;
    if v_effect is null then
        return true;
    end if;
    v_lock_timeout := current_setting('lock_timeout');
    begin
        -- An app table that somebody locks must not keep the outcome from being recorded.
        perform set_config('lock_timeout', '1s', true);
        execute format('select messaging.%I($1)', v_effect) using p_message_id;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        -- A broken app table must not turn an accepted message into an unknown one: it was sent.
        when others then
            insert into messaging.failed_effects (message_id, effect, failed_at, error)
            values (p_message_id, v_effect, messaging.clock(), sqlstate || ' ' || left(sqlerrm, 200));
            return false;
    end;
    return true;
end
$$;
comment on function messaging.run_effect(bigint) is
'Writes into the app what an accepted message of this purpose means; a failure is kept in failed_effects, never raised.';

create function messaging.retry_effects(p_limit integer default 100)
returns table (effect_id bigint, message_id bigint, succeeded boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_effect messaging.failed_effects;
begin
    for v_effect in
        select e.* from messaging.failed_effects as e
        where e.succeeded_at is null
        order by e.id
        limit p_limit
        for no key update skip locked
    loop
        effect_id := v_effect.id;
        message_id := v_effect.message_id;
        begin
            execute format('select messaging.%I($1)', v_effect.effect) using v_effect.message_id;
            succeeded := true;
        exception
            when others then
                succeeded := false;
        end;
        update messaging.failed_effects as e
        set
            retried_at = messaging.clock(),
            succeeded_at = case when retry_effects.succeeded then messaging.clock() end
        where e.id = v_effect.id;
        return next;
    end loop;
end
$$;
comment on function messaging.retry_effects(integer) is 'Tries the failed effects again, oldest first; says of each whether it worked.';

create function messaging.effect_history(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into public.messages (user_id, role, content)
    select p.user_id, 'assistant', o.content ->> 'text'
    from messaging.outbox as o
    inner join public.profiles as p on o.profile_id = p.id
    where o.id = p_message_id and o.content ->> 'text' is not null
$$;
comment on function messaging.effect_history(bigint) is
'Effect: an accepted text stands in the person''s chat history (public.messages) as the assistant''s.';

create function messaging.settle_expired(p_instance_id uuid, p_now timestamptz) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
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
        end if;
        v_settled := v_settled + 1;
    end loop;
    return v_settled;
end
$$;
comment on function messaging.settle_expired(uuid, timestamptz) is
'leased -> queued and sending -> unknown for leases that ran out (its sender locked). Never a resend: nobody knows.';

create function messaging.expire_due(p_limit integer default 1000) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_instances uuid[];
    v_instance uuid;
    v_moved integer := 0;
    v_message messaging.outbox;
begin
    -- Leases that ran out are settled by the claim; here they are while everything is paused and nothing claims.
    for v_instance in
        select s.instance_id from messaging.senders as s
        where s.instance_id = any(array(
            select distinct o.instance_id from messaging.outbox as o
            where o.dispatch_state in ('leased', 'sending') and o.leased_until <= v_now
        ))
        order by s.instance_id
        for no key update skip locked
    loop
        perform messaging.settle_expired(v_instance, v_now);
        perform messaging.wake(v_instance);
    end loop;

    -- Into an array first: a limited subquery beside a lock may be run again by the planner and lock more.
    v_instances := array(
        select distinct d.instance_id
        from (
            select o.instance_id from messaging.outbox as o
            where
                o.expires_at <= v_now
                and (
                    o.dispatch_state in ('draft', 'queued', 'held')
                    or (o.dispatch_state = 'unknown' and o.on_unknown = 'drop')
                )
            order by o.expires_at
            limit p_limit
        ) as d
    );
    for v_instance in
        select s.instance_id from messaging.senders as s
        where s.instance_id = any(v_instances)
        order by s.instance_id
        for no key update
    loop
        for v_message in
            select o.* from messaging.outbox as o
            where
                o.instance_id = v_instance and o.expires_at <= v_now
                and (
                    o.dispatch_state in ('draft', 'queued', 'held')
                    or (o.dispatch_state = 'unknown' and o.on_unknown = 'drop')
                )
            order by o.id
            limit p_limit
        loop
            if v_message.dispatch_state = 'unknown' then
                perform messaging.move(
                    v_message.id, 'withdrawn', 'expire_due', 'still unknown at its end; its rule says to let it go'
                );
            else
                perform messaging.move(v_message.id, 'expired', 'expire_due', 'its time was over');
            end if;
            v_moved := v_moved + 1;
        end loop;
        perform messaging.wake(v_instance);
    end loop;
    return v_moved;
end
$$;
comment on function messaging.expire_due(integer) is
'draft, queued, held -> expired once their time is over, on whatever number; unknown -> withdrawn where the rule is drop. Returns how many.
Also settles leases that ran out.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'move', 'run_effect', 'retry_effects', 'effect_history', 'settle_expired', 'expire_due'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.expire_due(integer) to service_role;
grant execute on function messaging.retry_effects(integer) to service_role;
