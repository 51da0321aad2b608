set local lock_timeout = '5s';

-- Who said stop is not forgotten by accident, nor with whom one of us talks by hand now.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.opt_outs holds %s rows' as what, count(*) as amount from messaging.opt_outs
        union all
        select 'messaging.takeovers holds %s rows' as what, count(*) as amount from messaging.takeovers as x where x.until > messaging.clock()
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.take_over(uuid, text, double precision);
drop function messaging.opt_in(uuid, text);
drop function messaging.opt_out(uuid, text, text);
drop function messaging.withdraw_messages(bigint[], text, text);
drop index messaging.outbox_person_waiting;
drop table messaging.takeovers;
drop table messaging.opt_outs;
