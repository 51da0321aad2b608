-- Which number speaks for a client, what an agency's numbers carry and hear, and how all of that looks to the manager.
-- Locks: none on tables of the app; a few rows of messaging.purposes.
-- depends: 0054.evolution

set local lock_timeout = '5s';

insert into messaging.purposes (purpose, lane, quiet_hours, opt_out, expires_after, on_unknown, on_accepted, on_rejected)
values
-- The manager chose the hour: no quiet hours (decisions.md).
('agency_report', 'bulk', false, true, '6 hours', 'hold', 'effect_agency_report', 'reject_agency_report'),
('balance_alert', 'timed', false, true, '6 hours', 'resend_once', 'effect_balance_alert', null),
('agency_message', 'timed', false, true, '6 hours', 'hold', null, null),
('agency_optout', 'reply', false, false, '15 minutes', 'hold', null, null)
on conflict do nothing;

-- What waited, or was in flight and comes back, when a connection ended: not through the next one, which may be another agency's.
select roleta_migrations.remember_function('0055.speakers', 'messaging.judge(messaging.outbox, timestamptz)');
create or replace function messaging.judge(p_message messaging.outbox, p_now timestamptz) returns messaging.verdict
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_verdict messaging.verdict;
    v_unknown bigint;
begin
    if p_now >= p_message.expires_at then
        return ('expire', null, 'its time was over before its turn came')::messaging.verdict;
    end if;
    if p_message.agency_id is not null and exists (
        select from messaging.pairings as p where p.instance_id = p_message.instance_id and p_message.id <= p.ended_after_id
    ) then
        return ('withdraw', null, 'the number was disconnected on purpose')::messaging.verdict;
    end if;

    v_verdict := messaging.rule_against(
        p_message.purpose, p_message.profile_id, p_message.agency_id, p_message.phone_key, p_message.time_zone, p_now
    );
    if v_verdict.action = 'wait' and v_verdict.until >= p_message.expires_at then
        return (
            'expire', null,
            case v_verdict.why
                when 'quiet hours' then 'its time is over before the quiet hours end'
                else format('its time is over before the %s ends', v_verdict.why)
            end
        )::messaging.verdict;
    elsif v_verdict.action <> 'go' then
        return v_verdict;
    end if;

    -- While we cannot tell whether this person got the last message, the next one that is not an answer waits.
    if p_message.lane <> 'reply' then
        select u.id into v_unknown
        from messaging.outbox as u
        where
            u.instance_id = p_message.instance_id and u.phone_key = p_message.phone_key
            and u.dispatch_state = 'unknown' and u.lane <> 'reply'
        order by u.id
        limit 1;
        if v_unknown is not null then
            return ('hold', null, 'message ' || v_unknown)::messaging.verdict;
        end if;
    end if;

    return v_verdict;
end
$$;
comment on function messaging.judge(messaging.outbox, timestamptz) is
'What becomes of a message at the head: go, wait (until), hold, expire, or withdraw; the same rules at claim and at begin.';
revoke execute on function messaging.judge(messaging.outbox, timestamptz) from public, anon, authenticated, service_role;

-- A client that goes to another agency takes the number along, with its pace; what it carried before stays the first agency's.
create or replace view audit.tenants_mixed with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
inner join public.whatsapp_instances as i on o.instance_id = i.id
where
    o.agency_id is distinct from i.agency_id
    and not exists (
        select from messaging.pairings as p
        where p.instance_id = o.instance_id and o.id <= p.ended_after_id and o.agency_id is not null and i.agency_id is not null
    );
comment on view audit.tenants_mixed is
'I10: a message and its number belong to different tenants, and did when it was enqueued.';

create function messaging.choose_speaker(p_agency_id uuid, p_client_id uuid)
returns table (instance_id uuid, instance_name text, spoken_by text, reason text)
language sql stable security definer set search_path = ''
as $$
    select
        c.whatsapp_instance_id,
        c.instance_name,
        case when c.whatsapp_instance_id is not null then case when c.client_id is null then 'agency' else 'client' end end,
        case
            when c.whatsapp_instance_id is null then 'neither the client nor the agency has a number that was ever connected'
            when c.client_id is not null then 'the client''s own number'
            when p_client_id is null then 'the agency''s own number'
            else 'the client has no number that was ever connected: the agency''s speaks'
        end
    from (values (1)) as one (row)
    left join lateral (
        select x.whatsapp_instance_id, x.instance_name, x.client_id
        from public.whatsapp_connections as x
        where
            x.agency_id = p_agency_id and (x.client_id = p_client_id or x.client_id is null)
            -- A pairing begun and never finished counts as none; one that was open and is down counts, and holds.
            and x.first_connected_at is not null and x.whatsapp_instance_id is not null
        order by x.client_id nulls last
        limit 1
    ) as c on true
