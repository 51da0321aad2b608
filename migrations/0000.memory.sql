-- Memory of what migrations created or changed, and its undoing: a rollback removes that and nothing else.
-- Locks: none on any table that was there before.

set local lock_timeout = '5s';

-- Setup: what every later migration relies on.

do $$
declare
    v_role text;
begin
    if current_setting('server_version_num')::integer < 150000 then
        raise exception 'PostgreSQL 15 or newer is needed; this server is %', current_setting('server_version')
            using errcode = 'WP006';
    end if;
    foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
            raise exception 'role % is missing: this is no Supabase database; run scripts/supabase_bootstrap.sql first', v_role
                using errcode = 'WP006';
        end if;
    end loop;
end
$$;

create schema if not exists roleta_migrations;
revoke all on schema roleta_migrations from public, anon, authenticated, service_role;

-- One row per thing that a migration created or changed. The key holds the migration too, because a later
-- migration may replace a function again, and its rollback must bring back the text in between.
create table roleta_migrations.created_objects (
    ordinal bigint generated always as identity primary key,
    migration text not null,
    kind text not null,
    identity text not null,
    previous text,
    created_at timestamptz not null default now(),
    unique (migration, kind, identity)
);
comment on table roleta_migrations.created_objects is
'What each migration created (previous is null) or changed (previous holds what was there); drop_created undoes it.';
revoke all on table roleta_migrations.created_objects from public, anon, authenticated, service_role;

-- Small pieces.

create function roleta_migrations.remember(p_migration text, p_kind text, p_identity text, p_previous text default null) returns void
language sql set search_path = ''
as $$
    insert into roleta_migrations.created_objects (migration, kind, identity, previous)
    values (p_migration, p_kind, p_identity, p_previous)
    on conflict (migration, kind, identity) do nothing;
$$;
comment on function roleta_migrations.remember(text, text, text, text) is
'Records one created or changed object; the first memory of a migration wins.';

create function roleta_migrations.existing_table(p_table text) returns regclass
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := pg_catalog.to_regclass(p_table);
begin
    if v_table is null or pg_catalog.array_length(pg_catalog.parse_ident(p_table), 1) <> 2 then
        raise exception 'table % does not exist; name it as schema.table', p_table using errcode = 'WP002';
    end if;
    return v_table;
end
$$;
comment on function roleta_migrations.existing_table(text) is
'The table of that schema-qualified name, or WP002.';

-- Remember what is about to be changed.

create function roleta_migrations.acl_entries(p_acl aclitem[]) returns jsonb
language sql stable set search_path = ''
as $$
    -- Names instead of numbers, null for public; in the order of the list, which pg_dump shows.
    select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
        'grantee', case when e.grantee <> 0 then pg_catalog.pg_get_userbyid(e.grantee) end,
        'privilege', e.privilege_type,
        'grantable', e.is_grantable
    ) order by e.ordinality)
    from pg_catalog.aclexplode(p_acl) with ordinality as e;
$$;
comment on function roleta_migrations.acl_entries(aclitem[]) is
'An access list as json [{grantee, privilege, grantable}]; grantee null is public.';

create function roleta_migrations.remember_grants(p_migration text, p_table text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
begin
    perform roleta_migrations.remember(p_migration, 'grants', v_table::text, (
        select pg_catalog.jsonb_build_object(
            'table', roleta_migrations.acl_entries(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))),
            'columns', (
                select pg_catalog.jsonb_object_agg(a.attname, roleta_migrations.acl_entries(a.attacl))
                from pg_catalog.pg_attribute as a
                where a.attrelid = c.oid and a.attacl is not null and not a.attisdropped
            )
        )::text
        from pg_catalog.pg_class as c where c.oid = v_table
    ));
end
$$;
comment on function roleta_migrations.remember_grants(text, text) is
'Stores who may do what on the table and its columns, before a migration changes it; the rollback restores exactly that.';

create function roleta_migrations.remember_function(p_migration text, p_function text) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_function regprocedure := pg_catalog.to_regprocedure(p_function);
begin
    if v_function is null then
        perform roleta_migrations.remember(p_migration, 'function', p_function);
        return false;
    end if;
    perform roleta_migrations.remember(p_migration, 'function', v_function::text, (
        select pg_catalog.jsonb_build_object(
            'definition', pg_catalog.pg_get_functiondef(p.oid),
            'acl', roleta_migrations.acl_entries(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))),
            'comment', pg_catalog.obj_description(p.oid, 'pg_proc')
        )::text
        from pg_catalog.pg_proc as p where p.oid = v_function
    ));
    return true;
end
$$;
comment on function roleta_migrations.remember_function(text, text) is
'Stores text, grants and comment of the function that a migration is about to replace, or that it did not exist
(then the rollback drops it). Name it with its argument types. True when it existed.';

-- Undo.

create function roleta_migrations.restore_grants(
    p_object text, p_current aclitem[], p_entries jsonb, p_columns text default ''
) returns void
language plpgsql set search_path = ''
as $$
declare
    v_statement text;
begin
    for v_statement in
        select distinct pg_catalog.format(
            'revoke all %s on %s from %s cascade', p_columns, p_object,
            case when e.grantee = 0 then 'public' else e.grantee::regrole::text end
        )
        from pg_catalog.aclexplode(p_current) as e
    loop
        execute v_statement;
    end loop;
    for v_statement in
        select pg_catalog.format(
            'grant %s %s on %s to %s%s', e.value ->> 'privilege', p_columns, p_object,
            coalesce(pg_catalog.quote_ident(e.value ->> 'grantee'), 'public'),
            case when (e.value ->> 'grantable')::boolean then ' with grant option' else '' end
        )
        from pg_catalog.jsonb_array_elements(p_entries) with ordinality as e
        -- A role that was dropped since has nothing to get back.
        where e.value ->> 'grantee' is null or pg_catalog.to_regrole(pg_catalog.quote_ident(e.value ->> 'grantee')) is not null
        order by e.ordinality
    loop
        execute v_statement;
    end loop;
