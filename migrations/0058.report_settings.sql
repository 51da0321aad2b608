-- What a manager sets and sees of a client's report.
-- Locks: none; functions only.
-- depends: 0057.report_outcomes

set local lock_timeout = '5s';

create function messaging.report_settings(p_client_id uuid) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_client(p_client_id);
    v_setting public.whatsapp_report_settings;
begin
    perform messaging.require(p_client_id is not null, 'client_id: a report is a client''s');
    v_setting := messaging.report_setting(v_agency, p_client_id);
    return jsonb_build_object(
        'client_id', p_client_id,
        'client_label', (select l.client_label from public.client_manager_links as l where l.client_user_id = p_client_id),
        'time_zone', messaging.agency_time_zone(v_agency),
        'saved', v_setting.id is not null,
        'metrics', v_setting.metrics, 'include_comparison', v_setting.include_comparison, 'frequency', v_setting.frequency,
        'weekday', v_setting.weekday, 'month_day', v_setting.month_day, 'send_time', to_char(v_setting.send_time::time, 'HH24:MI'),
        'phone_number', v_setting.phone_number, 'is_active', v_setting.is_active, 'report_period_type', v_setting.report_period_type
    );
end
$$;
comment on function messaging.report_settings(uuid) is
'How the report of one''s own client is set, or the defaults (saved: false). WP007 for no manager, WP002 for another agency''s client or none.';

create function messaging.check_report_settings(p_settings jsonb) returns void
language plpgsql immutable security invoker set search_path = ''
as $$
declare
    v_names text[] := array[
        'metrics', 'include_comparison', 'frequency', 'weekday', 'month_day', 'send_time', 'phone_number', 'is_active', 'report_period_type'
    ];
    v_metrics text[] := array[
        'investment', 'revenue', 'roas', 'cpa', 'cpc', 'cpm', 'clicks', 'impressions', 'ctr', 'conversions', 'leads', 'messages'
    ];
    v_unknown text;
begin
    perform messaging.require(jsonb_typeof(p_settings) = 'object', 'settings: an object is needed');
    select string_agg(left(k.name, 40), ', ' order by k.name) into v_unknown
    from jsonb_object_keys(p_settings) as k (name) where not k.name = any(v_names);
    perform messaging.require(v_unknown is null, 'settings: unknown fields: ' || v_unknown);

    if p_settings ? 'metrics' then
        perform messaging.require(jsonb_typeof(p_settings -> 'metrics') = 'object', 'metrics: an object of switches is needed');
        select string_agg(left(e.key, 40), ', ' order by e.key) into v_unknown
        from jsonb_each(p_settings -> 'metrics') as e where not e.key = any(v_metrics) or jsonb_typeof(e.value) <> 'boolean';
        perform messaging.require(v_unknown is null, 'metrics: no switch with true or false: ' || v_unknown);
    end if;
    perform messaging.require(
        jsonb_typeof(coalesce(p_settings -> v.name, 'true')) = 'boolean', v.name || ': must be true or false'
    ) from unnest(array['include_comparison', 'is_active']) as v (name);
    perform messaging.require(
        coalesce(p_settings ->> 'frequency', case when p_settings ? 'frequency' then '' else 'daily' end)
        in ('daily', 'weekly', 'monthly', 'manual'),
        'frequency: must be daily, weekly, monthly or manual'
    );
    perform messaging.require(
        coalesce(p_settings -> 'weekday', '0')::text ~ '^[0-6]$', 'weekday: must be 0 (Sunday) to 6 (Saturday)'
    );
    perform messaging.require(
        coalesce(p_settings -> 'month_day', '1')::text ~ '^([1-9]|[12][0-9]|3[01])$', 'month_day: must be 1 to 31'
    );
    perform messaging.require(
        coalesce(p_settings -> 'send_time', '"09:00"')::text ~ '^"([01][0-9]|2[0-3]):[0-5][0-9]"$', 'send_time: must be a time such as 09:00'
    );
    perform messaging.require(
        coalesce(p_settings -> 'phone_number', 'null')::text ~ '^(null|""|"[0-9]{10,15}")$',
        'phone_number: must be 10 to 15 digits, with area code'
    );
    perform messaging.require(
        coalesce(p_settings ->> 'report_period_type', case when p_settings ? 'report_period_type' then '' else 'yesterday' end)
        in ('yesterday', 'last_7_days', 'last_30_days', 'this_month', 'last_month'),
        'report_period_type: must be yesterday, last_7_days, last_30_days, this_month or last_month'
    );
end
$$;
comment on function messaging.check_report_settings(jsonb) is 'WP003 with the name of the first field that is wrong, a colon, and what it must be.';

create function messaging.save_report_settings(p_client_id uuid, p_settings jsonb) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_client(p_client_id);
    v_now timestamptz := messaging.clock();
    v_old public.whatsapp_report_settings;
    v_new public.whatsapp_report_settings;
