set local lock_timeout = '5s';

drop function messaging.standing();
drop function messaging.wake_forgotten();
drop function messaging.cancel(text, text, boolean, bigint, text, text, uuid);
drop function messaging.resume_all(text);
drop function messaging.pause_all(text, text);
