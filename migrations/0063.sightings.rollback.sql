set local lock_timeout = '5s';

-- A message that was seen to leave would pass for one that nobody saw.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.sightings holds %s rows' as what, count(*) as amount from messaging.sightings
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

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
