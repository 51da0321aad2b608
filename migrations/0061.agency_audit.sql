-- Two more things that must never be: a client's message through the number of another, and a connection that says other than its number.
-- Locks: none; views only.
-- depends: 0060.agency_clients

set local lock_timeout = '5s';

-- A client's number carries that client's messages alone; the agency's those of any of its clients.
create view audit.spoke_for_another with (security_invoker = true) as
select
    o.id as message_id,
    i.name as instance_name
from messaging.outbox as o
inner join public.whatsapp_instances as i on o.instance_id = i.id
where
    i.provider = 'evolution' and o.facts ->> 'client_id' is not null and i.evolution_instance_name like 'adscape\_c\_%'
    and i.evolution_instance_name <> messaging.connection_name(o.agency_id, (o.facts ->> 'client_id')::uuid);
comment on view audit.spoke_for_another is 'A client''s message that waits on, or left through, the number of another client.';

create view audit.connection_differs with (security_invoker = true) as
select
    c.id as connection_id,
    c.status,
    i.status as instance_status
from public.whatsapp_connections as c
inner join public.whatsapp_instances as i on c.whatsapp_instance_id = i.id
where
    (c.status = 'connected' and i.status in ('disconnected', 'banned'))
    or (i.status = 'active' and (c.status <> 'connected' or c.first_connected_at is null));
comment on view audit.connection_differs is 'A connection that calls itself connected while its number is not, or the other way round (bugs 24, 25).';

revoke all on table audit.spoke_for_another from public, anon, authenticated, service_role;
revoke all on table audit.connection_differs from public, anon, authenticated, service_role;

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where c.relnamespace = 'audit'::regnamespace and c.relkind = 'v' and c.relname <> 'findings'
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;
