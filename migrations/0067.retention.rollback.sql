set local lock_timeout = '5s';

drop function messaging.erase_profile(text, bigint);
drop function messaging.erase_messages(text, text, text);
drop function messaging.erase_preview(text);
drop function messaging.blank(text, text[], text, anyarray);
drop function messaging.needles(text);
drop function messaging.phone_forms(text);
drop function messaging.forget(text, integer, integer);
drop function messaging.forgettable(text, integer);
drop function messaging.removed_content(jsonb, text);
drop function messaging.kept_facts(jsonb);
drop table messaging.erasures;
drop index messaging.inbound_events_text_kept;
drop index messaging.inbound_events_raw_kept;
alter table messaging.inbound_events drop column raw_removed_at, drop column text_removed_at;
drop index messaging.outbox_texts_kept;
alter table messaging.outbox drop column text_removed_at;
