set local lock_timeout = '5s';

-- By whom and why a number was changed stands nowhere else.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.instance_history holds %s rows' as what, count(*) as amount from messaging.instance_history
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.set_accepts_new(uuid, boolean, text, text);
drop function messaging.set_default_instance(uuid, text);
drop function messaging.set_gaps(uuid, numeric, numeric, text, numeric, numeric);
drop function messaging.set_seats(uuid, integer, text);
drop function messaging.link_profiles(uuid, integer);
drop function messaging.import_env_instance(text, text, text, text);
drop function messaging.add_instance(text, text, text, text, text, text, integer, bytea);
drop function messaging.lock_instance(uuid);
drop function messaging.sign_change(text, text);
drop trigger instance_history on public.whatsapp_instances;
drop function messaging.write_instance_history();
drop table messaging.instance_history;
