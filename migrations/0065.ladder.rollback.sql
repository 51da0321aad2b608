set local lock_timeout = '5s';

drop function messaging.presume(bigint);
drop function messaging.is_silent(messaging.attempts, messaging.outbox);
drop function messaging.may_have_left(messaging.attempts, messaging.outbox);
drop function messaging.note_traces(bigint[], text, jsonb);
drop function messaging.gather_evidence(bigint);
drop function messaging.matches(uuid, text);
drop function messaging.could_be(messaging.outbox, messaging.sightings);
drop index messaging.evidence_waiting;
drop index messaging.inbound_events_alive;
