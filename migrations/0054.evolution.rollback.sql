set local lock_timeout = '5s';

drop function messaging.webhook_connection(bytea);
-- Their answers lose a column again.
drop function messaging.take_health_checks(double precision, integer);
drop function messaging.begin_attempt(bigint, uuid, text);
select roleta_migrations.drop_created('0054.evolution');
