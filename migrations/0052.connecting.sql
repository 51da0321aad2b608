-- What a manager does to a connection: begins it, sees it, ends it.
-- Locks: none; functions only.
-- depends: 0051.connections

set local lock_timeout = '5s';

create function messaging.begin_connection(p_client_id uuid)
returns table (connection_id uuid, instance_id uuid, instance_name text, was_connected boolean, left_over boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid := messaging.require_client(p_client_id);
    v_now timestamptz := messaging.clock();
    v_instance public.whatsapp_instances;
    v_pairing messaging.pairings;
begin
    instance_name := messaging.connection_name(v_agency, p_client_id);
    -- Two that begin at once are one behind the other.
    perform pg_advisory_xact_lock(hashtextextended('roleta.connection.' || instance_name, 0));
    -- Neither removed nor moved to another agency meanwhile.
    perform from public.client_manager_links as l where l.client_user_id = p_client_id and l.manager_id = v_agency for share;
    if p_client_id is not null and not found then
        raise exception using errcode = 'WP002', message = 'there is no such client';
    end if;
    select c.id, c.whatsapp_instance_id into connection_id, instance_id
    from public.whatsapp_connections as c
    where c.agency_id = v_agency and c.client_id is not distinct from p_client_id
    for no key update;

    -- An adopted connection keeps its number, whatever that is called.
    select i.* into v_instance
    from public.whatsapp_instances as i
    where i.id = instance_id or (instance_id is null and i.evolution_instance_name = instance_name)
    for no key update;
    if v_instance.status in ('paused', 'banned') then
        raise exception using
            errcode = 'WP004', message = format('this number is %s: its operator must resume it first', v_instance.status);
    end if;
    if v_instance.id is null then
        insert into public.whatsapp_instances (
            name, provider, evolution_instance_name, agency_id, in_pool, accepts_new, max_users, status
        )
        values (instance_name, 'evolution', instance_name, v_agency, false, false, 0, 'disconnected')
        returning * into v_instance;
    end if;
    select p.* into v_pairing from messaging.pairings as p where p.instance_id = v_instance.id for no key update;
    left_over := v_pairing.orphaned_at is not null;
    if exists (
        select from public.whatsapp_connections as c
        where c.whatsapp_instance_id = v_instance.id and c.id is distinct from connection_id
    ) or (v_instance.agency_id is distinct from v_agency and left_over) then
        raise exception using
            errcode = 'WP004', message = 'this number still serves another connection: try again in a minute';
    elsif v_instance.agency_id is distinct from v_agency then
        -- The client has moved to another agency, and nothing of the old connection is left.
        update public.whatsapp_instances as i set agency_id = v_agency where i.id = v_instance.id;
    end if;

    if connection_id is null then
        insert into public.whatsapp_connections (
            agency_id, client_id, provider, instance_name, status, connected_at, whatsapp_instance_id
        )
        values (v_agency, p_client_id, 'evolution', v_instance.evolution_instance_name, 'pending', null, v_instance.id)
        returning id into connection_id;
    else
        update public.whatsapp_connections as c
        set
            provider = 'evolution', whatsapp_instance_id = v_instance.id, instance_name = v_instance.evolution_instance_name,
            status = case when c.status in ('pending', 'connected', 'disconnected') then c.status else 'pending' end
        where c.id = connection_id;
    end if;
    instance_id := v_instance.id;
    instance_name := v_instance.evolution_instance_name;
    was_connected := v_instance.status = 'active';
    perform messaging.mirror_connection(instance_id);

    insert into messaging.pairings as p (instance_id, pairing_state, started_at, limit_at, looked_at, is_settled)
    values (
        instance_id, case when was_connected then 'connected' else 'connecting' end,
        v_now, v_now + interval '5 minutes', v_now, was_connected
    )
    on conflict (instance_id) do update
    set
        pairing_state = excluded.pairing_state, started_at = excluded.started_at, limit_at = excluded.limit_at,
        looked_at = excluded.looked_at, qr_code = null, pairing_code = null, qr_made_at = null, shown_at = null,
        asked_at = null, detail = null, is_settled = excluded.is_settled
    -- A second dialog joins the pairing that is under way.
    where p.pairing_state not in ('connecting', 'waiting_for_scan') or p.limit_at <= v_now;
    return next;
end
$$;
comment on function messaging.begin_connection(uuid) is
'none -> pending: the connection of a client (null: of the agency) and its number, made or found again, and a pairing begun. left_over: the
provider''s side of an earlier connection must be removed first.';

create function messaging.connection_status(p_status text) returns text
language sql immutable security invoker
return case when p_status in ('connected', 'disconnected') then p_status else 'pending' end;
comment on function messaging.connection_status(text) is 'What is said of a connection: an adopted row may hold another word, or none.';

create function messaging.own_connection(p_client_id uuid)
returns table (
    connection_id uuid, instance_id uuid, instance_name text, status text, instance_status text,
    phone_number text, first_connected_at timestamptz, waiting bigint
)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_client(p_client_id);
begin
    return query
    select
        c.id, c.whatsapp_instance_id, coalesce(i.evolution_instance_name, c.instance_name), messaging.connection_status(c.status), i.status,
        i.phone_number, c.first_connected_at,
        (
            select count(*) from messaging.outbox as o
            where
                o.instance_id = i.id and o.agency_id is not null
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        )
    from public.whatsapp_connections as c
    left join public.whatsapp_instances as i on c.whatsapp_instance_id = i.id
    where c.agency_id = v_agency and c.client_id is not distinct from p_client_id;
end
$$;
comment on function messaging.own_connection(uuid) is
'The connection of one''s own client (null: of the agency), and how many messages wait on it; no row where there is none.';

create function messaging.end_connection(p_client_id uuid)
returns table (instance_id uuid, instance_name text, withdrawn bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_connection record;
begin
    select o.* into v_connection from messaging.own_connection(p_client_id) as o;
    if v_connection.connection_id is null then
        return;
    end if;
    -- The trigger does the rest, for every door alike.
    delete from public.whatsapp_connections as c where c.id = v_connection.connection_id;
    if found then
        instance_id := v_connection.instance_id;
        instance_name := v_connection.instance_name;
        withdrawn := v_connection.waiting;
        return next;
    end if;
end
$$;
comment on function messaging.end_connection(uuid) is
'connected, pending, disconnected -> none, of exactly one client or the agency (bug 27); what waited there is withdrawn. No row: there was none.';

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'begin_connection', 'connection_status', 'own_connection', 'end_connection'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_name in ('begin_connection', 'own_connection', 'end_connection') then
            execute format('grant execute on function %s to authenticated', v_function);
        end if;
    end loop;
end
$$;
