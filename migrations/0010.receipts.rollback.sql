set local lock_timeout = '5s';

-- What a provider said later is said once.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.receipts holds %s rows' as what, count(*) as amount from messaging.receipts
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.halt_instance(uuid, text, text);
drop function messaging.apply_receipt(uuid, text, text, timestamptz, text, text);
drop function messaging.use_waiting_receipts(uuid, text, bigint);
drop function messaging.use_receipt(messaging.receipts, bigint);
drop function messaging.delivery_rank(text);
drop table messaging.receipts;
