set local lock_timeout = '5s';

drop index public.profiles_phone_canonical;
drop trigger follow_seats_truncate on public.profiles;
drop function messaging.empty_seats();
drop trigger follow_seats_delete on public.profiles;
drop trigger follow_seats_update on public.profiles;
drop trigger follow_seats_insert on public.profiles;
do $$
declare
    v_name text;
    v_enabled text;
begin
    for v_name, v_enabled in
        delete from roleta_migrations.created_objects
        where migration = '0005.seats' and kind = 'disabled_trigger' returning identity, previous
    loop
        execute format(
            'alter table public.profiles enable %s trigger %I',
            case v_enabled when 'A' then 'always' when 'R' then 'replica' else '' end, v_name
        );
    end loop;
end
$$;
drop function messaging.follow_seats();
drop function messaging.move_seats(uuid[], uuid[]);

-- The drift that the migration corrected comes back, whatever has changed since.
with forgotten as (
    delete from roleta_migrations.created_objects
    where migration = '0005.seats' and kind = 'corrected_seats'
    returning identity, previous
)

update public.whatsapp_instances as i
set current_users = greatest(i.current_users + f.previous::integer, 0)
from forgotten as f
where i.id::text = f.identity;
