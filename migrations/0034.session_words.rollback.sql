set local lock_timeout = '5s';

drop function messaging.effect_session_rating(bigint);
drop function messaging.effect_session_summary(bigint);
drop function messaging.effect_session_start(bigint);
drop function messaging.effect_session_15m(bigint);
drop function messaging.effect_session_1h(bigint);
drop function messaging.effect_session_24h(bigint);
drop function messaging.due_session_rating(text);
drop function messaging.due_session_summary(text);
drop function messaging.due_session_missed(text);
drop function messaging.due_session_nudge(text);
drop function messaging.due_session_start(text);
drop function messaging.due_session_15m(text);
drop function messaging.due_session_1h(text);
drop function messaging.due_session_24h(text);
drop function messaging.why_no_reminder(public.sessions, boolean);
drop function messaging.people_session_messages();
