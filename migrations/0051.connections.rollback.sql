set local lock_timeout = '5s';

-- That a connection was ended on purpose stands nowhere else: its old messages would leave through the next one, and the provider would
-- keep its number. A pairing under way goes without a guard: the dialog begins anew.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.pairings holds %s rows' as what, count(*) as amount from messaging.pairings as x where x.orphaned_at is not null or x.ended_after_id > 0 or not x.is_settled
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

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
