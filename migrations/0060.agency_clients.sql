-- An agency's clients: listed, linked to a login, renamed, removed with all that hangs on them, and their ad accounts.
-- depends: 0059.balance_alerts

set local lock_timeout = '5s';

create function messaging.list_clients()
returns table (
    client_id uuid, client_label text, client_email text, is_demo boolean, created_at timestamptz, accounts jsonb
)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_manager();
begin
    return query
    select
        l.client_user_id, l.client_label, l.client_email, l.is_demo, l.created_at,
        coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'ad_account_id', a.ad_account_id, 'account_name', a.account_name, 'provider', a.provider
                    ) order by lower(a.account_name), a.ad_account_id
                )
                from public.client_ad_accounts as a
                where a.client_id = l.client_user_id
            ),
            '[]'
        )
    from public.client_manager_links as l
    where l.manager_id = v_agency
    order by lower(l.client_label), l.client_user_id;
end
$$;
comment on function messaging.list_clients() is 'The clients of whoever asks, by label, each with its ad accounts.';

create function messaging.client_label_of(p_label text) returns text
language plpgsql immutable security invoker set search_path = ''
as $$
begin
    perform messaging.require(coalesce(btrim(p_label), '') <> '', 'client_label: must not be empty');
    perform messaging.require(length(btrim(p_label)) <= 120, 'client_label: must have at most 120 characters');
    return btrim(p_label);
end
$$;
comment on function messaging.client_label_of(text) is 'A client''s name, trimmed; WP003 where it is none.';

