set local lock_timeout = '5s';

drop function messaging.record_health(uuid, boolean, text, text);
drop function messaging.take_health_checks(double precision, integer);
drop function messaging.webhook_instance(bytea, text);
drop function messaging.set_phone_number(uuid, text, text);
drop function messaging.set_webhook_token(uuid, bytea, text);
drop function messaging.set_instance_status(uuid, text, text, text);
