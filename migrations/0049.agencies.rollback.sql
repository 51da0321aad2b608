set local lock_timeout = '5s';

-- Ours, and in the way of the one that was there.
do $$
begin
    if exists (
        select from roleta_migrations.created_objects as o
        where o.migration = '0049.agencies dropped' and o.identity = 'public.user_roles.user_roles_role_check'
    ) then
        alter table public.user_roles drop constraint user_roles_role_check;
    end if;
end
$$;
select roleta_migrations.drop_created('0049.agencies');
select roleta_migrations.restore_dropped('0049.agencies');

drop function roleta_migrations.restore_dropped(text);
drop function roleta_migrations.drop_old_index(text, regclass);
drop function roleta_migrations.drop_old_constraint(text, text, text);
