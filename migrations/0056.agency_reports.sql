-- Which reports of agencies are due, in each agency's own time zone, and with which figures.
-- Locks: SHARE on messaging.outbox while two partial indexes are built; ACCESS EXCLUSIVE on the settings and the log for adding one empty column each.
-- depends: 0055.speakers

set local lock_timeout = '5s';

select roleta_migrations.ensure_column('0056.agency_reports', 'public.whatsapp_report_settings', 'scheduled_since', 'timestamptz');
select roleta_migrations.ensure_column('0056.agency_reports', 'public.whatsapp_report_logs', 'dedupe_key', 'text');
select roleta_migrations.ensure_index(
    '0056.agency_reports', 'public.whatsapp_report_logs_once',
    'create unique index whatsapp_report_logs_once on public.whatsapp_report_logs (agency_id, dedupe_key) where dedupe_key is not null'
);
comment on column public.whatsapp_report_settings.scheduled_since is
'Since when these times hold: a moment that had passed before is not made up for. Null: always.';
comment on column public.whatsapp_report_logs.dedupe_key is 'What could not be enqueued is logged once under the key that its message would have had.';
create index outbox_agency on messaging.outbox (agency_id, id) where agency_id is not null;
create index outbox_agency_client on messaging.outbox (agency_id, (facts ->> 'client_id'), id) where agency_id is not null;

-- When.

create function messaging.written_keys(p_phone text) returns text[]
language sql immutable security invoker
return case
    when regexp_replace(p_phone, '[^0-9]', '', 'g') ~ '^[0-9]{10,11}$'
        then array[messaging.phone_key(p_phone), messaging.phone_key('55' || p_phone)]
    else array[messaging.phone_key(p_phone)]
end;
comment on function messaging.written_keys(text) is
'The keys (phone_key) that a phone may have, as somebody wrote it down: 10 or 11 digits may be a Brazilian one without its country code.';

create function messaging.agency_time_zone(p_agency_id uuid) returns text
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_zone text;
begin
    select a.time_zone into v_zone from public.agency_settings as a where a.agency_id = p_agency_id;
    perform messaging.clock() at time zone v_zone;
    return coalesce(v_zone, 'America/Sao_Paulo');
exception
    -- One agency's nonsense must not keep the others' reports.
    when invalid_parameter_value then
        return 'America/Sao_Paulo';
end
$$;
comment on function messaging.agency_time_zone(uuid) is 'The agency''s time zone; São Paulo''s where it set none, or none that is known.';

create function messaging.report_date(
    p_frequency text, p_weekday integer, p_month_day integer, p_send_time time, p_since timestamptz, p_time_zone text, p_now timestamptz
) returns date
language sql immutable security invoker set search_path = ''
as $$
    -- Today's or, past midnight, yesterday's: by the agency's calendar, whatever day it is in UTC (bug 28).
    select max(c.local_date)
    from (
        select d.local_date, (d.local_date + p_send_time) at time zone p_time_zone as slot
        from (
            select (p_now at time zone p_time_zone)::date - g.days as local_date
            from generate_series(0, 1) as g (days)
        ) as d
    ) as c
    where
        c.slot <= p_now and p_now < c.slot + interval '3 hours'
        -- The original's tolerance: who sets 9:00 at 9:04 means today, who sets it at 10:00 means tomorrow.
        and coalesce(p_since <= c.slot + interval '5 minutes', true)
        and case p_frequency
            when 'daily' then true
            when 'weekly' then extract(dow from c.local_date) = coalesce(p_weekday, 1)
            when 'monthly' then extract(day from c.local_date) = least(
                coalesce(p_month_day, 1),
                extract(day from date_trunc('month', c.local_date::timestamp) + interval '1 month' - interval '1 day')
            )
            else false
        end
$$;
comment on function messaging.report_date(text, integer, integer, time, timestamptz, text, timestamptz) is
'The local date whose report is due now: from its time on, for three hours (a worker was away); null: none. Weekday 0 is Sunday; a month that is too
short has its last day. Without a weekday Monday, without a day the first.';

create function messaging.report_period(p_period_type text, p_date date, out period_start date, out period_end date)
language sql immutable security invoker set search_path = ''
as $$
    select
        case p_period_type
            when 'yesterday' then p_date - 1
            when 'last_30_days' then p_date - 30
            when 'this_month' then date_trunc('month', p_date::timestamp)::date
            when 'last_month' then (date_trunc('month', p_date::timestamp) - interval '1 month')::date
            else p_date - 7
        end,
        case p_period_type
            -- Whole days; on the first there is none yet but today.
            when 'this_month' then greatest(p_date - 1, date_trunc('month', p_date::timestamp)::date)
            when 'last_month' then date_trunc('month', p_date::timestamp)::date - 1
            else p_date - 1
        end
