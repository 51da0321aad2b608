set local lock_timeout = '5s';

-- A pause is a person's decision: rolled back and applied again, everything would run.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.control.paused_at holds %s values' as what, count(*) as amount from messaging.control as x where x.paused_at is not null
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop table messaging.control;
drop function messaging.phone_key(text);
drop function messaging.require(boolean, text);
drop function messaging.clock();
drop schema messaging;
