set local lock_timeout = '5s';

drop function messaging.effect_reactivation_missed(bigint);
drop function messaging.effect_reactivation(bigint);
drop function messaging.due_reactivation(text);
drop function messaging.due_reactivation_missed(text);
drop function messaging.has_session_ahead(uuid, timestamptz);
drop function messaging.people_reactivation();
drop function messaging.people_reactivation_silent();
drop function messaging.people_reactivation_missed();
drop function messaging.times_expired(text, uuid, timestamptz);
