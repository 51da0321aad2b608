-- Credentials are sealed by the application, where they stand: a number's id is chosen by whoever seals for it, and sealed values are
-- exchanged one by one, each only while it is what it was.
-- Locks: none beyond the rows that are exchanged; functions and comments only.
-- depends: 0069.preparing

set local lock_timeout = '5s';

-- Two functions gain a parameter, so they are made anew.
select roleta_migrations.remember_function(
    '0070.credentials', 'messaging.add_instance(text,text,text,text,text,text,integer,bytea)'
);
drop function messaging.add_instance(text, text, text, text, text, text, integer, bytea);
create function messaging.add_instance(
    p_name text, p_zapi_instance_id text, p_zapi_token text, p_zapi_client_token text, p_by text,
    p_phone_number text default null, p_max_users integer default 250, p_webhook_token_hash bytea default null,
    p_instance_id uuid default null
) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_id uuid;
begin
    perform messaging.sign_change(p_by, 'added');
    -- One writer at a time: names and provider ids stay single, and one number is the first, which is the default.
    perform pg_advisory_xact_lock(hashtextextended('roleta.default_instance', 0));
    perform messaging.require(coalesce(btrim(p_name), '') <> '', 'a number needs a name');
    perform messaging.require(p_max_users >= 0, 'seats are 0 or more');
    perform messaging.require(
        p_instance_id is not null or not coalesce(p_zapi_token like 'enc:v1:%' or p_zapi_client_token like 'enc:v1:%', false),
        'sealed credentials open only in the row of one id: give that id'
    );
    perform messaging.require(
        not exists (select from public.whatsapp_instances as i where i.name = btrim(p_name)),
        'a number of this name exists already'
    );
    perform messaging.require(
        not exists (select from public.whatsapp_instances as i where i.zapi_instance_id = p_zapi_instance_id),
        'a number with this Z-API instance id exists already'
    );
    insert into public.whatsapp_instances (
        id, name, phone_number, zapi_instance_id, zapi_token, zapi_client_token, max_users, webhook_token_hash, is_default
    )
    values (
        coalesce(p_instance_id, gen_random_uuid()), btrim(p_name), p_phone_number, p_zapi_instance_id, p_zapi_token,
        p_zapi_client_token, p_max_users, p_webhook_token_hash, messaging.default_instance() is null
    )
    returning id into v_id;
    return v_id;
end
$$;
comment on function messaging.add_instance(text, text, text, text, text, text, integer, bytea, uuid) is
'A new Z-API number in the pool, active; the first one becomes the default. Sealed credentials come with the id that they are sealed for.';

