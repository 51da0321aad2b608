-- Adoption helpers: create only what is missing in a database that may already hold the app's tables.
-- Locks: none on any table that was there before.

set local lock_timeout = '5s';

create function roleta_migrations.is_ours(p_table regclass) returns boolean
language sql stable set search_path = ''
as $$
    select exists (
        select from roleta_migrations.created_objects
        where kind = 'table' and identity = p_table::text
    );
$$;
comment on function roleta_migrations.is_ours(regclass) is
'True when a migration created the table; false when it was adopted.';

-- Create only where missing. Each answers true when it created something.

create function roleta_migrations.ensure_table(p_migration text, p_table text, p_columns_ddl text) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_name text[] := pg_catalog.parse_ident(p_table);
begin
    if pg_catalog.array_length(v_name, 1) <> 2 then
        raise exception 'name the table as schema.table, not %', p_table using errcode = 'WP003';
    end if;
    if pg_catalog.to_regclass(p_table) is not null then
        return false;
    end if;
    execute pg_catalog.format('create table %I.%I (%s)', v_name[1], v_name[2], p_columns_ddl);
    perform roleta_migrations.remember(p_migration, 'table', pg_catalog.to_regclass(p_table)::text);
    return true;
end
$$;
comment on function roleta_migrations.ensure_table(text, text, text) is
'Creates the table with these columns where no relation of that name exists, and records it; true when created.';

create function roleta_migrations.ensure_column(p_migration text, p_table text, p_column text, p_definition text) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
begin
    if exists (
        select from pg_catalog.pg_attribute
        where attrelid = v_table and attname = p_column and not attisdropped
    ) then
        return false;
    end if;
    execute pg_catalog.format('alter table %s add column %I %s', v_table, p_column, p_definition);
    perform roleta_migrations.remember(p_migration, 'column', pg_catalog.format('%s.%I', v_table, p_column));
    return true;
end
$$;
comment on function roleta_migrations.ensure_column(text, text, text, text) is
'Adds the column where the table has none of that name, and records it; true when added.';

create function roleta_migrations.ensure_index(p_migration text, p_index text, p_create_statement text) returns boolean
language plpgsql set search_path = ''
as $$
begin
    if pg_catalog.to_regclass(p_index) is not null then
        return false;
    end if;
    execute p_create_statement;
    if pg_catalog.to_regclass(p_index) is null then
        raise exception 'the statement given for index % did not create it', p_index using errcode = 'WP003';
    end if;
    perform roleta_migrations.remember(p_migration, 'index', pg_catalog.to_regclass(p_index)::text);
    return true;
end
$$;
comment on function roleta_migrations.ensure_index(text, text, text) is
'Runs the create index statement where no relation schema.name exists, and records it; true when created.';

create function roleta_migrations.ensure_row_security(p_migration text, p_table text) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
begin
    if (select relrowsecurity from pg_catalog.pg_class where oid = v_table) then
        return false;
    end if;
    execute pg_catalog.format('alter table %s enable row level security', v_table);
    perform roleta_migrations.remember(p_migration, 'row_security', v_table::text);
    return true;
end
$$;
comment on function roleta_migrations.ensure_row_security(text, text) is
'Enables row level security where it is off, and records it; true when enabled.';

create function roleta_migrations.relax_not_null(p_migration text, p_table text, p_column text) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
begin
    if not (
        select attnotnull from pg_catalog.pg_attribute
        where attrelid = v_table and attname = p_column and not attisdropped
    ) then
        return false;
    end if;
    execute pg_catalog.format('alter table %s alter column %I drop not null', v_table, p_column);
    perform roleta_migrations.remember(p_migration, 'not_null', pg_catalog.format('%s.%I', v_table, p_column));
    return true;
end
$$;
comment on function roleta_migrations.relax_not_null(text, text, text) is
'Drops a column''s not null where it has one, and records it; the rollback sets it again. True when dropped.';

-- Constraints: an adopted table may hold rows that offend; they are counted, not touched.

create function roleta_migrations.count_offenders(p_table regclass, p_constraint text) returns bigint
language plpgsql set search_path = ''
as $$
declare
    v_constraint pg_catalog.pg_constraint;
    v_filter text;
    v_count bigint;
begin
    select * into strict v_constraint from pg_catalog.pg_constraint
    where conrelid = p_table and conname = p_constraint;
    if v_constraint.contype = 'c' then
        v_filter := pg_catalog.format('not (%s)', pg_catalog.pg_get_expr(v_constraint.conbin, p_table));
    else
        -- A foreign key: every referencing column filled, and no such row on the other side.
        select pg_catalog.format(
            '%s and not exists (select from %s as o where %s)',
            pg_catalog.string_agg(pg_catalog.format('t.%I is not null', a.attname), ' and '),
            v_constraint.confrelid::regclass,
            pg_catalog.string_agg(pg_catalog.format('o.%I = t.%I', f.attname, a.attname), ' and ')
        ) into v_filter
        from unnest(v_constraint.conkey, v_constraint.confkey) as pair (own, other)
        inner join pg_catalog.pg_attribute as a on a.attrelid = v_constraint.conrelid and a.attnum = pair.own
        inner join pg_catalog.pg_attribute as f on f.attrelid = v_constraint.confrelid and f.attnum = pair.other;
    end if;
    execute pg_catalog.format('select pg_catalog.count(*) from %s as t where %s', p_table, v_filter) into v_count;
    return v_count;
