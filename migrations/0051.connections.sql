-- A connection's life: begun by a manager, paired by a phone's scan, open, lost, ended on purpose. The number behind it stays, with its pace.
-- Locks: ACCESS EXCLUSIVE on whatsapp_instances for the time of adding an empty column; SHARE on messaging.outbox while one
-- partial index is built; SHARE ROW EXCLUSIVE on the agency's tables and the outbox while triggers are added.
-- depends: 0050.agency_rights

set local lock_timeout = '5s';

-- The order of locks: the link, the connection, the instance, then the pairing. Whoever comes from the instance takes the connection only if it is free.

select roleta_migrations.ensure_column('0051.connections', 'public.whatsapp_instances', 'evolution_instance_name', 'text');
-- Numbers that were here before a rollback: they have had one name for both.
update public.whatsapp_instances as i
set evolution_instance_name = i.name
where i.provider = 'evolution' and i.evolution_instance_name is null;
select roleta_migrations.ensure_constraint(
    '0051.connections', 'public.whatsapp_instances', 'whatsapp_instances_evolution_name',
    $$check (provider <> 'evolution' or evolution_instance_name is not null)$$
);
select roleta_migrations.ensure_index(
    '0051.connections', 'public.whatsapp_instances_evolution_name_once',
    'create unique index whatsapp_instances_evolution_name_once on public.whatsapp_instances (evolution_instance_name)'
);
comment on column public.whatsapp_instances.evolution_instance_name is 'What Evolution API calls this number: adscape_… (an agency) or adscape_c_… (a client).';

-- What waits on one agency's number is counted by every look at its connection.
create index outbox_agency_waiting on messaging.outbox (instance_id)
where agency_id is not null and dispatch_state in ('draft', 'queued', 'held', 'leased');

create table messaging.pairings (
    instance_id uuid primary key references public.whatsapp_instances (id) on delete cascade,
    pairing_state text not null default 'connecting',
    detail text,
    qr_code text,
    qr_made_at timestamptz,
    pairing_code text,
    shown_at timestamptz,
    started_at timestamptz not null,
    limit_at timestamptz not null,
    looked_at timestamptz not null,
    asked_at timestamptz,
    lifecycle_token uuid,
    lifecycle_by text,
    lifecycle_until timestamptz,
    orphaned_at timestamptz,
    ended_after_id bigint not null default 0,
    is_settled boolean not null default true,
    connecting_since timestamptz,
    connecting_at timestamptz,
    connecting_count integer not null default 0,
    constraint pairings_state_known check (
        pairing_state in ('connecting', 'waiting_for_scan', 'connected', 'expired', 'refused', 'passkey_needed', 'ended')
    ),
    constraint pairings_no_code_when_over check (pairing_state = 'waiting_for_scan' or (qr_code is null and pairing_code is null))
);
create index pairings_orphaned on messaging.pairings (orphaned_at) where orphaned_at is not null;
alter table messaging.pairings enable row level security;
revoke all on table messaging.pairings from public, anon, authenticated, service_role;
comment on table messaging.pairings is
'How a number of Evolution API is being paired with a phone. Its codes are credentials: kept while they can be scanned.';
comment on column messaging.pairings.pairing_state is
'connecting -> waiting_for_scan (a code is there) -> connected; else expired (nobody scanned in time), refused, passkey_needed, ended.';
comment on column messaging.pairings.looked_at is 'When the dialog last asked: nobody looks, nobody renews.';
comment on column messaging.pairings.asked_at is 'When the provider was last asked for a code or for its state.';
comment on column messaging.pairings.lifecycle_until is
'How long the turn lasts of the one process that creates, connects or removes the number at the provider.';
comment on column messaging.pairings.orphaned_at is
'Since when the connection is ended here while the provider may still have the number; null: settled.';

comment on column messaging.pairings.ended_after_id is
'The last message ever enqueued when the number''s last connection ended: what is older than that never leaves through the next one.';
comment on column messaging.pairings.is_settled is 'False: the provider may still be connecting for a phone that nobody brings.';

