set local lock_timeout = '5s';

drop function messaging.effect_content_completed(bigint);
drop function messaging.effect_content(bigint);
drop function messaging.due_content_completed(text);
drop function messaging.due_content(text);
drop function messaging.people_content();