select roleta_migrations.remember_function('0070.credentials', 'messaging.import_env_instance(text,text,text,text)');
drop function messaging.import_env_instance(text, text, text, text);
create function messaging.import_env_instance(
    p_zapi_instance_id text, p_zapi_token text, p_zapi_client_token text, p_by text, p_instance_id uuid default null
)
returns table (instance_id uuid, created boolean, updated boolean, is_default boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_instance public.whatsapp_instances;
begin
    perform messaging.sign_change(p_by, 'imported from the environment');
    perform pg_advisory_xact_lock(hashtextextended('roleta.default_instance', 0));
    select i.* into v_instance
    from public.whatsapp_instances as i
    where i.provider = 'zapi' and i.zapi_instance_id = p_zapi_instance_id
    order by i.created_at
    limit 1
    for no key update;

    created := v_instance.id is null;
    updated := false;
    -- Whoever sealed or compared had looked before this lock: it was another row, or there was one.
    if (v_instance.id <> p_instance_id) or (created and (p_zapi_token is null or p_zapi_client_token is null)) then
        raise exception using errcode = 'WP004', message = 'this number was made or removed meanwhile: try again';
    end if;
    if created then
        instance_id := messaging.add_instance(
            (
                select 'Aura #' || n.number
                from generate_series(1, (select count(*) + 1 from public.whatsapp_instances)) as n (number)
                where not exists (
                    select from public.whatsapp_instances as i where i.name = 'Aura #' || n.number
                )
                order by n.number
                limit 1
            ),
            p_zapi_instance_id, p_zapi_token, p_zapi_client_token, p_by, p_instance_id => p_instance_id
        );
    else
        instance_id := v_instance.id;
        perform messaging.require(
            p_instance_id is not null or not coalesce(p_zapi_token like 'enc:v1:%' or p_zapi_client_token like 'enc:v1:%', false),
            'sealed credentials open only in the row of one id: give that id'
        );
        if (v_instance.zapi_token, v_instance.zapi_client_token) is distinct from (
            coalesce(p_zapi_token, v_instance.zapi_token), coalesce(p_zapi_client_token, v_instance.zapi_client_token)
        ) then
            update public.whatsapp_instances as i
            set
                zapi_token = coalesce(p_zapi_token, i.zapi_token),
                zapi_client_token = coalesce(p_zapi_client_token, i.zapi_client_token)
            where i.id = v_instance.id;
            updated := true;
        end if;
        if messaging.default_instance() is null and v_instance.in_pool and v_instance.agency_id is null then
            update public.whatsapp_instances as i set is_default = true where i.id = v_instance.id;
        end if;
    end if;
    select i.is_default into is_default from public.whatsapp_instances as i where i.id = instance_id;
    return next;
end
$$;
comment on function messaging.import_env_instance(text, text, text, text, uuid) is
'The number of the ZAPI_* variables as a row: made, or its token renewed (null: as it stands). The default where there is none yet. Safe to repeat.
p_instance_id: the number that the caller saw, or the id for a new one; WP004 where it is another one by now.';

create function messaging.credential_columns()
returns table (table_name text, column_name text, row_key text, fits boolean)
language sql stable security definer set search_path = ''
as $$
    select
        c.table_name,
        c.column_name,
        c.row_key,
        a.atttypid in ('text'::regtype, 'varchar'::regtype) and a.atttypmod = -1
    from (values
        ('public.whatsapp_instances', 'zapi_token', 't.id::text'),
        ('public.whatsapp_instances', 'zapi_client_token', 't.id::text'),
        ('public.oauth_connections', 'access_token', 't.manager_id::text || ''/'' || t.provider::text'),
        ('public.oauth_connections', 'refresh_token', 't.manager_id::text || ''/'' || t.provider::text')
    ) as c (table_name, column_name, row_key)
    inner join pg_catalog.pg_attribute as a
        on to_regclass(c.table_name) = a.attrelid and c.column_name = a.attname and not a.attisdropped
$$;
comment on function messaging.credential_columns() is
'Where credentials stand, of those columns that exist; row_key: what a row is called in what its credentials are bound to (shared/credentials.py). fits:
whether a sealed value, which is longer, can stand there.';

create function messaging.credential_counts()
returns table (table_name text, column_name text, key_id text, fits boolean, credentials bigint)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_place record;
begin
    for v_place in
        select c.* from messaging.credential_columns() as c
    loop
        return query execute format(
            'select %L::text, %L::text, case when t.%I::text like ''enc:v1:%%'' then split_part(t.%I::text, '':'', 3) end, %L::boolean, count(*)'
            ' from %s as t where coalesce(t.%I::text, '''') <> '''' group by 3 order by 3 nulls first',
            v_place.table_name, v_place.column_name, v_place.column_name, v_place.column_name, v_place.fits, v_place.table_name,
            v_place.column_name
        );
    end loop;
end
$$;
comment on function messaging.credential_counts() is
'How many credentials stand in each column under each key; key_id null: in plain text. No value.';

create function messaging.credentials_under(
    p_table text, p_column text, p_key_ids text[], p_after text default '', p_limit integer default 200
)
returns table (row_key text, stored text)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_place record;
begin
    select c.* into v_place
    from messaging.credential_columns() as c
    where c.table_name = p_table and c.column_name = p_column and c.fits;
    perform messaging.require(v_place.row_key is not null, 'no credential that could be sealed stands in this column');
    return query execute format(
        'select (%1$s) collate "C", t.%2$I::text from %3$s as t where coalesce(t.%2$I::text, '''') <> '''''
        ' and case when t.%2$I::text like ''enc:v1:%%'' then split_part(t.%2$I::text, '':'', 3) else '''' end = any ($1)'
        ' and (%1$s) collate "C" > $2 order by 1 limit $3',
        v_place.row_key, p_column, p_table
    ) using p_key_ids, p_after, p_limit;
end
$$;
comment on function messaging.credentials_under(text, text, text[], text, integer) is
'What stands in one column under one of these keys, the empty one being none (plain text), by row after p_after. Credentials: never logged, never shown.';

create function messaging.exchange_credentials(p_table text, p_column text, p_changes jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_place record;
    v_changed integer;
begin
    select c.* into v_place
    from messaging.credential_columns() as c
    where c.table_name = p_table and c.column_name = p_column and c.fits;
    perform messaging.require(v_place.row_key is not null, 'no credential that could be sealed stands in this column');
    perform messaging.require(
        not exists (
            select from jsonb_to_recordset(p_changes) as c (sealed text)
            where c.sealed is null or c.sealed !~ '^enc:v1:[A-Za-z0-9_-]{1,32}:[A-Za-z0-9_-]+$'
        ),
        'what takes a credential''s place is sealed'
    );
    -- Numbers are locked in id order, as everybody locks them; their keys sort alike.
    execute format(
        'select from %s as t where (%s) = any (select c.row_key from jsonb_to_recordset($1) as c (row_key text))'
        ' order by (%s) collate "C" for no key update',
        p_table, v_place.row_key, v_place.row_key
    ) using p_changes;
    execute format(
        'update %s as t set %I = c.sealed from jsonb_to_recordset($1) as c (row_key text, stored text, sealed text)'
        ' where (%s) = c.row_key and t.%I::text = c.stored',
        p_table, p_column, v_place.row_key, p_column
    ) using p_changes;
    get diagnostics v_changed = row_count;
    return v_changed;
end
$$;
comment on function messaging.exchange_credentials(text, text, jsonb) is
'[{row_key, stored, sealed}]: sealed takes the place of stored where that still stands; answers how many did. What changed meanwhile stays as it is.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'add_instance', 'import_env_instance', 'credential_columns', 'credential_counts', 'credentials_under', 'exchange_credentials'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text !~ 'credential_columns' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;

-- Comments go only on what is ours: an adopted table's own comments are not ours to change.
do $$
declare
    v_table text;
    v_column text;
    v_text text;
begin
    for v_table, v_column, v_text in
        values
        ('public.whatsapp_instances', 'zapi_token', 'The instance''s token at Z-API: enc:v1:<key id>:..., or plain until `roleta encrypt-credentials`.'),
        ('public.whatsapp_instances', 'zapi_client_token', 'The account''s token at Z-API: enc:v1:<key id>:..., or plain until `roleta encrypt-credentials`.'),
        ('public.oauth_connections', 'access_token', 'The ad platform''s token: enc:v1:<key id>:..., or plain until `roleta encrypt-credentials`.')
    loop
        if exists (
            select from roleta_migrations.created_objects as o
            where o.kind in ('table', 'column') and o.identity in (v_table, v_table || '.' || v_column)
        ) then
            execute format('comment on column %s.%I is %L', v_table, v_column, v_text);
        end if;
    end loop;
end
$$;
