set local lock_timeout = '5s';

do $$
declare
    v_table text;
begin
    foreach v_table in array array[
        'client_manager_links', 'whatsapp_connections', 'whatsapp_report_settings', 'whatsapp_report_logs',
        'account_balance_alerts', 'agency_settings', 'client_ad_accounts', 'daily_metrics'
    ] loop
        execute format('drop policy if exists roleta_sees_own on public.%I', v_table);
    end loop;
end
$$;
select roleta_migrations.drop_created('0050.agency_rights');
drop function messaging.own_clients();
drop function messaging.require_client(uuid);
drop function messaging.require_manager();
drop function messaging.caller();
revoke usage on schema messaging from authenticated;
