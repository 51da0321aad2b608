set local lock_timeout = '5s';

-- Neither table is guarded: what was asked of late leaks away within a day, and the key is drawn anew.

drop function messaging.sign_up_within_limits(text, text, text, text, text, text, integer, integer, numeric, text, text);
drop function messaging.forget_buckets(integer);
drop function messaging.seats_for_strangers(numeric);
drop function messaging.fill_bucket(text, numeric);
drop function messaging.bucket_name(text, text);
drop table messaging.bucket_key;
drop table messaging.sign_up_buckets;
