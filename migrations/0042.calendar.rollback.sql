set local lock_timeout = '5s';

drop function messaging.effect_schedule_renewal(bigint);
drop function messaging.due_schedule_renewal(text);
drop function messaging.people_schedule_renewal();
drop function messaging.books_this_month(uuid, timestamptz);
drop function messaging.effect_schedule_setup(bigint);
drop function messaging.due_schedule_setup(text);
drop function messaging.people_schedule_setup();
