-- How a message reaches a settled state: by the attempt's own outcome, by a receipt, by its time running out.
-- depends: 0008.pacing

set local lock_timeout = '5s';

create table messaging.receipts (
    id bigint generated always as identity primary key,
    instance_id uuid not null references public.whatsapp_instances (id),
    provider_message_id text not null,
    receipt text not null,
    happened_at timestamptz,
    received_at timestamptz not null,
    error text,
    error_class text,
    message_id bigint references messaging.outbox (id),
    constraint receipts_known check (receipt in ('sent', 'failed', 'delivered', 'read')),
    constraint receipts_once unique (instance_id, provider_message_id, receipt)
);
create index receipts_message on messaging.receipts (message_id);
alter table messaging.receipts enable row level security;
revoke all on table messaging.receipts from public, anon, authenticated, service_role;
comment on table messaging.receipts is
'What a provider said later about an id. Kept even when the id is not ours yet: the answer to the send may still be on its way.';
comment on column messaging.receipts.message_id is 'Null until the id is known to belong to one of our attempts.';

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

create function messaging.delivery_rank(p_delivery_state text) returns integer
language sql immutable security invoker
return coalesce(array_position(array['sent', 'failed', 'delivered', 'read'], p_delivery_state), 0);
comment on function messaging.delivery_rank(text) is
'The order in which delivery may only move forward: sent, failed, delivered, read.';

create function messaging.use_receipt(p_receipt messaging.receipts, p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_state text;
begin
    update messaging.receipts as r
    set message_id = p_message_id
    where r.id = p_receipt.id;

    update messaging.outbox as o
    set
        delivery_state = p_receipt.receipt,
        delivery_error = case p_receipt.receipt when 'failed' then p_receipt.error else o.delivery_error end
    where
        o.id = p_message_id
        and messaging.delivery_rank(p_receipt.receipt) > messaging.delivery_rank(o.delivery_state);

    select o.dispatch_state into v_state from messaging.outbox as o where o.id = p_message_id;
    if v_state = 'unknown' then
        perform messaging.move(
            p_message_id, case p_receipt.receipt when 'failed' then 'rejected' else 'accepted' end,
            'apply_receipt', 'the provider reported: ' || p_receipt.receipt
        );
    end if;
end
$$;
comment on function messaging.use_receipt(messaging.receipts, bigint) is
'unknown -> accepted or rejected, and delivery forward, from one receipt whose message is known (its sender locked).';

create function messaging.use_waiting_receipts(
    p_instance_id uuid, p_provider_message_id text, p_message_id bigint
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_receipt messaging.receipts;
begin
    for v_receipt in
        select r.* from messaging.receipts as r
        where
            r.instance_id = p_instance_id and r.provider_message_id = p_provider_message_id
            and r.message_id is null
        order by r.id
    loop
        perform messaging.use_receipt(v_receipt, p_message_id);
    end loop;
end
$$;
comment on function messaging.use_waiting_receipts(uuid, text, bigint) is
'Applies the receipts that came before their id was known to be this message''s (its sender locked).';

create function messaging.apply_receipt(
    p_instance_id uuid, p_provider_message_id text, p_receipt text,
    p_happened_at timestamptz default null, p_error text default null, p_error_class text default null
) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_row messaging.receipts;
    v_message bigint;
begin
    perform messaging.require(
        p_receipt in ('sent', 'failed', 'delivered', 'read'), 'a receipt is sent, failed, delivered or read'
    );
    -- The number refuses to carry anything: it is halted, and in the order of locks it comes before its sender. Told
    -- again, it is no news: somebody may have lifted the halt since.
    if p_error_class = 'restriction' and not exists (
        select from messaging.receipts as r
        where
            r.instance_id = p_instance_id and r.provider_message_id = p_provider_message_id
            and r.receipt = p_receipt
    ) then
        perform messaging.halt_instance(p_instance_id, 'restricted', 'apply_receipt');
    end if;
    perform from messaging.senders as s
    where s.instance_id = p_instance_id
    for no key update;
    if not found then
        raise exception using errcode = 'WP002', message = 'there is no number with this id';
    end if;
    insert into messaging.receipts (
        instance_id, provider_message_id, receipt, happened_at, received_at, error, error_class
    )
    values (
        p_instance_id, p_provider_message_id, p_receipt, p_happened_at, messaging.clock(), left(p_error, 500),
        p_error_class
    )
    on conflict do nothing
    returning * into v_row;
    if v_row.id is null then
        return (
            select r.message_id from messaging.receipts as r
            where r.instance_id = p_instance_id and r.provider_message_id = p_provider_message_id
                and r.receipt = p_receipt
        );
    end if;

    select a.message_id into v_message
    from messaging.attempts as a
    where a.instance_id = p_instance_id and a.provider_message_id = p_provider_message_id;
    if v_message is not null then
        perform messaging.use_receipt(v_row, v_message);
        perform messaging.wake(p_instance_id);
    end if;
    return v_message;
end
$$;
comment on function messaging.apply_receipt(uuid, text, text, timestamptz, text, text) is
'Stores a receipt once and applies it; null when the id is not ours (yet): record_attempt applies what waits. Safe to repeat.';

create function messaging.halt_instance(p_instance_id uuid, p_reason text, p_by text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(coalesce(p_reason, '') <> '', 'a halt needs a reason');
    perform set_config('roleta.changed_by', p_by, true);
    perform set_config('roleta.changed_why', p_reason, true);
    update public.whatsapp_instances as i
    set
        status = case when p_reason = 'disconnected' and i.status = 'active' then 'disconnected' else i.status end,
        last_disconnected_at = case
            when p_reason = 'disconnected' then messaging.clock() else i.last_disconnected_at
        end,
        halted_reason = case when p_reason = 'disconnected' then i.halted_reason else p_reason end,
        halted_at = case when p_reason = 'disconnected' then i.halted_at else messaging.clock() end
    where
        i.id = p_instance_id
        and case
            when p_reason = 'disconnected' then i.status = 'active'
            else i.halted_reason is distinct from p_reason
        end;
    return found;
end
$$;
comment on function messaging.halt_instance(uuid, text, text) is
'active -> disconnected, or sets the reason why the provider refuses the number; its messages wait. True if that is news.';

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
                'move', 'run_effect', 'retry_effects', 'effect_history', 'delivery_rank', 'use_receipt', 'use_waiting_receipts',
                'apply_receipt', 'halt_instance', 'settle_expired', 'expire_due'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.apply_receipt(uuid, text, text, timestamptz, text, text) to service_role;
grant execute on function messaging.halt_instance(uuid, text, text) to service_role;
grant execute on function messaging.expire_due(integer) to service_role;
grant execute on function messaging.retry_effects(integer) to service_role;
