set local lock_timeout = '5s';

drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision, text, text, double precision, text
);
select roleta_migrations.drop_created('0030.inbound');
alter table messaging.inbound_events
drop column command,
drop column media_url;
drop table messaging.person_lids;