$$;
comment on function messaging.choose_speaker(uuid, uuid) is
'The client''s own number if it was ever open, else the agency''s (decisions.md B5), whatever its health: one that is down holds its messages.
spoken_by null: nobody can speak.';

create function messaging.agency_connections(p_search text default null)
returns table (
    client_id uuid, client_label text, client_email text, is_demo boolean, connection_id uuid, instance_id uuid, instance_name text, status text,
    phone_number text, connected_at timestamptz, first_connected_at timestamptz, last_disconnected_at timestamptz, instance_status text,
    halted_reason text, waiting bigint, pairing_state text, speaks_for text
)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_manager();
    v_agency_speaks boolean;
    -- Typed by a person: nothing in it is a pattern.
    v_like text := '%' || replace(replace(replace(btrim(p_search), '\', '\\'), '%', '\%'), '_', '\_') || '%';
begin
    v_agency_speaks := exists (
        select from public.whatsapp_connections as c
        where c.agency_id = v_agency and c.client_id is null and c.first_connected_at is not null
    );
    return query
    select
        w.client_id, w.client_label, w.client_email, w.is_demo, c.id, c.whatsapp_instance_id, c.instance_name,
        case when c.id is null then 'none' else messaging.connection_status(c.status) end,
        i.phone_number, c.connected_at, c.first_connected_at, i.last_disconnected_at, i.status, i.halted_reason,
        (
            select count(*) from messaging.outbox as o
            where
                o.instance_id = i.id and o.agency_id is not null
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        ),
        case
            when p.pairing_state in ('connecting', 'waiting_for_scan') and p.limit_at <= messaging.clock() then 'expired'
            else p.pairing_state
        end,
        case
            when c.first_connected_at is not null then case when w.client_id is null then 'agency' else 'client' end
            when v_agency_speaks then 'agency'
        end
    from (
        select null::uuid as client_id, s.agency_name as client_label, null::text as client_email, false as is_demo
        from (values (1)) as one (row)
        left join public.agency_settings as s on s.agency_id = v_agency
        union all
        select l.client_user_id, l.client_label, l.client_email, l.is_demo
        from public.client_manager_links as l
        where
            l.manager_id = v_agency
            and (coalesce(btrim(p_search), '') = '' or l.client_label ilike v_like or l.client_email ilike v_like)
    ) as w
    left join public.whatsapp_connections as c on c.agency_id = v_agency and c.client_id is not distinct from w.client_id
    left join public.whatsapp_instances as i on c.whatsapp_instance_id = i.id
    left join messaging.pairings as p on i.id = p.instance_id
    order by w.client_id is not null, lower(w.client_label), w.client_id;
end
$$;
comment on function messaging.agency_connections(text) is
'The agency itself (client_id null), then its clients by label, each with its connection, its number and who speaks for it; p_search narrows the clients.';

create function messaging.accept_agency_event(
    p_instance_id uuid, p_event_key text, p_kind text, p_payload jsonb, p_phone text default null, p_text text default null,
    p_message_kind text default null, p_happened_at timestamptz default null, p_from_me boolean default false,
    p_command text default null, p_receipt text default null, p_receipt_ids text[] default '{}', p_error text default null,
    p_lid text default null
)
returns table (event_id bigint, is_new boolean, opted text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid;
    v_phone text := p_phone;
    v_key text;
    v_id text;
begin
    select i.agency_id into v_agency
    from public.whatsapp_instances as i
    where i.id = p_instance_id and i.agency_id is not null;
    if not found then
        raise exception using errcode = 'WP002', message = 'there is no number of an agency with this id';
    end if;
    if p_phone like '%@lid' then
        select l.phone into v_phone from messaging.person_lids as l where l.lid = p_phone and l.agency_id = v_agency;
    end if;
    v_key := substring(messaging.phone_key(v_phone) from '^[0-9]{8,15}$');
    if p_kind = 'message' then
        perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || v_agency || ':' || v_key, 0));
    end if;

    insert into messaging.inbound_events (
        instance_id, event_key, kind, phone, text, message_kind, ignored_reason, payload, happened_at, received_at, processed_at
    )
    values (
        p_instance_id, p_event_key, p_kind, coalesce(v_phone, p_phone), p_text, p_message_kind,
        case when p_kind = 'message' then case when p_from_me then 'own_message' else 'agency_number' end end,
        p_payload, p_happened_at, messaging.clock(), messaging.clock()
    )
    on conflict do nothing
    returning id into event_id;
    is_new := event_id is not null;
    if not is_new then
        -- Told again, perhaps because what should have followed failed: what it did is said once more.
        select e.id, case e.command when 'stop' then 'out' when 'start' then 'in' end
        into event_id, opted
        from messaging.inbound_events as e
        where e.instance_id = p_instance_id and e.event_key = p_event_key;
        return next;
        return;
    end if;

    if p_receipt is not null then
        foreach v_id in array p_receipt_ids loop
            perform messaging.apply_receipt(p_instance_id, v_id, p_receipt, p_happened_at, p_error);
        end loop;
    end if;
    if p_lid is not null and messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$' and p_phone not like '%@lid' then
        insert into messaging.person_lids as l (agency_id, lid, phone, phone_key, seen_at)
        values (v_agency, p_lid, p_phone, messaging.phone_key(p_phone), messaging.clock())
        on conflict (lid, agency_id) do update
        set phone = excluded.phone, phone_key = excluded.phone_key, seen_at = excluded.seen_at
        where l.phone <> excluded.phone or l.seen_at < excluded.seen_at - interval '1 day';
    end if;
    if p_kind = 'message' and not p_from_me and v_key is not null then
        if p_command = 'stop' then
            opted := case when messaging.opt_out(v_agency, v_key, p_text) then 'out' end;
        elsif p_command = 'start' then
            opted := case when messaging.opt_in(v_agency, v_key) then 'in' end;
        end if;
        update messaging.inbound_events as e set command = p_command where e.id = event_id and opted is not null;
    end if;
    return next;
end
$$;
comment on function messaging.accept_agency_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, boolean, text, text, text[], text, text
) is
'Stores an authentic event of an agency''s number once and applies it: receipts, and stop or start for the whole agency (opted: what that changed).
Nobody answers what is said there. is_new false: a repeat, which changes nothing.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('choose_speaker', 'agency_connections', 'accept_agency_event')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        execute format(
            'grant execute on function %s to %I', v_function,
            case when v_function::text ~ 'agency_connections' then 'authenticated' else 'service_role' end
        );
    end loop;
end
$$;

-- Connections of an adopted project get their numbers. What the provider says of them is asked within a minute.
do $$
declare
    v_connection record;
    v_instance uuid;
begin
    for v_connection in
        select c.id, c.agency_id, c.instance_name, c.status, c.connected_at from public.whatsapp_connections as c
        where
            c.whatsapp_instance_id is null and c.provider = 'evolution' and coalesce(btrim(c.instance_name), '') <> ''
            and not exists (
                select from public.whatsapp_connections as other
                where other.instance_name = c.instance_name and other.id < c.id
            )
        order by c.id
    loop
        insert into public.whatsapp_instances (
            name, provider, evolution_instance_name, agency_id, in_pool, accepts_new, max_users, status
        )
        values (
            v_connection.instance_name, 'evolution', v_connection.instance_name, v_connection.agency_id, false, false, 0,
            case when v_connection.status = 'connected' then 'active' else 'disconnected' end
        )
        returning id into v_instance;
        perform roleta_migrations.remember('0055.speakers adopted', 'instance', v_instance::text);
        update public.whatsapp_connections as c
        set
            whatsapp_instance_id = v_instance,
            first_connected_at = case when c.status = 'connected' then coalesce(c.connected_at, messaging.clock()) end
        where c.id = v_connection.id;
        insert into messaging.pairings (instance_id, pairing_state, started_at, limit_at, looked_at)
        values (
            v_instance, case when v_connection.status = 'connected' then 'connected' else 'ended' end,
            messaging.clock(), messaging.clock(), messaging.clock()
        );
    end loop;
end
$$;