create function messaging.add_client(
    p_agency_id uuid, p_client_id uuid, p_client_email text, p_client_label text
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_label text := messaging.client_label_of(p_client_label);
begin
    perform messaging.require(p_client_id is not null, 'a client has a login: name it');
    if not exists (
        select from public.user_roles as r where r.user_id = p_agency_id and r.role::text in ('manager', 'admin')
    ) then
        raise exception using errcode = 'WP007', message = 'only a manager of an agency may do this';
    end if;
    -- A manager's own login would let the agency's tables mix; nobody links it to another one.
    if exists (
        select from public.user_roles as r where r.user_id = p_client_id and r.role::text in ('manager', 'admin')
    ) then
        raise exception using errcode = 'WP004', message = 'this login is a manager''s: a client needs one of its own';
    end if;
    -- One behind the other, also where an adopted table lacks the constraint that makes the second fail.
    perform pg_advisory_xact_lock(hashtextextended('roleta.client.' || p_client_id::text, 0));
    begin
        if exists (select from public.client_manager_links as l where l.client_user_id = p_client_id) then
            raise unique_violation;
        end if;
        insert into public.client_manager_links (client_user_id, manager_id, client_label, client_email)
        values (p_client_id, p_agency_id, v_label, lower(btrim(p_client_email)));
    exception
        when unique_violation then
            raise exception using errcode = 'WP004', message = 'there is a client with this e-mail already';
    end;
    begin
        if not exists (select from public.user_roles as r where r.user_id = p_client_id and r.role::text = 'client') then
            insert into public.user_roles (user_id, role) values (p_client_id, 'client');
        end if;
    exception
        -- An adopted project whose roles know no client: the link alone says what a client sees.
        when invalid_text_representation or check_violation then null;
    end;
end
$$;
comment on function messaging.add_client(uuid, uuid, text, text) is
'Links a login that was made for this agency to it, with the role of a client. WP004 where it is linked already. For the service alone: whoever
calls it has made sure whose login this is.';

create function messaging.rename_client(p_client_id uuid, p_client_label text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_label text := messaging.client_label_of(p_client_label);
    v_agency uuid := messaging.require_client(p_client_id);
begin
    perform messaging.require(p_client_id is not null, 'client_id: must be given');
    update public.client_manager_links as l
    set client_label = v_label
    where l.client_user_id = p_client_id and l.manager_id = v_agency;
end
$$;
comment on function messaging.rename_client(uuid, text) is 'Another label for one''s own client.';

create function messaging.remove_client(p_client_id uuid)
returns table (instance_id uuid, instance_name text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid := messaging.require_client(p_client_id);
begin
    perform messaging.require(p_client_id is not null, 'client_id: must be given');
    -- Nobody connects it or changes its settings meanwhile: they all look at the link first.
    perform from public.client_manager_links as l
    where l.client_user_id = p_client_id and l.manager_id = v_agency
    for update;
    if not found then
        raise exception using errcode = 'WP002', message = 'there is no such client';
    end if;
    return query
    select e.instance_id, e.instance_name
    from messaging.end_connection(p_client_id) as e
    where e.instance_id is not null;
    -- By name, whatever foreign keys an adopted table has; whatsapp_report_logs stays: it is history.
    delete from public.whatsapp_connections as c where c.client_id = p_client_id;
    delete from public.whatsapp_report_settings as s where s.client_id = p_client_id;
    delete from public.account_balance_alerts as a where a.client_id = p_client_id;
    delete from public.client_ad_accounts as a where a.client_id = p_client_id;
    delete from public.client_manager_links as l where l.client_user_id = p_client_id and l.manager_id = v_agency;
end
$$;
comment on function messaging.remove_client(uuid) is
'Removes one''s own client with its connection, report settings, balance alerts and ad accounts in one transaction (bug 31); what was sent stays
in the log, the login stays a login. A row where a number must still be removed at the provider.';

create function messaging.save_accounts(p_client_id uuid, p_accounts jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_manager();
    v_given jsonb;
begin
    perform from public.client_manager_links as l
    where l.client_user_id = p_client_id and l.manager_id = v_agency
    for no key update;
    if not found then
        -- The original's answer here is 403, for a client of somebody else as for one that never was.
        raise exception using errcode = 'WP007', message = 'this client is not linked to you';
    end if;
    perform messaging.require(jsonb_typeof(p_accounts) = 'array', 'accounts: must be a list');
    perform messaging.require(jsonb_array_length(p_accounts) <= 200, 'accounts: must be at most 200');
    perform messaging.require(
        not exists (
            select from jsonb_array_elements(p_accounts) as g (account)
            where
                jsonb_typeof(g.account) <> 'object'
                or jsonb_typeof(g.account -> 'ad_account_id') is distinct from 'string'
                or btrim(g.account ->> 'ad_account_id') !~ '^[A-Za-z0-9_-]{1,64}$'
                or coalesce(jsonb_typeof(g.account -> 'account_name'), 'null') not in ('string', 'null')
                or length(g.account ->> 'account_name') > 200
                or coalesce(g.account ->> 'provider', 'meta_ads') not in ('meta_ads', 'google_ads')
        ),
        'accounts: each needs an ad_account_id (letters, digits, _ and -), and may have account_name and provider (meta_ads, google_ads)'
    );
    -- As rows of the table, whatever types an adopted one has.
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'client_id', p_client_id,
                'ad_account_id', btrim(g.account ->> 'ad_account_id'),
                'account_name', nullif(btrim(g.account ->> 'account_name'), ''),
                'provider', coalesce(g.account ->> 'provider', 'meta_ads')
            )
        ),
        '[]'
    ) into v_given
    from jsonb_array_elements(p_accounts) as g (account);
    perform messaging.require(
        (select count(distinct r.ad_account_id) = count(*) from jsonb_to_recordset(v_given) as r (ad_account_id text)),
        'accounts: an ad_account_id is there twice'
    );
    delete from public.client_ad_accounts as a
    where
        a.client_id = p_client_id
        and a.ad_account_id::text not in (select r.ad_account_id from jsonb_to_recordset(v_given) as r (ad_account_id text));
    update public.client_ad_accounts as a
    set account_name = r.account_name, provider = r.provider
    from jsonb_populate_recordset(null::public.client_ad_accounts, v_given) as r
    where a.client_id = p_client_id and a.ad_account_id = r.ad_account_id;
    insert into public.client_ad_accounts (client_id, ad_account_id, account_name, provider)
    select
        r.client_id, r.ad_account_id, r.account_name, r.provider
    from jsonb_populate_recordset(null::public.client_ad_accounts, v_given) as r
    where not exists (
        select from public.client_ad_accounts as a where a.client_id = p_client_id and a.ad_account_id = r.ad_account_id
    )
    -- The app may just write the same one itself.
    on conflict do nothing;
    return jsonb_array_length(v_given);
end
$$;
comment on function messaging.save_accounts(uuid, jsonb) is
'One''s own client''s ad accounts are these, [{ad_account_id, account_name?, provider?}], and no others; answers how many. WP007 for any other client.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('list_clients', 'client_label_of', 'add_client', 'rename_client', 'remove_client', 'save_accounts')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.list_clients() to authenticated;
grant execute on function messaging.rename_client(uuid, text) to authenticated;
grant execute on function messaging.remove_client(uuid) to authenticated;
grant execute on function messaging.save_accounts(uuid, jsonb) to authenticated;
grant execute on function messaging.add_client(uuid, uuid, text, text) to service_role;
