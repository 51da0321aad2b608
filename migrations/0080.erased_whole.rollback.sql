set local lock_timeout = '5s';

-- Of an erasure that is not over, only this still tells whose it is.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.erasures.open_keys holds %s values' as what, count(*) as amount from messaging.erasures where open_keys is not null
        union all
        select 'messaging.erasures.open_profiles holds %s values', count(*) from messaging.erasures where open_profiles is not null
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

select roleta_migrations.drop_created('0080.erased_whole');
alter table messaging.erasures drop column open_keys, drop column open_profiles;
