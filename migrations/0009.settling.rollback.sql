set local lock_timeout = '5s';

drop function messaging.expire_due(integer);
drop function messaging.settle_expired(uuid, timestamptz);
drop function messaging.effect_history(bigint);
drop function messaging.retry_effects(integer);
drop function messaging.run_effect(bigint);
drop function messaging.move(bigint, text, text, text);
