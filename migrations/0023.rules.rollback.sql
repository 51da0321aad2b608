set local lock_timeout = '5s';

select roleta_migrations.drop_created('0023.rules');
drop function messaging.may_choose(text, uuid, text, timestamptz);
drop function messaging.rule_against(text, uuid, uuid, text, text, timestamptz);
drop function messaging.end_of_local_day(timestamptz);
drop function messaging.local_date(timestamptz);
drop function messaging.last_wrote_at(public.profiles);
