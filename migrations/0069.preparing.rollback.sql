set local lock_timeout = '5s';

-- What was purged at the provider was handed over and most probably never arrived: nothing else tells.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.purged holds %s rows' as what, count(*) as amount from messaging.purged
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.return_notes(bigint);
drop function messaging.returns();
drop function messaging.finish_return(uuid, uuid, integer, text, text);
drop function messaging.thin_out(uuid, timestamptz);
drop function messaging.note_queue(uuid, uuid, jsonb);
drop function messaging.take_returns(integer, double precision);
drop table messaging.purged;
