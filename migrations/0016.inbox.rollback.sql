set local lock_timeout = '5s';

drop function messaging.finish_turn(text, uuid, bigint, text[], text, double precision);
drop function messaging.claim_turn(text, double precision);
drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision
);
drop table messaging.turns;
drop table messaging.inbound_events;