end
$$;
comment on function roleta_migrations.restore_grants(text, aclitem[], jsonb, text) is
'Replaces the present grants of one object (of one column: p_columns is its name in parentheses) by the remembered ones.';

create function roleta_migrations.restore_table_grants(p_table text, p_previous jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := pg_catalog.to_regclass(p_table);
    v_column record;
begin
    if v_table is null then
        return;
    end if;
    perform roleta_migrations.restore_grants('table ' || v_table::text, (
        select coalesce(relacl, pg_catalog.acldefault('r', relowner)) from pg_catalog.pg_class where oid = v_table
    ), p_previous -> 'table');
    for v_column in
        select attname, attacl from pg_catalog.pg_attribute
        where attrelid = v_table and attnum > 0 and not attisdropped
            and (attacl is not null or (p_previous -> 'columns') ? attname)
        order by attnum
    loop
        perform roleta_migrations.restore_grants(
            'table ' || v_table::text, v_column.attacl, p_previous -> 'columns' -> v_column.attname,
            pg_catalog.format('(%I)', v_column.attname)
        );
    end loop;
end
$$;
comment on function roleta_migrations.restore_table_grants(text, jsonb) is
'Gives a table and its columns back the grants that remember_grants stored.';

create function roleta_migrations.restore_function(p_function text, p_previous jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
    if p_previous is null then
        execute pg_catalog.format('drop function if exists %s', p_function);
        return;
    end if;
    -- The old body may name tables without their schema: it was checked when it was written.
    perform pg_catalog.set_config('check_function_bodies', 'off', true);
    begin
        execute p_previous ->> 'definition';
    exception when invalid_function_definition then
        -- Another result type cannot be replaced.
        execute pg_catalog.format('drop function %s', p_function);
        execute p_previous ->> 'definition';
    end;
    perform roleta_migrations.restore_grants('function ' || p_function, (
        select coalesce(proacl, pg_catalog.acldefault('f', proowner)) from pg_catalog.pg_proc
        where oid = pg_catalog.to_regprocedure(p_function)
    ), p_previous -> 'acl');
    execute pg_catalog.format('comment on function %s is %L', p_function, p_previous ->> 'comment');
end
$$;
comment on function roleta_migrations.restore_function(text, jsonb) is
'Gives a function back its remembered text, grants and comment; drops it where there was none.';

create function roleta_migrations.values_in_column(p_table regclass, p_column text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    v_filter text := 'c is not null';
    v_column record;
    v_count bigint;
begin
    select
        a.attgenerated, a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid) as default_expression,
        case when a.atthasmissing then (a.attmissingval::text::text[])[1] end as missing_value,
        pg_catalog.format_type(a.atttypid, a.atttypmod) as column_type
    into v_column
    from pg_catalog.pg_attribute as a
    left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = p_table and a.attname = p_column and not a.attisdropped;
    if not found or v_column.attgenerated <> '' then
        return 0;
    end if;
    if v_column.default_expression is not null and v_column.default_expression !~ 'nextval' then
        v_filter := pg_catalog.format('c is distinct from %s', v_column.default_expression);
    end if;
    if v_column.missing_value is not null then
        -- Rows older than the column show the value that its default had when it was added, such as now().
        v_filter := v_filter
            || pg_catalog.format(' and c is distinct from %L::%s', v_column.missing_value, v_column.column_type);
    end if;
    execute pg_catalog.format(
        'select pg_catalog.count(*) from (select %I as c from %s) as t where %s', p_column, p_table, v_filter
    ) into v_count;
    return v_count;
end
$$;
comment on function roleta_migrations.values_in_column(regclass, text) is
'How many rows hold something in the column that neither its default nor its addition put there.';

create function roleta_migrations.data_at_stake(p_kind text, p_identity text) returns text
language plpgsql set search_path = ''
as $$
declare
    v_name text[] := pg_catalog.parse_ident(p_identity);
    v_table regclass := pg_catalog.to_regclass(pg_catalog.format('%I.%I', v_name[1], v_name[2]));
    v_count bigint;
begin
    if v_table is null then
        return null;
    end if;
    if p_kind = 'table' then
        execute pg_catalog.format('select pg_catalog.count(*) from %s', v_table) into v_count;
        return case when v_count > 0 then pg_catalog.format('table %s (%s rows)', v_table, v_count) end;
    end if;
    if p_kind = 'not_null' then
        execute pg_catalog.format('select pg_catalog.count(*) from %s where %I is null', v_table, v_name[3])
        into v_count;
        return case when v_count > 0 then pg_catalog.format('column %s (%s rows without it)', p_identity, v_count) end;
    end if;
    v_count := roleta_migrations.values_in_column(v_table, v_name[3]);
    return case when v_count > 0 then pg_catalog.format('column %s (%s values)', p_identity, v_count) end;
end
$$;
comment on function roleta_migrations.data_at_stake(text, text) is
'What undoing a created table, a created column or a dropped not null would lose, in words; null when nothing.';

revoke all on all functions in schema roleta_migrations from public, anon, authenticated, service_role;
