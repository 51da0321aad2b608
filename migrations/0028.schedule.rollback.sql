set local lock_timeout = '5s';

drop function messaging.recent_runs(integer);
drop function messaging.finish_run(text, timestamptz, uuid, jsonb, text);
drop function messaging.take_run(text, timestamptz, text, double precision);
drop function messaging.see_schedules(text[]);
drop table messaging.schedule_runs;
drop table messaging.schedules;
