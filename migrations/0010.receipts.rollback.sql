set local lock_timeout = '5s';

drop function messaging.halt_instance(uuid, text, text);
drop function messaging.apply_receipt(uuid, text, text, timestamptz, text, text);
drop function messaging.use_waiting_receipts(uuid, text, bigint);
drop function messaging.use_receipt(messaging.receipts, bigint);
drop function messaging.delivery_rank(text);
drop table messaging.receipts;
