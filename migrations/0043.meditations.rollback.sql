set local lock_timeout = '5s';

drop function messaging.fallback_meditation(bigint);
drop function messaging.effect_meditation(bigint);
drop function messaging.choose_meditation(text, text, text, uuid);
drop function messaging.meditation_recipient(uuid, text);
