-- Rights that nobody needs are taken away: what tests/security/rights.txt does not list, no role of an API has.
-- A webhook secret that leaked can be ended at once. And a profile's number speaks only where it is the house's own.
-- Locks: none on the tables: a change of grants writes rows of the catalog.
-- depends: 0073.sign_up_limits

set local lock_timeout = '5s';

-- On every table that our functions write, ours or adopted. A trigger made there by another role would run with the rights of
-- our functions' owner; truncate knows neither row security nor the trigger that counts seats; lock table (maintain) stops the
-- pool. Nothing that PostgREST does needs any of them, yet Supabase's default grants gave them to all three roles.
do $$
declare
    v_table text;
    v_rights text := 'truncate, references, trigger';
begin
    if current_setting('server_version_num')::integer >= 170000 then
        v_rights := v_rights || ', maintain';
    end if;
    foreach v_table in array array[
        'account_balance_alerts', 'agency_settings', 'aura_response_state', 'checkins', 'client_ad_accounts',
        'client_manager_links', 'commitments', 'content_journeys', 'conversation_followups', 'daily_metrics',
        'journey_episodes', 'meditation_audios', 'meditations', 'messages', 'oauth_connections', 'plan_configs', 'profiles',
        'session_ratings', 'sessions', 'user_meditation_history', 'user_roles', 'weekly_plans', 'whatsapp_connections',
        'whatsapp_instances', 'whatsapp_report_logs', 'whatsapp_report_settings', 'zapi_message_dedup'
    ] loop
        perform roleta_migrations.remember_grants('0074.rights', 'public.' || v_table);
        execute format('revoke %s on table public.%I from public, anon, authenticated, service_role', v_rights, v_table);
    end loop;
end
$$;

-- Who is a manager or an admin stands here, and our functions believe it. An adopted one without row security lets whoever
-- signed in write their own role; where row security is on, the project's own policies decide, as before.
do $$
begin
    if not (select c.relrowsecurity from pg_catalog.pg_class as c where c.oid = 'public.user_roles'::regclass) then
        revoke insert, update, delete on table public.user_roles from public, anon, authenticated;
    end if;
end
$$;

-- service_role keeps what the seed's table gave it to change (names, credentials, seats, status). What our functions added is
-- theirs: the tenant, the pool, the default, the halt, the webhook's secrets, what the health checks saw.
revoke update (
    provider, agency_id, in_pool, accepts_new, is_default, halted_reason, halted_at, webhook_token_hash,
    previous_webhook_token_hash, last_health_check, last_disconnected_at
) on table public.whatsapp_instances from service_role;

-- Section: whose number speaks. Profiles are the house's; a program that bound one to the number of an agency, or of an
-- agency's client, would have had the house's words leave through it, in that tenant's name.

select roleta_migrations.remember_function('0074.rights', 'messaging.resolve_instance(uuid, text, uuid)');

create or replace function messaging.resolve_instance(
    p_profile_id uuid default null, p_phone text default null, p_instance_id uuid default null
) returns uuid
language sql stable security definer set search_path = ''
as $$
    select coalesce(
        p_instance_id,
        (
            select i.id from public.profiles as p
            inner join public.whatsapp_instances as i on p.whatsapp_instance_id = i.id
            where p.id = coalesce(p_profile_id, messaging.find_profile(p_phone)) and i.agency_id is null
        ),
        messaging.default_instance()
    )
$$;
comment on function messaging.resolve_instance(uuid, text, uuid) is
'Which number speaks: the one named, else the profile''s where it is the house''s, else the default. Whatever its health: one that
is down holds its messages.';

-- Section: a secret that leaked. set_webhook_token leaves the one before valid, for what is under way.

create function messaging.revoke_previous_webhook_token(p_instance_id uuid, p_by text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_was_live boolean;
begin
    perform messaging.lock_instance(p_instance_id);
    select i.previous_webhook_token_hash is not null into v_was_live
    from public.whatsapp_instances as i where i.id = p_instance_id;
    if v_was_live then
        update public.whatsapp_instances as i set previous_webhook_token_hash = null where i.id = p_instance_id;
        insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
        values (p_instance_id, messaging.clock(), p_by, 'previous webhook token revoked');
    end if;
    return coalesce(v_was_live, false);
end
$$;
comment on function messaging.revoke_previous_webhook_token(uuid, text) is
'Ends at once what the secret before the last rotation is still good for; false where none was.';
revoke all on function messaging.revoke_previous_webhook_token(uuid, text) from public, anon, authenticated, service_role;
grant execute on function messaging.revoke_previous_webhook_token(uuid, text) to service_role;
