-- Pairing a number with a phone: codes shown while they live, one process at a time at the provider, and what is left over there.
-- Locks: none; functions only.
-- depends: 0052.connecting

set local lock_timeout = '5s';

-- A code lives 45 s at the provider (evolution contract 4).
create function messaging.code_life() returns interval
language sql immutable security invoker
return interval '45 seconds';
comment on function messaging.code_life() is 'How long a code can be scanned; an older one is never shown.';

create function messaging.pairing_view(p_client_id uuid)
returns table (
    pairing_state text, qr_code text, pairing_code text, shown_at timestamptz, expires_in_s double precision,
    limit_in_s double precision, status text, detail text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_instance uuid;
    v_status text;
    v_pairing messaging.pairings;
begin
    select o.instance_id, o.status into v_instance, v_status from messaging.own_connection(p_client_id) as o;
    if v_instance is null then
        return;
    end if;
    update messaging.pairings as p
    set
        looked_at = v_now,
        pairing_state = case when p.limit_at <= v_now and p.pairing_state in ('connecting', 'waiting_for_scan') then 'expired' else p.pairing_state end,
        qr_code = case when p.limit_at > v_now then p.qr_code end,
        pairing_code = case when p.limit_at > v_now then p.pairing_code end
    where p.instance_id = v_instance
    returning p.* into v_pairing;
    pairing_state := v_pairing.pairing_state;
    status := v_status;
    detail := v_pairing.detail;
    limit_in_s := greatest(0, extract(epoch from v_pairing.limit_at - v_now));
    if v_pairing.shown_at > v_now - messaging.code_life() then
        qr_code := v_pairing.qr_code;
        pairing_code := v_pairing.pairing_code;
        shown_at := v_pairing.shown_at;
        expires_in_s := extract(epoch from v_pairing.shown_at + messaging.code_life() - v_now);
    end if;
    return next;
end
$$;
comment on function messaging.pairing_view(uuid) is
'What the dialog shows of the pairing of one''s own client (null: of the agency), codes only while they live; notes that somebody looks. No row: no
connection.';

create function messaging.show_qr(
    p_instance_id uuid, p_code text, p_pairing_code text default null, p_made_at timestamptz default null
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    perform messaging.require(
        length(coalesce(p_code, '') || coalesce(p_pairing_code, '')) between 1 and 4000, 'a code has 1 to 4,000 characters'
    );
    update messaging.pairings as p
    set
        pairing_state = 'waiting_for_scan', qr_code = p_code, detail = null, qr_made_at = coalesce(p_made_at, p.qr_made_at),
        -- The provider hands out its last code again, which may be old already: it is not made young by that.
        shown_at = case when p.qr_code = p_code and p.shown_at is not null then p.shown_at else v_now end,
        -- The code to scan and the one to type live together; an event may bring the first alone.
        pairing_code = coalesce(p_pairing_code, case when p.qr_code = p_code then p.pairing_code end)
    where
        p.instance_id = p_instance_id and p.pairing_state in ('connecting', 'waiting_for_scan') and p.limit_at > v_now
        and p.orphaned_at is null
        and (p.qr_code is distinct from p_code or p.pairing_code is distinct from coalesce(p_pairing_code, p.pairing_code))
        and (p_made_at is null or p.qr_made_at is null or p_made_at > p.qr_made_at);
    return found;
end
$$;
comment on function messaging.show_qr(uuid, text, text, timestamptz) is
'connecting, waiting_for_scan -> waiting_for_scan with this code. p_made_at: the provider''s own time of it, so that a late event brings no older
code back. False: nothing is being paired, or it is the code that is known.';

create function messaging.set_pairing(p_instance_id uuid, p_state text, p_detail text default null) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(
        p_state in ('connecting', 'expired', 'refused', 'passkey_needed'),
        'a pairing is set to connecting, expired, refused or passkey_needed'
    );
    update messaging.pairings as p
    set pairing_state = p_state, detail = left(p_detail, 200), qr_code = null, pairing_code = null
    where p.instance_id = p_instance_id and p.pairing_state in ('connecting', 'waiting_for_scan');
    return found;
end
$$;
comment on function messaging.set_pairing(uuid, text, text) is
'connecting, waiting_for_scan -> expired, refused, passkey_needed, or back to connecting. False: nothing is being paired.';

create function messaging.take_qr_renewal(p_instance_id uuid, p_every_s double precision default 3) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    update messaging.pairings as p
    set asked_at = v_now
    where
        p.instance_id = p_instance_id and (p.asked_at is null or p.asked_at <= v_now - make_interval(secs => p_every_s))
        -- What is over at the provider too has nothing to tell.
        and not (p.is_settled and p.pairing_state in ('expired', 'refused', 'ended'));
    return found;
end
$$;
comment on function messaging.take_qr_renewal(uuid, double precision) is
'Whether this caller asks the provider now: one of all that look, at most once in so many seconds, and no more once an unfinished pairing is over there
too (pairing_stopped).';

create function messaging.take_lifecycle(p_instance_id uuid, p_by text, p_lease_s double precision default 90) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_token uuid;
begin
    perform messaging.require(coalesce(p_by, '') <> '' and p_lease_s between 1 and 600, 'a turn has a holder and lasts 1 to 600 s');
    update messaging.pairings as p
    set lifecycle_token = gen_random_uuid(), lifecycle_by = p_by, lifecycle_until = v_now + make_interval(secs => p_lease_s)
    where p.instance_id = p_instance_id and (p.lifecycle_token is null or p.lifecycle_until <= v_now)
    returning p.lifecycle_token into v_token;
    return v_token;
end
$$;
comment on function messaging.take_lifecycle(uuid, text, double precision) is
'The right to create, connect or remove this number at the provider, for so long; null while another holds it (bug 32).';

create function messaging.give_lifecycle(p_instance_id uuid, p_token uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    update messaging.pairings as p
    set lifecycle_token = null, lifecycle_by = null, lifecycle_until = null
    where p.instance_id = p_instance_id and p.lifecycle_token = p_token;
    return found;
end
$$;
comment on function messaging.give_lifecycle(uuid, uuid) is 'Ends take_lifecycle''s turn. False: it was over already.';

create function messaging.take_stale_pairings(p_after_s double precision default 240, p_limit integer default 10)
returns table (instance_id uuid, instance_name text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    with stale as (
        select p.instance_id from messaging.pairings as p
        where
            (
                p.pairing_state in ('connecting', 'waiting_for_scan')
                and (p.limit_at <= v_now or p.looked_at <= v_now - make_interval(secs => p_after_s))
            )
            -- Over already, and whoever was to log it out at the provider did not come to it: once a minute until somebody has.
            or (
                not p.is_settled and p.pairing_state in ('expired', 'refused') and p.started_at > v_now - interval '1 day'
                and coalesce(p.asked_at, p.started_at) <= v_now - interval '1 minute'
            )
        order by coalesce(p.asked_at, p.started_at), p.instance_id
        limit p_limit
        for no key update skip locked
    )

    update messaging.pairings as p
    set
        pairing_state = case when p.pairing_state in ('connecting', 'waiting_for_scan') then 'expired' else p.pairing_state end,
        qr_code = null, pairing_code = null, asked_at = v_now
    from stale as s, public.whatsapp_instances as i
    where p.instance_id = s.instance_id and i.id = s.instance_id
    returning i.id, i.evolution_instance_name;
end
$$;
comment on function messaging.take_stale_pairings(double precision, integer) is
'connecting, waiting_for_scan -> expired, where the time is over or nobody looks any more: an unpaired number is logged out at the provider, or it
connects for ever (evolution contract 9). Given out again each minute until pairing_stopped.';

create function messaging.pairing_stopped(p_instance_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    -- Somebody may have begun anew meanwhile.
    update messaging.pairings as p
    set is_settled = true
    where p.instance_id = p_instance_id and not p.is_settled and p.pairing_state not in ('connecting', 'waiting_for_scan');
    return found;
end
$$;
comment on function messaging.pairing_stopped(uuid) is
'The provider does not connect any more for an unfinished pairing. False: that was so already, or a new one is under way.';

create function messaging.take_orphans(p_limit integer default 10)
returns table (instance_id uuid, instance_name text)
language sql volatile security definer set search_path = ''
as $$
    select p.instance_id, i.evolution_instance_name
    from messaging.pairings as p
    inner join public.whatsapp_instances as i on p.instance_id = i.id
    where p.orphaned_at is not null and coalesce(p.lifecycle_until <= messaging.clock(), true)
    -- Drawn: a few that the provider cannot remove keep nobody else waiting.
    order by random()
    limit p_limit
$$;
comment on function messaging.take_orphans(integer) is
'Numbers whose connection was ended here and that the provider may still have. Take the lifecycle, ask is_orphan again, remove, say orphan_removed.';

create function messaging.is_orphan(p_instance_id uuid) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (select from messaging.pairings as p where p.instance_id = p_instance_id and p.orphaned_at is not null)
$$;
comment on function messaging.is_orphan(uuid) is 'Whether the provider''s side of an ended connection is still to be removed.';

create function messaging.orphan_removed(p_instance_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    update messaging.pairings as p set orphaned_at = null where p.instance_id = p_instance_id and p.orphaned_at is not null;
    return found;
end
$$;
comment on function messaging.orphan_removed(uuid) is 'The provider no longer has the number of an ended connection.';

create function messaging.note_connecting(p_instance_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_count integer;
begin
    -- 16 to 24 a second arrive while the provider has no network: one write a second is all that they get. Those in between count as one.
    if exists (
        select from messaging.pairings as p
        where p.instance_id = p_instance_id and p.connecting_at > v_now - interval '1 second'
    ) then
        return false;
    end if;
    -- Before the pairing is locked: the number comes first.
    perform messaging.ask_health_soon(p_instance_id, 5);
    update messaging.pairings as p
    set
        connecting_since = case when p.connecting_since > v_now - interval '1 minute' then p.connecting_since else v_now end,
        connecting_count = case when p.connecting_since > v_now - interval '1 minute' then p.connecting_count + 1 else 1 end,
        connecting_at = v_now
    where p.instance_id = p_instance_id and (p.connecting_at is null or p.connecting_at <= v_now - interval '1 second')
    returning p.connecting_count into v_count;
    return coalesce(v_count = 30, false);
end
$$;
comment on function messaging.note_connecting(uuid) is
'The provider said that it is connecting. True once, when it has said so in 30 of the last 60 seconds: something is wrong there.';

create function messaging.ask_health_soon(p_instance_id uuid, p_not_within_s double precision default 0) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.whatsapp_instances as i
    set last_health_check = null
    where i.id = p_instance_id and i.last_health_check <= messaging.clock() - make_interval(secs => p_not_within_s)
$$;
comment on function messaging.ask_health_soon(uuid, double precision) is
'The provider is asked for the number''s state by the very next look, unless it was asked within so many seconds: an event wakes us, the state decides.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'code_life', 'pairing_view', 'show_qr', 'set_pairing', 'take_qr_renewal', 'take_lifecycle', 'give_lifecycle', 'take_stale_pairings',
                'pairing_stopped',
                'take_orphans', 'is_orphan', 'orphan_removed', 'note_connecting', 'ask_health_soon'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text ~ 'pairing_view' then
            execute format('grant execute on function %s to authenticated', v_function);
        elsif v_function::text !~ 'code_life' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
