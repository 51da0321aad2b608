set local lock_timeout = '5s';

drop function messaging.close_sessions(text, text);
drop function messaging.may_close(public.sessions, text, timestamptz);
drop function messaging.session_word(public.sessions, text);
