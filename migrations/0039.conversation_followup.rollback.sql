set local lock_timeout = '5s';

drop function messaging.effect_conversation_followup(bigint);
drop function messaging.due_conversation_followup(text);
drop function messaging.session_just_ended(uuid, timestamptz);
drop function messaging.people_conversation_followup();
drop function messaging.conversation_mark(timestamptz);
drop function messaging.conversation_situation(uuid, text);
drop function messaging.is_natural_end(text, text);
drop function messaging.plain_words(text);
drop function messaging.quiet_hour();
