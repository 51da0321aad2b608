set local lock_timeout = '5s';

-- They lose a parameter again.
drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text, text, text
);
drop function messaging.accept_agency_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, boolean, text, text, text[], text, text, text
);
select roleta_migrations.drop_created('0063.sightings');
drop function messaging.note_sighting(uuid, text, text, text, text, text, text, timestamptz, text);
drop function messaging.text_key(text);
drop table messaging.sightings;
drop index messaging.attempts_unaccounted;
