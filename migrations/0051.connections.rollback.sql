set local lock_timeout = '5s';

drop trigger leave_agency on public.client_manager_links;
drop function messaging.leave_agency();
drop trigger guard_connection on public.whatsapp_connections;
drop function messaging.guard_connection();
drop trigger withdraw_for_ended on messaging.outbox;
drop function messaging.withdraw_for_ended();
drop trigger forget_connection on public.whatsapp_connections;
drop function messaging.forget_connection();
drop trigger follow_channel on public.whatsapp_instances;
drop function messaging.follow_channel();
drop function messaging.mirror_connection(uuid);
drop function messaging.connection_name(uuid, uuid);
drop table messaging.pairings;
drop index messaging.outbox_agency_waiting;
select roleta_migrations.drop_created('0051.connections');
