set local lock_timeout = '5s';

-- The numbers that adopted connections were given here, unless they have carried something since: then they are data, which 0051 refuses to lose.
do $$
declare
    v_instance uuid;
begin
    for v_instance in
        select o.identity::uuid from roleta_migrations.created_objects as o where o.migration = '0055.speakers adopted'
    loop
        if not exists (select from messaging.outbox as o where o.instance_id = v_instance)
            and not exists (select from messaging.inbound_events as e where e.instance_id = v_instance)
        then
            update public.whatsapp_connections as c
            set whatsapp_instance_id = null, first_connected_at = null
            where c.whatsapp_instance_id = v_instance;
            delete from public.whatsapp_instances as i where i.id = v_instance;
        end if;
    end loop;
    delete from roleta_migrations.created_objects as o where o.migration = '0055.speakers adopted';
end
$$;

drop function messaging.accept_agency_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, boolean, text, text, text[], text, text
);
drop function messaging.agency_connections(text);
drop function messaging.choose_speaker(uuid, uuid);
select roleta_migrations.drop_created('0055.speakers');
create or replace view audit.tenants_mixed with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
inner join public.whatsapp_instances as i on o.instance_id = i.id
where o.agency_id is distinct from i.agency_id;
comment on view audit.tenants_mixed is 'I10: a message and its number belong to different tenants.';
delete from messaging.purposes as p
where p.purpose in ('agency_report', 'balance_alert', 'agency_message', 'agency_optout')
    and not exists (select from messaging.outbox as o where o.purpose = p.purpose);
