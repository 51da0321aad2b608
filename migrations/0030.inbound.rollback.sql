set local lock_timeout = '5s';

-- Who is behind a LID is not forgotten by accident: nothing but the next event with both tells it again. Nor is what a person ordered, and
-- where the provider keeps the audio.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.person_lids holds %s rows' as what, count(*) as amount from messaging.person_lids
        union all
        select 'messaging.inbound_events.command holds %s values' as what, count(*) as amount from messaging.inbound_events as x where x.command is not null
        union all
        select 'messaging.inbound_events.media_url holds %s values' as what, count(*) as amount from messaging.inbound_events as x where x.media_url is not null
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
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
