set local lock_timeout = '5s';

do $$
begin
    if exists (select from roleta_migrations.created_objects) then
        raise exception 'roleta_migrations.created_objects still remembers objects; roll their migrations back first'
            using errcode = 'WP005';
    end if;
end
$$;

drop function roleta_migrations.data_at_stake(text, text);
drop function roleta_migrations.values_in_column(regclass, text);
drop function roleta_migrations.restore_function(text, jsonb);
drop function roleta_migrations.restore_table_grants(text, jsonb);
drop function roleta_migrations.restore_grants(text, aclitem[], jsonb, text);
drop function roleta_migrations.remember_function(text, text);
drop function roleta_migrations.remember_grants(text, text);
drop function roleta_migrations.acl_entries(aclitem[]);
drop function roleta_migrations.existing_table(text);
drop function roleta_migrations.remember(text, text, text, text);
drop table roleta_migrations.created_objects;
-- The schema stays: the record of applied migrations lives in it.
