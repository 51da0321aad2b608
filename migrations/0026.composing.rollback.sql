set local lock_timeout = '5s';

drop function messaging.recent_messages(uuid, timestamptz, integer);
drop function messaging.finish_draft(bigint, uuid, text, text, jsonb, text, text);
drop function messaging.take_drafts(text, integer, double precision);
