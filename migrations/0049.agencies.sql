-- The agency's tables, created only where missing, and who sees which row of them.
-- Locks: ACCESS EXCLUSIVE on adopted tables of these names and on user_roles while constraints are replaced or added, and missing columns (no rewrite).
-- depends: 0048.rule_audit

set local lock_timeout = '5s';

-- The tenant is the manager (agency_id = the manager's user id); a client belongs to one manager and need not have a login.

create function roleta_migrations.drop_old_constraint(p_migration text, p_table text, p_constraint text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_table regclass := roleta_migrations.existing_table(p_table);
    v_definition text;
begin
    select pg_catalog.pg_get_constraintdef(c.oid) into v_definition
    from pg_catalog.pg_constraint as c
    where c.conrelid = v_table and c.conname = p_constraint;
    if v_definition is null then
        return;
    end if;
    perform roleta_migrations.remember(
        p_migration || ' dropped', 'dropped_constraint', pg_catalog.format('%s.%I', v_table, p_constraint),
        pg_catalog.format('alter table %s add constraint %I %s', v_table, p_constraint, v_definition)
    );
    execute pg_catalog.format('alter table %s drop constraint %I', v_table, p_constraint);
end
$$;
comment on function roleta_migrations.drop_old_constraint(text, text, text) is
'Drops a constraint that was there before, and remembers how it was made; restore_dropped brings it back.';

create function roleta_migrations.drop_old_index(p_migration text, p_index regclass) returns void
language plpgsql set search_path = ''
as $$
begin
    perform roleta_migrations.remember(p_migration || ' dropped', 'dropped_index', p_index::text, pg_catalog.pg_get_indexdef(p_index));
    execute pg_catalog.format('drop index %s', p_index);
end
$$;
comment on function roleta_migrations.drop_old_index(text, regclass) is
'Drops an index that was there before, and remembers how it was made; restore_dropped brings it back.';

create function roleta_migrations.restore_dropped(p_migration text) returns void
language plpgsql set search_path = ''
as $$
declare
    v_object roleta_migrations.created_objects;
begin
    for v_object in
        select * from roleta_migrations.created_objects
        where migration = p_migration || ' dropped'
        order by ordinal desc
    loop
        begin
            execute v_object.previous;
        exception
            -- Rows that came since may not fit it: they are kept, and somebody is told.
            when unique_violation or check_violation or foreign_key_violation or undefined_table then
                raise notice 'roleta: % was not restored (%)', v_object.identity, sqlstate;
        end;
        delete from roleta_migrations.created_objects where ordinal = v_object.ordinal;
    end loop;
end
$$;
comment on function roleta_migrations.restore_dropped(text) is
'Brings back what drop_old_constraint and drop_old_index removed, where the rows of today allow it: in a rollback, after drop_created.';
revoke all on all functions in schema roleta_migrations from public, anon, authenticated, service_role;

select roleta_migrations.ensure_table('0049.agencies', t.name, t.columns)
from (values
    ('public.client_manager_links', $ddl$
        id uuid primary key default gen_random_uuid(),
        client_user_id uuid not null unique default gen_random_uuid(),
        manager_id uuid not null,
        client_label text,
        client_email text,
        is_demo boolean not null default false,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.whatsapp_connections', $ddl$
        id uuid primary key default gen_random_uuid(),
        agency_id uuid not null,
        client_id uuid,
        provider text not null default 'evolution',
        instance_name text,
        instance_id text,
        status text not null default 'pending',
        connected_at timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.whatsapp_report_settings', $ddl$
        id uuid primary key default gen_random_uuid(),
        agency_id uuid not null,
        client_id uuid not null,
        metrics jsonb not null default '{}',
        include_comparison boolean not null default true,
        frequency text not null default 'manual' check (frequency in ('daily', 'weekly', 'monthly', 'manual')),
        weekday integer check (weekday between 0 and 6),
        send_time time not null default '09:00',
        phone_number text,
        is_active boolean not null default false,
        report_period_type text not null default 'last_7_days'
            check (report_period_type in ('yesterday', 'last_7_days', 'last_30_days', 'this_month', 'last_month')),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        unique (agency_id, client_id)
    $ddl$),
    ('public.whatsapp_report_logs', $ddl$
        id uuid primary key default gen_random_uuid(),
        agency_id uuid not null,
        client_id uuid not null,
        sent_at timestamptz not null default now(),
        period_start date,
        period_end date,
        status text not null check (status in ('success', 'error')),
        error_message text,
        report_period_type text
    $ddl$),
    ('public.account_balance_alerts', $ddl$
        id uuid primary key default gen_random_uuid(),
        agency_id uuid not null,
        client_id uuid,
        ad_account_id text not null,
        threshold_value numeric not null default 0 check (threshold_value >= 0),
        is_active boolean not null default true,
        recipient_phone text,
        last_triggered_at timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        unique (agency_id, ad_account_id)
    $ddl$),
    ('public.client_ad_accounts', $ddl$
        id uuid primary key default gen_random_uuid(),
        client_id uuid not null,
        ad_account_id text not null,
        account_name text,
        provider text not null default 'meta_ads',
        created_at timestamptz not null default now(),
        unique (client_id, ad_account_id)
    $ddl$),
    ('public.daily_metrics', $ddl$
        id uuid primary key default gen_random_uuid(),
        client_id uuid not null,
        date date not null,
        spend numeric not null default 0,
        revenue numeric not null default 0,
        clicks bigint not null default 0,
        impressions bigint not null default 0,
        conversions numeric not null default 0,
        leads bigint not null default 0,
        messages bigint not null default 0,
        unique (client_id, date)
    $ddl$),
    ('public.oauth_connections', $ddl$
        id uuid primary key default gen_random_uuid(),
        manager_id uuid not null,
        provider text not null check (provider in ('google_ads', 'meta_ads', 'ga4')),
        access_token text,
        connected boolean not null default true,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        unique (manager_id, provider)
    $ddl$),
    ('public.agency_settings', $ddl$
        agency_id uuid primary key,
        agency_name text,
        time_zone text not null default 'America/Sao_Paulo'
    $ddl$)
) as t (name, columns);

-- What an adopted table lacks, and what is ours on all of them.
select roleta_migrations.ensure_column('0049.agencies', 'public.' || c.owner, c.name, c.definition)
from (values
    ('client_manager_links', 'client_label', 'text'),
    ('client_manager_links', 'client_email', 'text'),
    ('client_manager_links', 'is_demo', 'boolean not null default false'),
    ('client_manager_links', 'created_at', 'timestamptz not null default now()'),
    ('whatsapp_connections', 'client_id', 'uuid'),
    ('whatsapp_connections', 'provider', $$text not null default 'evolution'$$),
    ('whatsapp_connections', 'instance_name', 'text'),
    ('whatsapp_connections', 'instance_id', 'text'),
    ('whatsapp_connections', 'status', $$text not null default 'pending'$$),
    ('whatsapp_connections', 'connected_at', 'timestamptz'),
    ('whatsapp_connections', 'created_at', 'timestamptz not null default now()'),
    ('whatsapp_connections', 'updated_at', 'timestamptz not null default now()'),
    ('whatsapp_connections', 'first_connected_at', 'timestamptz'),
    ('whatsapp_connections', 'whatsapp_instance_id', 'uuid'),
    ('whatsapp_report_settings', 'metrics', $$jsonb not null default '{}'$$),
    ('whatsapp_report_settings', 'include_comparison', 'boolean not null default true'),
    ('whatsapp_report_settings', 'frequency', $$text not null default 'manual'$$),
    ('whatsapp_report_settings', 'weekday', 'integer'),
    ('whatsapp_report_settings', 'month_day', 'integer'),
    ('whatsapp_report_settings', 'send_time', $$time not null default '09:00'$$),
    ('whatsapp_report_settings', 'phone_number', 'text'),
    ('whatsapp_report_settings', 'is_active', 'boolean not null default false'),
    ('whatsapp_report_settings', 'report_period_type', $$text not null default 'last_7_days'$$),
    ('whatsapp_report_settings', 'updated_at', 'timestamptz not null default now()'),
    ('whatsapp_report_logs', 'period_start', 'date'),
    ('whatsapp_report_logs', 'period_end', 'date'),
    ('whatsapp_report_logs', 'error_message', 'text'),
    ('whatsapp_report_logs', 'report_period_type', 'text'),
    ('whatsapp_report_logs', 'message_id', 'bigint'),
    ('whatsapp_report_logs', 'spoken_by', 'text'),
    ('whatsapp_report_logs', 'sent_from', 'text'),
    ('account_balance_alerts', 'client_id', 'uuid'),
    ('account_balance_alerts', 'threshold_value', 'numeric not null default 0'),
    ('account_balance_alerts', 'is_active', 'boolean not null default true'),
    ('account_balance_alerts', 'recipient_phone', 'text'),
    ('account_balance_alerts', 'last_triggered_at', 'timestamptz'),
    ('account_balance_alerts', 'updated_at', 'timestamptz not null default now()'),
    ('daily_metrics', 'spend', 'numeric not null default 0'),
    ('daily_metrics', 'revenue', 'numeric not null default 0'),
    ('daily_metrics', 'clicks', 'bigint not null default 0'),
    ('daily_metrics', 'impressions', 'bigint not null default 0'),
    ('daily_metrics', 'conversions', 'numeric not null default 0'),
    ('daily_metrics', 'leads', 'bigint not null default 0'),
    ('daily_metrics', 'messages', 'bigint not null default 0'),
    ('oauth_connections', 'access_token', 'text'),
    ('oauth_connections', 'connected', 'boolean not null default true'),
    ('client_ad_accounts', 'account_name', 'text'),
    ('client_ad_accounts', 'provider', $$text not null default 'meta_ads'$$),
    ('agency_settings', 'agency_id', 'uuid'),
    ('agency_settings', 'agency_name', 'text'),
    ('agency_settings', 'time_zone', $$text not null default 'America/Sao_Paulo'$$)
) as c (owner, name, definition);

-- One row per agency and client, the agency itself included. The original's was unique by agency alone, as a constraint or as an index, and later an
-- index over an expression, which no upsert can name (functions 4.1).
do $$
declare
    v_constraint text;
    v_index regclass;
begin
    for v_constraint in
        select c.conname from pg_catalog.pg_constraint as c
        where
            c.conrelid = 'public.whatsapp_connections'::regclass and c.conname <> 'whatsapp_connections_agency_and_client'
            and (
                (c.contype = 'u' and pg_catalog.pg_get_constraintdef(c.oid) like 'UNIQUE (agency_id%')
                -- A client need not have a login; the reference goes to the link instead.
                or (c.contype = 'f' and pg_catalog.pg_get_constraintdef(c.oid) like 'FOREIGN KEY (client_id)%')
            )
    loop
        perform roleta_migrations.drop_old_constraint('0049.agencies', 'public.whatsapp_connections', v_constraint);
    end loop;
    for v_index in
        select i.indexrelid::regclass from pg_catalog.pg_index as i
        where
            i.indrelid = 'public.whatsapp_connections'::regclass and i.indisunique and not i.indisprimary
            and pg_catalog.pg_get_indexdef(i.indexrelid) like '%(agency_id%'
            and not exists (select from pg_catalog.pg_constraint as c where c.conindid = i.indexrelid)
    loop
        perform roleta_migrations.drop_old_index('0049.agencies', v_index);
    end loop;
    if roleta_migrations.is_ours('public.user_roles'::regclass) then
        perform roleta_migrations.drop_old_constraint('0049.agencies', 'public.user_roles', 'user_roles_role_check');
        alter table public.user_roles add constraint user_roles_role_check
        check (role in ('admin', 'user', 'manager', 'client'));
    end if;
end
$$;

-- What the references below go to, and what binds the rows of an adopted table without refusing the old ones.
do $$
begin
    if not exists (
        select from pg_catalog.pg_index as i
        inner join pg_catalog.pg_attribute as a on i.indrelid = a.attrelid and i.indkey[0] = a.attnum
        where
            i.indrelid = 'public.client_manager_links'::regclass and i.indisunique and i.indimmediate and i.indpred is null
            and i.indnkeyatts = 1 and a.attname = 'client_user_id'
    ) then
        perform roleta_migrations.ensure_constraint(
            '0049.agencies', 'public.client_manager_links', 'client_manager_links_client_once', 'unique (client_user_id)'
        );
    end if;
    -- Even a check that is not validated would refuse every later change of a row that offends it.
    if not exists (
        select from public.whatsapp_connections as c where c.status not in ('pending', 'connected', 'disconnected')
    ) then
        perform roleta_migrations.ensure_constraint(
            '0049.agencies', 'public.whatsapp_connections', 'whatsapp_connections_status_known',
            $check$check (status in ('pending', 'connected', 'disconnected'))$check$
        );
    end if;
end
$$;

select roleta_migrations.ensure_constraint('0049.agencies', 'public.' || c.owner, c.name, c.definition)
from (values
    ('whatsapp_connections', 'whatsapp_connections_agency_and_client', 'unique nulls not distinct (agency_id, client_id)'),
    (
        'whatsapp_connections', 'whatsapp_connections_instance',
        'foreign key (whatsapp_instance_id) references public.whatsapp_instances (id)'
    ),
    ('whatsapp_report_settings', 'whatsapp_report_settings_month_day', 'check (month_day between 1 and 31)'),
    ('whatsapp_report_logs', 'whatsapp_report_logs_spoken_by', $$check (spoken_by in ('client', 'agency'))$$),
    -- Whoever removes the link removes what hangs on it, by whatever door (bug 31). The log stays.
    (
        'whatsapp_connections', 'whatsapp_connections_client_id_fkey',
        'foreign key (client_id) references public.client_manager_links (client_user_id) on delete cascade'
    ),
    (
        'whatsapp_report_settings', 'whatsapp_report_settings_client',
        'foreign key (client_id) references public.client_manager_links (client_user_id) on delete cascade'
    ),
    (
        'account_balance_alerts', 'account_balance_alerts_client',
        'foreign key (client_id) references public.client_manager_links (client_user_id) on delete cascade'
    ),
    (
        'client_ad_accounts', 'client_ad_accounts_client',
        'foreign key (client_id) references public.client_manager_links (client_user_id) on delete cascade'
    )
) as c (owner, name, definition);

select roleta_migrations.ensure_index('0049.agencies', 'public.' || c.name, format('create index %I on public.%I %s', c.name, c.owner, c.rest))
from (values
    ('client_manager_links', 'client_manager_links_manager', '(manager_id, client_label)'),
    ('whatsapp_connections', 'whatsapp_connections_client', '(client_id)'),
    ('whatsapp_report_logs', 'whatsapp_report_logs_client', '(agency_id, client_id, sent_at)'),
    ('whatsapp_report_settings', 'whatsapp_report_settings_by_client', '(client_id)'),
    ('account_balance_alerts', 'account_balance_alerts_by_client', '(client_id)')
) as c (owner, name, rest);

select roleta_migrations.ensure_index(
    '0049.agencies', 'public.whatsapp_connections_whatsapp_instance',
    'create unique index whatsapp_connections_whatsapp_instance on public.whatsapp_connections (whatsapp_instance_id)'
);

do $$
declare
    v_table text;
begin
    foreach v_table in array array[
        'whatsapp_connections', 'whatsapp_report_settings', 'account_balance_alerts', 'oauth_connections'
    ] loop
        if roleta_migrations.is_ours(('public.' || v_table)::regclass) then
            execute format(
                'create trigger touch_updated_at before update on public.%I for each row execute function public.touch_updated_at()', v_table
            );
        end if;
    end loop;
end
$$;

do $$
declare
    v_column text;
    v_text text;
begin
    for v_column, v_text in
        values
        ('status', 'pending (never open yet), connected, disconnected. Follows the instance.'),
        ('first_connected_at', 'When it was open for the first time; null: the pairing was never finished, and the agency''s number speaks.'),
        ('whatsapp_instance_id', 'The number at the provider, with its pace.')
    loop
        if exists (
            select from roleta_migrations.created_objects as o
            where o.kind in ('table', 'column') and o.identity in ('public.whatsapp_connections', 'public.whatsapp_connections.' || v_column)
        ) then
            execute format('comment on column public.whatsapp_connections.%I is %L', v_column, v_text);
        end if;
    end loop;
end
$$;
