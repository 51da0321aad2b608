set local lock_timeout = '5s';

drop function messaging.due_reports(uuid, uuid, boolean);
drop function messaging.report_was_enqueued(uuid, uuid, date);
drop function messaging.report_as_of(public.client_manager_links, public.whatsapp_report_settings, date);
drop function messaging.report_setting(uuid, uuid);
drop function messaging.report_figures(uuid, date, date);
drop function messaging.report_period(text, date);
drop function messaging.report_date(text, integer, integer, time, timestamptz, text, timestamptz);
drop function messaging.has_opted_out(uuid, text, text);
drop function messaging.agency_time_zone(uuid);
drop function messaging.written_keys(text);
drop index messaging.outbox_agency_client;
drop index messaging.outbox_agency;
select roleta_migrations.drop_created('0056.agency_reports');
