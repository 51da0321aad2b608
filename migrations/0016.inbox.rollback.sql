set local lock_timeout = '5s';

-- A person's words, and which of them were answered, are not thrown away by accident.
-- turns goes without a guard: each only names events that wait.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.inbound_events holds %s rows' as what, count(*) as amount from messaging.inbound_events
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.finish_turn(text, uuid, bigint, text[], text, double precision);
drop function messaging.claim_turn(text, double precision);
drop function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision
);
drop table messaging.turns;
drop table messaging.inbound_events;