begin
    perform messaging.require(p_client_id is not null, 'client_id: a report is a client''s');
    perform messaging.check_report_settings(p_settings);
    -- Two who save at once are one behind the other, also where an adopted table lets a client stand twice.
    perform from public.client_manager_links as l where l.client_user_id = p_client_id and l.manager_id = v_agency for no key update;
    if p_client_id is not null and not found then
        -- Whoever was waited for has removed the client.
        raise exception using errcode = 'WP002', message = 'there is no such client';
    end if;
    v_old := messaging.report_setting(v_agency, p_client_id);
    v_new := jsonb_populate_record(
        v_old,
        p_settings || jsonb_build_object(
            'metrics', v_old.metrics::jsonb || coalesce(p_settings -> 'metrics', '{}'),
            'phone_number', nullif(case when p_settings ? 'phone_number' then p_settings ->> 'phone_number' else v_old.phone_number end, '')
        )
    );
    v_new.is_active := v_new.frequency <> 'manual'
        and case when p_settings ? 'is_active' or not p_settings ? 'frequency' then v_new.is_active else true end;
    perform messaging.require(
        not v_new.is_active or v_new.phone_number is not null, 'phone_number: a report that goes by itself needs a phone'
    );
    if v_old.id is null
        or (v_old.frequency, v_old.weekday, v_old.month_day, v_old.send_time, v_old.is_active)
        is distinct from (v_new.frequency, v_new.weekday, v_new.month_day, v_new.send_time, v_new.is_active)
    then
        v_new.scheduled_since := v_now;
    end if;

    update public.whatsapp_report_settings as s
    set
        metrics = v_new.metrics, include_comparison = v_new.include_comparison, frequency = v_new.frequency, weekday = v_new.weekday,
        month_day = v_new.month_day, send_time = v_new.send_time, phone_number = v_new.phone_number, is_active = v_new.is_active,
        report_period_type = v_new.report_period_type, scheduled_since = v_new.scheduled_since, updated_at = v_now
    where s.agency_id = v_agency and s.client_id = p_client_id;
    if not found then
        insert into public.whatsapp_report_settings (
            agency_id, client_id, metrics, include_comparison, frequency, weekday, month_day, send_time, phone_number, is_active,
            report_period_type, scheduled_since
        )
        values (
            v_agency, p_client_id, v_new.metrics, v_new.include_comparison, v_new.frequency, v_new.weekday, v_new.month_day, v_new.send_time,
            v_new.phone_number, v_new.is_active, v_new.report_period_type, v_new.scheduled_since
        );
    end if;
    return messaging.report_settings(p_client_id);
end
$$;
comment on function messaging.save_report_settings(uuid, jsonb) is
'Changes the fields given and keeps the others; answers as report_settings. A frequency other than manual runs by itself unless is_active says no.
WP003 names the field.';

create function messaging.report_now(p_client_id uuid) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_client(p_client_id);
begin
    perform messaging.require(p_client_id is not null, 'client_id: a report is a client''s');
    return messaging.due_reports(p_client_id, v_agency, true) -> 'reports' -> 0;
end
$$;
comment on function messaging.report_now(uuid) is
'The report of one''s own client as it would go now (report_as_of), for a preview or to be sent at once. WP007 and WP002 as report_settings.';

create function messaging.report_deliveries(p_client_id uuid default null, p_limit integer default 50)
returns table (
    message_id bigint, happened_at timestamptz, purpose text, client_id uuid, client_label text, phone_tail text,
    dispatch_state text, delivery_state text, held_by text, reason text, expected_at timestamptz, expires_at timestamptz,
    spoken_by text, sent_from text, period_start date, period_end date, log_status text
)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid := messaging.require_client(p_client_id);
begin
    perform messaging.require(p_limit between 1 and 500, 'limit: must be 1 to 500');
    return query
    with messages as (
        select o.*
        from messaging.outbox as o
        where
            o.agency_id = v_agency and o.purpose in ('agency_report', 'balance_alert', 'agency_message')
            and (p_client_id is null or o.facts ->> 'client_id' = p_client_id::text)
        order by o.id desc
        limit p_limit
    ), told as (
        select
            m.id as message_id, m.created_at as happened_at, m.purpose, (m.facts ->> 'client_id')::uuid as client_id,
            '…' || right(m.phone, 4) as phone_tail, m.dispatch_state, m.delivery_state, m.held_by,
            case
                when m.dispatch_state in ('draft', 'queued', 'held', 'leased', 'sending', 'unknown')
                    then messaging.explain(m.id) ->> 'because'
                else coalesce(m.delivery_error, m.reason)
            end as reason,
            messaging.forecast(m.id) as expected_at, m.expires_at,
            m.facts ->> 'spoken_by' as spoken_by, coalesce(m.facts ->> 'sent_from', i.name) as sent_from,
            (m.facts ->> 'period_start')::date as period_start, (m.facts ->> 'period_end')::date as period_end, null as log_status
        from messages as m
        inner join public.whatsapp_instances as i on m.instance_id = i.id
        union all
        (
            select
                null, g.sent_at, 'agency_report', g.client_id, null, null, null, null, g.error_message, null, null,
                g.spoken_by, g.sent_from, g.period_start, g.period_end, g.status::text
            from public.whatsapp_report_logs as g
            where g.agency_id = v_agency and g.message_id is null and (p_client_id is null or g.client_id = p_client_id)
            order by g.sent_at desc
            limit p_limit
        )
    )

    select
        t.message_id, t.happened_at, t.purpose, t.client_id, l.client_label, t.phone_tail, t.dispatch_state, t.delivery_state, t.held_by,
        t.reason, t.expected_at, t.expires_at, t.spoken_by, t.sent_from, t.period_start, t.period_end, t.log_status
    from told as t
    left join public.client_manager_links as l on t.client_id = l.client_user_id and l.manager_id = v_agency
    order by t.happened_at desc, t.message_id desc nulls last
    limit p_limit;
end
$$;
comment on function messaging.report_deliveries(uuid, integer) is
'What one''s agency wrote to its clients (null: to all), newest first: a row a message with where it stands, why, and when it should go; and a row for
each report in the log that never became a message (log_status).';

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'report_settings', 'check_report_settings', 'save_report_settings', 'report_now', 'report_deliveries'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_name in ('report_settings', 'save_report_settings', 'report_now', 'report_deliveries') then
            execute format('grant execute on function %s to authenticated', v_function);
        end if;
    end loop;
end
$$;