create function messaging.connection_name(p_agency_id uuid, p_client_id uuid) returns text
language sql immutable security invoker set search_path = ''
as $$
    select case
        when p_client_id is null then 'adscape_' || left(replace(p_agency_id::text, '-', ''), 16)
        else 'adscape_c_' || left(replace(p_client_id::text, '-', ''), 16)
    end
$$;
comment on function messaging.connection_name(uuid, uuid) is 'The name of a number at Evolution API (seed B, "Logica de instance_name").';

create function messaging.mirror_connection(p_instance_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_status text;
begin
    select i.status into v_status from public.whatsapp_instances as i where i.id = p_instance_id;
    update public.whatsapp_connections as c
    set
        status = case
            when v_status = 'active' then 'connected'
            when v_status = 'paused' then c.status
            when c.first_connected_at is null then 'pending'
            else 'disconnected'
        end,
        connected_at = case
            when v_status = 'active' and c.status <> 'connected' then messaging.clock() else c.connected_at
        end,
        first_connected_at = case
            when v_status = 'active' then coalesce(c.first_connected_at, messaging.clock()) else c.first_connected_at
        end
    where c.whatsapp_instance_id = p_instance_id
        and (
            (v_status = 'active' and (c.status <> 'connected' or c.first_connected_at is null))
            or (v_status in ('disconnected', 'banned') and c.status = 'connected')
        );
end
$$;
comment on function messaging.mirror_connection(uuid) is
'pending, disconnected -> connected and connected -> disconnected, as the number behind the connection is (bugs 24, 25).';

create function messaging.follow_channel() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    -- Whoever holds the connection meanwhile mirrors it itself, after it has locked the number.
    perform from public.whatsapp_connections as c where c.whatsapp_instance_id = new.id for no key update skip locked;
    if found then
        perform messaging.mirror_connection(new.id);
    end if;
    update messaging.pairings as p
    set
        pairing_state = case when new.status = 'active' then 'connected' else 'ended' end,
        qr_code = null, pairing_code = null, detail = null, is_settled = true
    where p.instance_id = new.id
        and (
            (new.status = 'active' and p.pairing_state <> 'connected')
            or (new.status <> 'active' and p.pairing_state = 'connected')
        );
    return null;
end
$$;
comment on function messaging.follow_channel() is
'Trigger on whatsapp_instances: a number that opens or closes takes its connection and its pairing along.';
create trigger follow_channel after update of status on public.whatsapp_instances
for each row when (new.provider = 'evolution' and old.status is distinct from new.status)
execute function messaging.follow_channel();

create function messaging.forget_connection() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
begin
    if old.whatsapp_instance_id is null then
        return null;
    end if;
    perform messaging.sign_change('end_connection', 'the number was disconnected on purpose');
    v_instance := messaging.lock_instance(old.whatsapp_instance_id);
    -- Whoever enqueues here is before us, and is seen below, or after us, and sees that it is over.
    perform from messaging.senders as s where s.instance_id = v_instance.id for no key update;
    if v_instance.status = 'active' then
        update public.whatsapp_instances as i
        set status = 'disconnected', last_disconnected_at = messaging.clock()
        where i.id = v_instance.id;
    end if;
    perform messaging.withdraw_messages(
        array(
            select o.id from messaging.outbox as o
            where
                o.instance_id = v_instance.id and o.agency_id is not null
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        ),
        'end_connection', 'the number was disconnected on purpose'
    );
    insert into messaging.pairings as p (instance_id, pairing_state, started_at, limit_at, looked_at, orphaned_at, ended_after_id)
    select
        v_instance.id, 'ended', n.now, n.now, n.now, n.now,
        (select case when q.is_called then q.last_value else 0 end from messaging.outbox_id_seq as q)
    from (select messaging.clock() as now) as n
    on conflict (instance_id) do update
    set
        pairing_state = 'ended', qr_code = null, pairing_code = null, detail = null, is_settled = true,
        orphaned_at = excluded.orphaned_at, ended_after_id = excluded.ended_after_id;
    return null;
end
$$;
comment on function messaging.forget_connection() is
'Trigger on whatsapp_connections: whoever removes one, by whatever door, silences its number, withdraws what waits there, and has the provider''s
side removed.';
create trigger forget_connection after delete on public.whatsapp_connections
for each row execute function messaging.forget_connection();

create function messaging.withdraw_for_ended() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    -- Its caller holds the sender, as forget_connection does: one of the two sees the other's work.
    if not exists (select from public.whatsapp_connections as c where c.whatsapp_instance_id = new.instance_id)
        and exists (select from messaging.pairings as p where p.instance_id = new.instance_id)
    then
        perform messaging.move(new.id, 'withdrawn', 'end_connection', 'the number was disconnected on purpose');
    end if;
    return null;
end
$$;
comment on function messaging.withdraw_for_ended() is
'Trigger on outbox: what is enqueued for a number whose connection ended a moment before is withdrawn like what waited there.';
create trigger withdraw_for_ended after insert on messaging.outbox
for each row when (new.agency_id is not null) execute function messaging.withdraw_for_ended();

-- An adopted project may let its managers write connections themselves: not which number they serve, nor that it was open.
create function messaging.guard_connection() returns trigger
language plpgsql security invoker set search_path = ''
as $$
begin
    if current_user in ('anon', 'authenticated') and (
        new.whatsapp_instance_id is distinct from (case tg_op when 'UPDATE' then old.whatsapp_instance_id end)
        or new.first_connected_at is distinct from (case tg_op when 'UPDATE' then old.first_connected_at end)
    ) then
        raise exception using
            errcode = 'insufficient_privilege', message = 'which number a connection serves is set by messaging.begin_connection alone';
    end if;
    if new.whatsapp_instance_id is not null and (
        tg_op = 'INSERT' or (new.whatsapp_instance_id, new.agency_id) is distinct from (old.whatsapp_instance_id, old.agency_id)
    ) then
        if not exists (
            select from public.whatsapp_instances as i
            where i.id = new.whatsapp_instance_id and i.provider = 'evolution' and i.agency_id = new.agency_id
        ) then
            raise exception using errcode = 'WP004', message = 'a connection serves a number of Evolution API, of its own agency';
        end if;
    end if;
    return new;
end
$$;
comment on function messaging.guard_connection() is
'Trigger on whatsapp_connections: nobody takes hold of the house''s or another agency''s number by writing its id into a row of his own.';
create trigger guard_connection before insert or update of agency_id, whatsapp_instance_id, first_connected_at on public.whatsapp_connections
for each row execute function messaging.guard_connection();

create function messaging.leave_agency() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
    v_waiting bigint[] := array(
        select o.id from messaging.outbox as o
        where
            o.agency_id = old.manager_id and o.facts ->> 'client_id' = new.client_user_id::text
            and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
    );
    v_numbers uuid[];
begin
    perform from public.whatsapp_connections as c
    where c.client_id = new.client_user_id and c.agency_id <> new.manager_id
    for update;
    -- Several numbers may be concerned: in the order of locks, each by id.
    v_numbers := array(
        select c.whatsapp_instance_id from public.whatsapp_connections as c
        where c.client_id = new.client_user_id and c.agency_id <> new.manager_id and c.whatsapp_instance_id is not null
        union
        select o.instance_id from messaging.outbox as o where o.id = any(v_waiting)
    );
    perform from public.whatsapp_instances as i where i.id = any(v_numbers) order by i.id for no key update;
    perform from messaging.senders as s where s.instance_id = any(v_numbers) order by s.instance_id for no key update;
    delete from public.whatsapp_connections as c where c.client_id = new.client_user_id and c.agency_id <> new.manager_id;
    perform messaging.withdraw_messages(v_waiting, 'leave_agency', 'the client is another agency''s now');
    return null;
end
$$;
comment on function messaging.leave_agency() is
'Trigger on client_manager_links: a client that goes to another manager is connected anew, since neither of them could end the old connection; and what
waits for it on the first agency''s number is withdrawn.';
create trigger leave_agency after update of manager_id on public.client_manager_links
for each row when (old.manager_id is distinct from new.manager_id) execute function messaging.leave_agency();

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'connection_name', 'mirror_connection', 'follow_channel', 'forget_connection', 'withdraw_for_ended', 'guard_connection',
                'leave_agency'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
