set local lock_timeout = '5s';

-- What is sealed stays sealed: only the key ring opens it, and Python before this migration could not.
do $$
declare
    v_table text;
    v_column text;
begin
    for v_table, v_column in
        values
        ('public.whatsapp_instances', 'zapi_token'),
        ('public.whatsapp_instances', 'zapi_client_token'),
        ('public.oauth_connections', 'access_token')
    loop
        if exists (
            select from roleta_migrations.created_objects as o
            where o.kind in ('table', 'column') and o.identity in (v_table, v_table || '.' || v_column)
        ) then
            execute format('comment on column %s.%I is null', v_table, v_column);
        end if;
    end loop;
end
$$;
drop function messaging.exchange_credentials(text, text, jsonb);
drop function messaging.credentials_under(text, text, text[], text, integer);
drop function messaging.credential_counts();
drop function messaging.credential_columns();
drop function messaging.import_env_instance(text, text, text, text, uuid);
drop function messaging.add_instance(text, text, text, text, text, text, integer, bytea, uuid);
select roleta_migrations.drop_created('0070.credentials');