$$;
comment on function messaging.report_period(text, date) is
'The days of which a report of that local date tells, both included; they end the day before. Another type counts as last_7_days.';

-- What.

create function messaging.report_figures(p_client_id uuid, p_from date, p_to date) returns jsonb
language sql stable security definer set search_path = ''
as $$
    select jsonb_build_object(
        'days', count(*),
        'spend', coalesce(sum(m.spend), 0), 'revenue', coalesce(sum(m.revenue), 0), 'clicks', coalesce(sum(m.clicks), 0),
        'impressions', coalesce(sum(m.impressions), 0), 'conversions', coalesce(sum(m.conversions), 0),
        'leads', coalesce(sum(m.leads), 0), 'messages', coalesce(sum(m.messages), 0)
    )
    from public.daily_metrics as m
    where m.client_id = p_client_id and m.date between p_from and p_to
$$;
comment on function messaging.report_figures(uuid, date, date) is
'Sums of a client''s daily metrics, leads and messages among them (the original never read those), and of how many days there are any.';

create function messaging.report_setting(p_agency_id uuid, p_client_id uuid) returns public.whatsapp_report_settings
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_setting public.whatsapp_report_settings;
begin
    select s.* into v_setting
    from public.whatsapp_report_settings as s
    where s.agency_id = p_agency_id and s.client_id = p_client_id
    order by s.updated_at desc nulls last
    limit 1;
    -- Read as JSON: the columns of an adopted table may be enums.
    return jsonb_populate_record(
        null::public.whatsapp_report_settings,
        jsonb_build_object(
            'agency_id', p_agency_id, 'client_id', p_client_id, 'include_comparison', true, 'frequency', 'manual',
            'weekday', 1, 'month_day', 1, 'send_time', '09:00', 'is_active', false, 'report_period_type', 'last_7_days'
        ) || jsonb_strip_nulls(to_jsonb(v_setting))
        || jsonb_build_object('metrics', (
            -- Where nothing was ever chosen, everything is shown.
            select jsonb_object_agg(m.name, coalesce(v_setting.metrics::jsonb -> m.name = 'true', false) or coalesce(v_setting.metrics::jsonb, '{}') = '{}')
            from unnest(array[
                'investment', 'revenue', 'roas', 'cpa', 'cpc', 'cpm', 'clicks', 'impressions', 'ctr', 'conversions', 'leads', 'messages'
            ]) as m (name)
        ))
    );
end
$$;
comment on function messaging.report_setting(uuid, uuid) is
'How a client''s report is set, with all twelve switches; the defaults where nothing is stored (id is null then).';

create function messaging.has_opted_out(p_agency_id uuid, p_purpose text, p_written_phone text) returns boolean
language sql stable security definer set search_path = ''
as $$
    -- An adopted row holds a phone as somebody typed it, maybe without the country code; what leaves has one.
    select coalesce(bool_or(
        (messaging.rule_against(p_purpose, null, p_agency_id, k.phone_key, 'America/Sao_Paulo', messaging.clock())).action = 'withdraw'
    ), false)
    from unnest(messaging.written_keys(p_written_phone)) as k (phone_key)
$$;
comment on function messaging.has_opted_out(uuid, text, text) is 'Whether the person behind a phone, as it was written down, said stop to this agency.';

create function messaging.report_as_of(p_link public.client_manager_links, p_setting public.whatsapp_report_settings, p_date date)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency public.agency_settings;
    v_speaker record;
    v_period record;
    v_days integer;
