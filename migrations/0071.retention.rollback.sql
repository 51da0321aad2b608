set local lock_timeout = '5s';

drop function messaging.forget(text, integer, integer);
drop function messaging.forgettable(text, integer);
drop function messaging.removed_content(jsonb, text);
drop function messaging.kept_facts(jsonb);
drop index messaging.inbound_events_text_kept;
drop index messaging.inbound_events_raw_kept;
alter table messaging.inbound_events drop column raw_removed_at, drop column text_removed_at;
drop index messaging.outbox_texts_kept;
alter table messaging.outbox drop column text_removed_at;
