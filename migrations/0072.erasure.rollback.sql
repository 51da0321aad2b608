set local lock_timeout = '5s';

drop function messaging.erase_profile(text, bigint);
drop function messaging.erase_messages(text, text, text);
drop function messaging.erase_preview(text);
drop function messaging.blank(text, text[], text, anyarray);
drop function messaging.needles(text);
drop function messaging.phone_forms(text);
drop table messaging.erasures;
