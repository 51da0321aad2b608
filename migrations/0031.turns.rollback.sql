set local lock_timeout = '5s';

drop function messaging.claim_turn(text, double precision);
drop function messaging.turn_facts(uuid, timestamptz);
select roleta_migrations.drop_created('0031.turns');
