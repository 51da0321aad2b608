-- The page "Envios incertos": a manager sees the own agency's messages of which we cannot tell whether they were sent, and decides of them; an
-- admin the house's as well.
-- Locks: SHARE on messaging.outbox (writers wait) for the time of building one partial index of few rows: one read of the table.
-- depends: 0074.rights

set local lock_timeout = '5s';

-- Counted on every page: neither the history nor what waits for a number that is down is read for it.
create index outbox_uncertain on messaging.outbox (agency_id, id) where dispatch_state = 'unknown';

create function messaging.is_own_message(p_agency_id uuid) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_caller uuid := messaging.require_manager();
begin
    -- The house's messages (no agency) are nobody's agency's: who runs the house is an admin. Never null, which `if not` would let pass.
    return coalesce(
        p_agency_id = v_caller,
        exists (select from public.user_roles as r where r.user_id = v_caller and r.role::text = 'admin')
    );
end
$$;
comment on function messaging.is_own_message(uuid) is
'Whether messages of this agency (null: the house) are for whoever asks to see and decide: a manager''s own agency, the house''s for an admin. WP007
for anybody else.';

create function messaging.own_unknowns(p_limit integer default 100, p_message_id bigint default null)
returns table (
    message_id bigint, is_house boolean, instance_name text, number_phone text, spoken_by text, purpose text, client_label text, person_name text,
    phone_tail text, text_preview text, message_kind text, on_unknown text, unknown_since timestamptz, expires_at timestamptz, presumed text,
    waits_at_provider boolean, evidence jsonb
)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_sees_house boolean := messaging.is_own_message(null);
    v_agency uuid := messaging.require_manager();
    v_asked messaging.outbox;
begin
    perform messaging.require(p_limit between 1 and 500, 'limit: must be 1 to 500');
    if p_message_id is not null then
        select o.* into v_asked from messaging.outbox as o where o.id = p_message_id;
        if v_asked.id is null or not messaging.is_own_message(v_asked.agency_id) then
            -- The same words for a message of somebody else and for one that never was.
            raise exception using errcode = 'WP002', message = 'there is no such message';
        elsif v_asked.dispatch_state <> 'unknown' then
            raise exception using errcode = 'WP004', message = 'this message is not uncertain any more';
        end if;
    end if;
    return query
    select
        o.id, o.agency_id is null, i.name::text, i.phone_number::text, o.facts ->> 'spoken_by', o.purpose, l.client_label::text, p.name::text,
        right(o.phone, 4), left(coalesce(o.content ->> 'text', o.content ->> 'file_name', o.facts ->> 'text'), 280), o.content ->> 'kind',
        o.on_unknown, o.changed_at, o.expires_at, messaging.presumed(o.id), messaging.waits_at_provider(o.id), messaging.evidence_of(o.id)
    from messaging.outbox as o
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    left join public.client_manager_links as l
        on o.agency_id = l.manager_id and l.client_user_id::text = coalesce(o.facts ->> 'client_id', o.subject_id)
    left join public.profiles as p on o.agency_id is null and o.profile_id = p.id
    where
        o.dispatch_state = 'unknown'
        and (o.agency_id = v_agency or (o.agency_id is null and v_sees_house))
        and (p_message_id is null or o.id = p_message_id)
    order by o.changed_at, o.id
    limit p_limit;
end
$$;
comment on function messaging.own_unknowns(integer, bigint) is
'The messages of one''s own agency (for an admin the house''s too) of which we cannot tell whether they were sent, those first that have waited
longest, with what is known; no phone in full. p_message_id: this one alone; WP002 for another''s as for none, WP004 where it is settled.';

create function messaging.count_own_unknowns() returns integer
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.caller();
    v_sees_house boolean;
begin
    begin
        v_sees_house := messaging.is_own_message(null);
    exception
        -- Somebody who is no manager has none.
        when sqlstate 'WP007' then return 0;
    end;
    return (
        select count(*)
        from messaging.outbox as o
        where o.dispatch_state = 'unknown' and (o.agency_id = v_agency or (o.agency_id is null and v_sees_house))
    );
end
$$;
comment on function messaging.count_own_unknowns() is 'How many own_unknowns there are in all; 0 for whoever is no manager.';

create function messaging.decide_own_unknown(
    p_message_id bigint, p_decision text, p_why text default null, p_since timestamptz default null
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
begin
    perform messaging.require_manager();
    -- In the order of locks; what is looked at below is what decide_unknown then decides of.
    perform from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.id is null or not messaging.is_own_message(v_message.agency_id) then
        raise exception using errcode = 'WP002', message = 'there is no such message';
    elsif v_message.dispatch_state = 'unknown' and v_message.changed_at <> p_since then
        -- Sent again meanwhile, and unknown again: a page of the first time decides nothing of the second.
        raise exception using errcode = 'WP004', message = 'this message was sent again meanwhile: look at it anew';
    end if;
    return messaging.decide_unknown(
        p_message_id, p_decision,
        coalesce(
            nullif(btrim(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'), ''),
            'user ' || messaging.caller()
        ),
        p_why
    );
end
$$;
comment on function messaging.decide_own_unknown(bigint, text, text, timestamptz) is
'decide_unknown of one''s own message, decided by whoever is signed in. p_since: the unknown_since that they saw. WP002 for another''s as for none;
WP004 where it is settled, or unknown anew.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('is_own_message', 'own_unknowns', 'count_own_unknowns', 'decide_own_unknown')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text !~ 'is_own_message' then
            execute format('grant execute on function %s to authenticated', v_function);
        end if;
    end loop;
end
$$;
