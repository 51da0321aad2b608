set local lock_timeout = '5s';

drop function messaging.effect_commitment_followup(bigint);
drop function messaging.due_commitment_followup(text);
drop function messaging.followed_up_today(uuid, timestamptz);
drop function messaging.people_commitment_followup();
