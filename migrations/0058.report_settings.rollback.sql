set local lock_timeout = '5s';

drop function messaging.report_deliveries(uuid, integer);
drop function messaging.report_now(uuid);
drop function messaging.save_report_settings(uuid, jsonb);
drop function messaging.check_report_settings(jsonb);
drop function messaging.report_settings(uuid);
