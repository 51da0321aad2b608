-- Who sees which row of an agency: its manager all of them, a client its own, nobody else any. And who may act.
-- Locks: ACCESS EXCLUSIVE on the agency's tables while row security and policies are added (short).
-- depends: 0049.agencies

set local lock_timeout = '5s';

grant usage on schema messaging to authenticated;

create function messaging.caller() returns uuid
language sql stable security invoker set search_path = ''
as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
comment on function messaging.caller() is 'The person whose verified token this transaction runs under; null for a service.';

create function messaging.require_manager() returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_caller uuid := messaging.caller();
begin
    if v_caller is null or not exists (
        -- As text: an adopted project may have an enum of its own here.
        select from public.user_roles as r where r.user_id = v_caller and r.role::text in ('manager', 'admin')
    ) then
        raise exception using errcode = 'WP007', message = 'only a manager of an agency may do this';
    end if;
    return v_caller;
end
$$;
comment on function messaging.require_manager() is 'The agency of whoever asks; WP007 for anybody who is no manager.';

create function messaging.require_client(p_client_id uuid) returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_manager();
begin
    if p_client_id is not null and not exists (
        select from public.client_manager_links as l where l.client_user_id = p_client_id and l.manager_id = v_agency
    ) then
        -- The same words for a client of somebody else and for one that never was.
        raise exception using errcode = 'WP002', message = 'there is no such client';
    end if;
    return v_agency;
end
$$;
comment on function messaging.require_client(uuid) is
'The agency of whoever asks, when this client is its own (null: the agency itself); WP002, the same for another agency''s as for none.';

create function messaging.own_clients() returns uuid[]
language sql stable security definer set search_path = ''
as $$
    select array(
        select l.client_user_id from public.client_manager_links as l
        where (select messaging.caller()) in (l.manager_id, l.client_user_id)
    )
$$;
comment on function messaging.own_clients() is
'For policies: whose rows whoever asks may see, as a manager or as a client. A list, so that it is made once and not for each of a million rows.';

do $$
declare
    v_table text;
    v_sees text;
begin
    for v_table, v_sees in
        values
        ('client_manager_links', '(select messaging.caller()) in (manager_id, client_user_id)'),
        ('whatsapp_connections', '(select messaging.caller()) in (agency_id, client_id)'),
        ('whatsapp_report_settings', '(select messaging.caller()) in (agency_id, client_id)'),
        ('whatsapp_report_logs', '(select messaging.caller()) in (agency_id, client_id)'),
        ('account_balance_alerts', 'agency_id = (select messaging.caller())'),
        ('agency_settings', 'agency_id = (select messaging.caller())'),
        ('client_ad_accounts', 'client_id = any ((select messaging.own_clients())::uuid[])'),
        ('daily_metrics', 'client_id = any ((select messaging.own_clients())::uuid[])'),
        ('oauth_connections', null)
    loop
        perform roleta_migrations.ensure_row_security('0050.agency_rights', 'public.' || v_table);
        perform roleta_migrations.remember_grants('0050.agency_rights', 'public.' || v_table);
        if roleta_migrations.is_ours(('public.' || v_table)::regclass) then
            execute format('revoke all on table public.%I from public, anon, authenticated', v_table);
            execute format('grant all on table public.%I to service_role', v_table);
        end if;
        if v_table = 'whatsapp_connections' and exists (
            select from pg_catalog.pg_attribute as a
            where a.attrelid = 'public.whatsapp_connections'::regclass and a.attname = 'access_token' and not a.attisdropped
        ) then
            -- An adopted one holds the agency's own token: no client reads that, so none of its rows.
            v_sees := 'agency_id = (select messaging.caller())';
        end if;
        -- Tokens of an ad platform are for the service alone; what an adopted project granted is its own matter.
        if v_sees is not null then
            execute format('grant select on table public.%I to authenticated', v_table);
            execute format(
                'create policy roleta_sees_own on public.%I for select to authenticated using (%s)', v_table, v_sees
            );
        end if;
    end loop;
end
$$;

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('caller', 'require_manager', 'require_client', 'own_clients')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text !~ 'require_client' then
            execute format('grant execute on function %s to authenticated', v_function);
        end if;
    end loop;
end
$$;
