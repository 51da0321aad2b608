set local lock_timeout = '5s';

-- Who said stop is not forgotten by accident.
do $$
declare
    v_rows bigint;
begin
    select count(*) into v_rows from messaging.opt_outs;
    if v_rows > 0 and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using
            errcode = 'WP005',
            message = format('messaging.opt_outs holds %s rows; roll back with --discard-data to lose them', v_rows);
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
