-- What a provider says later of a message, or of the number that sent it.
-- depends: 0009.settling

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

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'delivery_rank', 'use_receipt', 'use_waiting_receipts', 'apply_receipt', 'halt_instance'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.apply_receipt(uuid, text, text, timestamptz, text, text) to service_role;
grant execute on function messaging.halt_instance(uuid, text, text) to service_role;
