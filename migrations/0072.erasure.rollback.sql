set local lock_timeout = '5s';

-- That a person was erased, when and by whom, has to be shown for years.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.erasures holds %s rows' as what, count(*) as amount from messaging.erasures
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.erase_profile(text, bigint);
drop function messaging.erase_messages(text, text, text);
drop function messaging.erase_preview(text);
drop function messaging.blank(text, text[], text, anyarray);
drop function messaging.needles(text);
drop function messaging.phone_forms(text);
drop table messaging.erasures;
