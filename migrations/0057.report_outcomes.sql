-- What came of a report: when a dry run's would leave, whether it is still wanted, and the log.
-- Locks: none; functions only.
-- depends: 0056.agency_reports

set local lock_timeout = '5s';

-- A dry run of these has no profile whose number would write: it names the number.
select roleta_migrations.remember_function('0057.report_outcomes', 'messaging.expected_times(jsonb)');
create or replace function messaging.expected_times(p_people jsonb)
returns table (place integer, instance_name text, expected_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    perform messaging.require(jsonb_typeof(p_people) = 'array', 'expected_times takes a list of {profile_id or instance_id, purpose, time_zone?}');
    return query
    with asked as (
        select
            e.ordinality,
            r.lane,
            r.quiet_hours,
            coalesce(e.value ->> 'time_zone', 'America/Sao_Paulo') as time_zone,
            messaging.resolve_instance((e.value ->> 'profile_id')::uuid, null, (e.value ->> 'instance_id')::uuid) as instance_id
        from jsonb_array_elements(p_people) with ordinality as e
        left join messaging.purposes as r on r.purpose = e.value ->> 'purpose'
    ), numbers as (
        select
            s.instance_id,
            greatest(s.next_send_at, v_now) as slot,
            messaging.mean_gap_s(s.instance_id) as gap_s,
            count(o.id) filter (where o.lane = 'timed') as timed,
            count(o.id) filter (where o.lane <> 'reply') as paced
        from messaging.senders as s
        left join (
            select x.id, x.lane, x.instance_id from messaging.outbox as x where x.dispatch_state = 'queued'
            union all
            select x.id, x.lane, x.instance_id from messaging.outbox as x where x.dispatch_state = 'draft'
        ) as o on s.instance_id = o.instance_id
        where s.instance_id in (select a.instance_id from asked as a)
        group by s.instance_id
    ), ahead as (
        select
            a.*,
            n.slot,
            make_interval(secs => n.gap_s * (
                case when a.lane = 'bulk' then n.paced else n.timed end
                -- Of those asked about: what overtakes first, then their own order.
                + row_number() over (partition by a.instance_id order by a.lane = 'bulk', a.ordinality) - 1
            )) as needs
        from asked as a
        left join numbers as n on a.instance_id = n.instance_id
    )

    select
        h.ordinality::integer,
        i.name::text,
        case
            when not messaging.can_send(h.instance_id) or (select c.paused_at is not null from messaging.control as c) then null
            when h.quiet_hours then messaging.by_day(h.slot, h.needs, h.time_zone)
            else h.slot + h.needs
        end
    from ahead as h
    left join public.whatsapp_instances as i on h.instance_id = i.id
    order by h.ordinality;
end
$$;
comment on function messaging.expected_times(jsonb) is
'For people who would get a message now, in that order: the number that would write (instance_id: this one), and when (messaging.forecast,
before there is a message). Null while the number is down or everything is paused.';

create function messaging.due_agency_report(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (select from public.client_manager_links as l where l.client_user_id = p_subject_id::uuid)
            then 'the client was removed'
    end
$$;
comment on function messaging.due_agency_report(text) is 'Still due while the client (the subject) is somebody''s.';
update messaging.purposes as p set still_due = 'due_agency_report' where p.purpose = 'agency_report';

create function messaging.log_report(p_message_id bigint, p_status text) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into public.whatsapp_report_logs (
        agency_id, client_id, sent_at, period_start, period_end, status, error_message, report_period_type, message_id, spoken_by, sent_from
    )
    select
        (r.filled).agency_id, (r.filled).client_id, (r.filled).sent_at, (r.filled).period_start, (r.filled).period_end, (r.filled).status,
        (r.filled).error_message, (r.filled).report_period_type, (r.filled).message_id, (r.filled).spoken_by, (r.filled).sent_from
    from (
        -- Filled as JSON: the columns of an adopted table may be enums.
        select jsonb_populate_record(null::public.whatsapp_report_logs, o.facts || jsonb_build_object(
            'agency_id', o.agency_id, 'sent_at', messaging.sent_at(o.id), 'status', p_status, 'message_id', o.id,
            'error_message', case p_status when 'error' then left(o.reason, 500) end
        )) as filled
        from messaging.outbox as o
        where o.id = p_message_id
    ) as r
$$;
comment on function messaging.log_report(bigint, text) is 'The row of a report in whatsapp_report_logs: which period, who spoke, from which number.';

create function messaging.effect_agency_report(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.log_report(p_message_id, 'success')
$$;
comment on function messaging.effect_agency_report(bigint) is 'Effect: the report stands in the log as a success.';

create function messaging.reject_agency_report(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.log_report(p_message_id, 'error')
$$;
comment on function messaging.reject_agency_report(bigint) is 'on_rejected: the report stands in the log as an error, with the provider''s reason.';

create function messaging.log_unsent_reports(p_reports jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_report jsonb;
    v_log public.whatsapp_report_logs;
    v_logged integer := 0;
begin
    perform messaging.require(jsonb_typeof(p_reports) = 'array', 'log_unsent_reports takes a list');
    for v_report in
        select e.value from jsonb_array_elements(p_reports) as e order by e.value ->> 'dedupe_key'
    loop
        begin
            v_log := jsonb_populate_record(null::public.whatsapp_report_logs, v_report || jsonb_build_object(
                'status', 'error', 'error_message', left(v_report ->> 'error_message', 500),
                'report_period_type', v_report ->> 'period_type'
            ));
            insert into public.whatsapp_report_logs (
                agency_id, client_id, sent_at, period_start, period_end, status, error_message, report_period_type, dedupe_key, spoken_by, sent_from
            )
            values (
                v_log.agency_id, v_log.client_id, messaging.clock(), v_log.period_start, v_log.period_end, v_log.status,
                v_log.error_message, v_log.report_period_type, v_log.dedupe_key, v_log.spoken_by, v_log.sent_from
            )
            on conflict do nothing;
            v_logged := v_logged + found::integer;
        exception
            -- A row that an adopted table refuses must not keep the others out.
            when integrity_constraint_violation or data_exception then
                raise warning 'a report that was not sent was not logged (%)', sqlstate;
        end;
    end loop;
    return v_logged;
end
$$;
comment on function messaging.log_unsent_reports(jsonb) is
'Reports that could not be enqueued, as errors in the log, each once per dedupe_key: {agency_id, client_id, dedupe_key, period_start, period_end,
period_type, error_message}. How many were new.';

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'due_agency_report', 'log_report', 'effect_agency_report', 'reject_agency_report', 'log_unsent_reports'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_name in ('log_unsent_reports') then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
