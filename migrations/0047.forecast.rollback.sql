set local lock_timeout = '5s';

drop function messaging.expected_times(jsonb);
drop function messaging.run_forecast(text);
select roleta_migrations.drop_created('0047.forecast');
