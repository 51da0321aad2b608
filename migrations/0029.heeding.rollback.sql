set local lock_timeout = '5s';

drop function messaging.heed_hand(uuid, text, text, double precision);
drop function messaging.heed_message(messaging.inbound_events, uuid, text);
drop function messaging.keep_pending(uuid, text, text);
drop function messaging.keep_messages(bigint[]);
drop function messaging.note_message(uuid, timestamptz);
