set local lock_timeout = '5s';

-- Who is behind a LID is not forgotten by accident: nothing but the next event with both tells it again.
do $$
declare
    v_rows bigint;
begin
    select count(*) into v_rows from messaging.person_lids;
    if v_rows > 0 and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using
            errcode = 'WP005',
            message = format('messaging.person_lids holds %s rows; roll back with --discard-data to lose them', v_rows);
    end if;
end
$$;

drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
);
select roleta_migrations.drop_created('0030.inbound');
alter table messaging.inbound_events
drop column command,
drop column media_url;
drop table messaging.person_lids;
