-- Rights that nobody needs are taken away: what tests/security/rights.txt does not list, no role of an API has.
-- Locks: none on the tables: a change of grants writes rows of the catalog.
-- depends: 0061.agency_audit

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
        perform roleta_migrations.remember_grants('0069.rights', 'public.' || v_table);
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
