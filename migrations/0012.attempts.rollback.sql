set local lock_timeout = '5s';

drop function messaging.record_attempt(bigint, text, text, text, integer, text, text, numeric);
drop function messaging.follow_attempt(messaging.attempts, numeric);
drop function messaging.begin_attempt(bigint, uuid, text);
