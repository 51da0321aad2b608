set local lock_timeout = '5s';

select roleta_migrations.drop_created('0062.evidence');
drop function messaging.confirm_sent(messaging.attempts, text, text);
drop function messaging.note_evidence(messaging.attempts, text, text, timestamptz, text);
drop function messaging.is_unsettled(messaging.attempts);
drop table messaging.evidence;
