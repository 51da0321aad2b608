set local lock_timeout = '5s';

drop function messaging.decide_own_unknown(bigint, text, text, timestamptz);
drop function messaging.count_own_unknowns();
drop function messaging.own_unknowns(integer, bigint);
drop function messaging.is_own_message(uuid);
drop index messaging.outbox_uncertain;
