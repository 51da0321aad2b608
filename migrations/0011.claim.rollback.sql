set local lock_timeout = '5s';

drop function messaging.ready_in_s();
drop function messaging.claim(text, integer);
drop function messaging.is_next_reply(messaging.outbox);
drop function messaging.lease_message(bigint, timestamptz, text);
drop function messaging.set_aside(messaging.outbox, messaging.verdict, text);
drop function messaging.next_paced(uuid, timestamptz);
