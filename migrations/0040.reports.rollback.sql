set local lock_timeout = '5s';

drop function messaging.effect_weekly_report(bigint);
drop function messaging.due_weekly_report(text);
drop function messaging.people_weekly_report();