begin
    select a.* into v_agency from public.agency_settings as a where a.agency_id = p_link.manager_id;
    select s.* into v_speaker from messaging.choose_speaker(p_link.manager_id, p_link.client_user_id) as s;
    select p.* into v_period from messaging.report_period(p_setting.report_period_type::text, p_date) as p;
    v_days := v_period.period_end - v_period.period_start + 1;
    return jsonb_build_object(
        'agency_id', p_link.manager_id, 'agency_name', v_agency.agency_name,
        'client_id', p_link.client_user_id, 'client_label', p_link.client_label,
        'phone', p_setting.phone_number, 'frequency', p_setting.frequency, 'local_date', p_date,
        'dedupe_key', format('report:%s:%s:%s', p_link.client_user_id, p_setting.frequency, p_date),
        'metrics', p_setting.metrics, 'include_comparison', p_setting.include_comparison,
        'period_type', p_setting.report_period_type,
        'period_start', v_period.period_start, 'period_end', v_period.period_end,
        'current', messaging.report_figures(p_link.client_user_id, v_period.period_start, v_period.period_end),
        'previous', messaging.report_figures(
            p_link.client_user_id, v_period.period_start - v_days, v_period.period_start - 1
        ),
        'instance_id', v_speaker.instance_id, 'sent_from', v_speaker.instance_name, 'spoken_by', v_speaker.spoken_by,
        'unsent', case
            when coalesce(btrim(p_setting.phone_number), '') = '' then 'no_phone'
            when v_speaker.instance_id is null then 'no_speaker'
            when messaging.has_opted_out(p_link.manager_id, 'agency_report', p_setting.phone_number) then 'opted_out'
        end
    );
end
$$;
comment on function messaging.report_as_of(public.client_manager_links, public.whatsapp_report_settings, date) is
'A client''s report as it would go on that local date: period, figures, those of the period before (of equal length), who speaks. unsent: no_phone,
no_speaker or opted_out.';

create function messaging.report_was_enqueued(p_agency_id uuid, p_client_id uuid, p_date date) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_frequency text;
begin
    -- Whatever the frequency was this morning: one of them a day. A probe of the unique index each, whatever the statistics say.
    foreach v_frequency in array array['daily', 'weekly', 'monthly'] loop
        if exists (
            select from messaging.outbox as o
            where o.agency_id = p_agency_id and o.dedupe_key = format('report:%s:%s:%s', p_client_id, v_frequency, p_date)
        ) then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function messaging.report_was_enqueued(uuid, uuid, date) is
'Whether the client''s report of that local date is in the outbox, whatever became of it.';

create function messaging.due_reports(p_client_id uuid default null, p_agency_id uuid default null, p_forced boolean default false)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    if p_forced then
        perform messaging.require(p_client_id is not null, 'a report is forced for one client: name it');
        return (
            select jsonb_build_object('active', count(*), 'reports', coalesce(jsonb_agg(
                messaging.report_as_of(
                    l, messaging.report_setting(l.manager_id, l.client_user_id),
                    (v_now at time zone messaging.agency_time_zone(l.manager_id))::date
                )
            ), '[]'))
            from public.client_manager_links as l
            where l.client_user_id = p_client_id and (p_agency_id is null or l.manager_id = p_agency_id)
        );
    end if;
    return (
        with active as materialized (
            select
                l as link,
                s as setting
            from public.whatsapp_report_settings as s
            inner join public.client_manager_links as l on s.client_id = l.client_user_id and s.agency_id = l.manager_id
            where
                s.is_active and s.frequency::text in ('daily', 'weekly', 'monthly')
                and (p_client_id is null or s.client_id = p_client_id) and (p_agency_id is null or s.agency_id = p_agency_id)
        ), zones as materialized (
            select
                z.agency_id,
                messaging.agency_time_zone(z.agency_id) as time_zone
            from (select distinct (a.link).manager_id as agency_id from active as a) as z
        ), dated as (
            select
                a.link,
                messaging.report_date(
                    (a.setting).frequency::text, (a.setting).weekday::integer, (a.setting).month_day,
                    coalesce((a.setting).send_time::time, '09:00'),
                    (a.setting).scheduled_since, z.time_zone, v_now
                ) as local_date
            from active as a
            inner join zones as z on (a.link).manager_id = z.agency_id
        )

        select jsonb_build_object('active', (select count(*) from active), 'reports', coalesce(jsonb_agg(
            messaging.report_as_of(
                d.link, messaging.report_setting((d.link).manager_id, (d.link).client_user_id), d.local_date
            ) order by (d.link).manager_id, (d.link).client_user_id
        ), '[]'))
        from dated as d
        where
            d.local_date is not null
            and not messaging.report_was_enqueued((d.link).manager_id, (d.link).client_user_id, d.local_date)
    );
end
$$;
comment on function messaging.due_reports(uuid, uuid, boolean) is
'{active: how many settings run by themselves, reports: those that are due now and not enqueued yet (report_as_of)}, of one client or agency or of all.
Forced: this client''s, whatever its settings say and whatever was sent today.';

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'written_keys', 'agency_time_zone', 'report_date', 'report_period', 'report_figures', 'report_setting', 'has_opted_out',
                'report_as_of', 'report_was_enqueued', 'due_reports'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_name in ('due_reports') then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
