set local lock_timeout = '5s';

drop function messaging.effect_checkin(bigint);
drop function messaging.due_checkin(text);
drop function messaging.people_checkin();