end
$$;
comment on function roleta_migrations.count_offenders(regclass, text) is
'How many rows of the table offend one of its check or foreign key constraints.';

create function roleta_migrations.ensure_constraint(
    p_migration text, p_table text, p_constraint text, p_definition text
) returns boolean
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
    v_can_wait boolean := not roleta_migrations.is_ours(v_table) and p_definition ~* '^\s*(check|foreign)\y';
    v_offenders bigint;
begin
    if exists (select from pg_catalog.pg_constraint where conrelid = v_table and conname = p_constraint) then
        return false;
    end if;
    begin
        execute pg_catalog.format(
            'alter table %s add constraint %I %s%s',
            v_table, p_constraint, p_definition, case when v_can_wait then ' not valid' else '' end
        );
    exception when unique_violation then
        raise exception 'constraint % cannot be added: table % holds duplicates; settle them, then run again',
            p_constraint, v_table using errcode = 'WP004';
    end;
    if v_can_wait then
        v_offenders := roleta_migrations.count_offenders(v_table, p_constraint);
        if v_offenders = 0 then
            execute pg_catalog.format('alter table %s validate constraint %I', v_table, p_constraint);
        else
            raise notice 'roleta: % rows of % offend constraint %; it binds new and changed rows only',
                v_offenders, v_table, p_constraint;
        end if;
    end if;
    perform roleta_migrations.remember(p_migration, 'constraint', pg_catalog.format('%s.%I', v_table, p_constraint));
    return true;
end
$$;
comment on function roleta_migrations.ensure_constraint(text, text, text, text) is
'Adds the constraint where missing and records it; on an adopted table a check or foreign key that rows offend stays
not valid, with a notice that counts them. True when added.';

-- Undo.

create function roleta_migrations.refuse_data_loss(p_migration text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_at_stake text;
begin
    select pg_catalog.string_agg(s.words, ', ' order by o.ordinal) into v_at_stake
    from roleta_migrations.created_objects as o
    cross join lateral (select roleta_migrations.data_at_stake(o.kind, o.identity) as words) as s
    where o.migration = p_migration and o.kind in ('table', 'column', 'not_null') and s.words is not null;
    if v_at_stake is not null then
        raise exception 'rolling % back would discard data: %; give --discard-data to accept that',
            p_migration, v_at_stake using errcode = 'WP005';
    end if;
end
$$;
comment on function roleta_migrations.refuse_data_loss(text) is
'Raises WP005, naming every table and column with its row count, when undoing the migration would lose data.';

create function roleta_migrations.undo(p_object roleta_migrations.created_objects) returns void
language plpgsql set search_path = ''
as $$
declare
    v_name text[] := case when p_object.kind <> 'function' then pg_catalog.parse_ident(p_object.identity) end;
    v_table text := pg_catalog.quote_ident(v_name[1]) || '.' || pg_catalog.quote_ident(v_name[2]);
begin
    case p_object.kind
        when 'table' then
            execute pg_catalog.format('drop table if exists %s', v_table);
        when 'column' then
            execute pg_catalog.format('alter table if exists %s drop column if exists %I', v_table, v_name[3]);
        when 'index' then
            execute pg_catalog.format('drop index if exists %s', v_table);
        when 'constraint' then
            execute pg_catalog.format('alter table if exists %s drop constraint if exists %I', v_table, v_name[3]);
        when 'row_security' then
            execute pg_catalog.format('alter table if exists %s disable row level security', v_table);
        when 'not_null' then
            if roleta_migrations.data_at_stake('not_null', p_object.identity) is null then
                execute pg_catalog.format('alter table if exists %s alter column %I set not null', v_table, v_name[3]);
            else
                raise notice 'roleta: column % stays nullable: rows without it are kept', p_object.identity;
            end if;
        when 'grants' then
            perform roleta_migrations.restore_table_grants(p_object.identity, p_object.previous::jsonb);
        when 'function' then
            perform roleta_migrations.restore_function(p_object.identity, p_object.previous::jsonb);
        else
            raise exception 'rollback of %: undo the remembered % % before drop_created',
                p_object.migration, p_object.kind, p_object.identity using errcode = 'WP003';
    end case;
end
$$;
comment on function roleta_migrations.undo(roleta_migrations.created_objects) is
'Undoes one remembered change; what is gone already is no error.';

create function roleta_migrations.drop_created(p_migration text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_object roleta_migrations.created_objects;
begin
    if coalesce(pg_catalog.current_setting('roleta.discard_data', true), '') <> 'on' then
        perform roleta_migrations.refuse_data_loss(p_migration);
    end if;
    for v_object in
        select * from roleta_migrations.created_objects where migration = p_migration order by ordinal desc
    loop
        perform roleta_migrations.undo(v_object);
    end loop;
    delete from roleta_migrations.created_objects where migration = p_migration;
end
$$;
comment on function roleta_migrations.drop_created(text) is
'Undoes, newest first, exactly what is recorded for the migration; refuses with WP005 where data would be lost,
unless roleta.discard_data is on.';

revoke all on all functions in schema roleta_migrations from public, anon, authenticated, service_role;
