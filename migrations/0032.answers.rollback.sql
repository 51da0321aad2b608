set local lock_timeout = '5s';

drop function messaging.finish_turn(text, uuid, bigint, jsonb, jsonb, text, double precision);
drop function messaging.obey(uuid, text, text);
drop function messaging.effect_turn(bigint);
drop function messaging.apply_turn(uuid, bigint[], timestamptz, jsonb);
select roleta_migrations.drop_created('0032.answers');
