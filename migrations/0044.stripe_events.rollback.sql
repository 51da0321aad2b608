set local lock_timeout = '5s';

-- What was paid and applied is not forgotten by accident: it would be applied again.
do $$
declare
    v_rows bigint;
begin
    select count(*) into v_rows from messaging.stripe_events;
    if v_rows > 0 and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using
            errcode = 'WP005',
            message = format('messaging.stripe_events holds %s rows; roll back with --discard-data to lose them', v_rows);
    end if;
end
$$;

drop function messaging.settle_stripe_event(text, uuid, text, boolean);
drop function messaging.take_stripe_event(text, text, timestamptz, text, text);
drop function messaging.stripe_profile(text, text, text);
drop table messaging.stripe_events;
