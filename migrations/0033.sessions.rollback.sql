set local lock_timeout = '5s';

drop function messaging.session_facts(public.sessions, text);
drop function messaging.session_ending(public.sessions);
drop function messaging.session_overdue(public.sessions, timestamptz);
drop function messaging.session_over_at(public.sessions);
drop function messaging.session_lines(jsonb);
drop trigger forget_reminders on public.sessions;
drop function messaging.forget_reminders();
drop function messaging.session_of_message(bigint);
drop function messaging.session_of(text);
drop function messaging.session_subject(public.sessions);
