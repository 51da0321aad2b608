-- What providers tell us: stored once, applied once; a person's messages gathered into one turn and answered in order.
-- depends: 0015.fitness

set local lock_timeout = '5s';

create table messaging.inbound_events (
    id bigint generated always as identity primary key,
    instance_id uuid not null references public.whatsapp_instances (id),
    event_key text not null,
    kind text not null,
    phone text,
    person_key text,
    profile_id uuid,
    text text,
    message_kind text,
    ignored_reason text,
    payload jsonb not null,
    happened_at timestamptz,
    received_at timestamptz not null,
    processed_at timestamptz,
    constraint inbound_events_once unique (instance_id, event_key),
    constraint inbound_events_kind_known check (
        kind in ('message', 'delivery', 'status', 'connected', 'disconnected', 'other')
    )
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index inbound_events_turn on messaging.inbound_events (person_key, id)
where processed_at is null and person_key is not null;
create index inbound_events_received on messaging.inbound_events (received_at);
comment on table messaging.inbound_events is 'Every authentic webhook fact, once, without credentials.';
comment on column messaging.inbound_events.person_key is 'Whose turn it belongs to; null: it asks for no answer.';
comment on column messaging.inbound_events.ignored_reason is 'Why a message gets no answer (own_message, group_message, ...).';
comment on column messaging.inbound_events.processed_at is 'When its turn was answered; at once where there is none.';

create table messaging.turns (
    person_key text primary key,
    profile_id uuid not null,
    waiting_since timestamptz not null,
    ready_at timestamptz not null,
    lease_token uuid,
    worker text,
    taken bigint[] not null default '{}'
);
create index turns_ready_at on messaging.turns (ready_at);
comment on table messaging.turns is
'One row per person whose messages wait for an answer; gone when there is nothing left to answer.';
comment on column messaging.turns.taken is 'The events handed out with the lease: what its end marks as answered.';
comment on column messaging.turns.ready_at is
'Debounce and lease at once: when the person has been silent long enough, or when the worker''s time is over.';

alter table messaging.inbound_events enable row level security;
alter table messaging.turns enable row level security;
revoke all on table messaging.inbound_events from public, anon, authenticated, service_role;
revoke all on table messaging.turns from public, anon, authenticated, service_role;

create function messaging.accept_event(
    p_instance_id uuid, p_event_key text, p_kind text, p_payload jsonb,
    p_phone text default null, p_text text default null, p_message_kind text default null,
    p_happened_at timestamptz default null, p_ignored_reason text default null,
    p_receipt text default null, p_receipt_ids text[] default '{}',
    p_error text default null, p_error_class text default null, p_debounce_s double precision default 2
)
returns table (event_id bigint, is_new boolean, ignored_reason text)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_ready timestamptz := messaging.clock() + make_interval(secs => p_debounce_s);
    v_profile uuid;
    v_person text;
    v_agency uuid;
    v_id text;
begin
    select i.agency_id into v_agency from public.whatsapp_instances as i where i.id = p_instance_id;
    ignored_reason := p_ignored_reason;
    if p_kind = 'message' and p_ignored_reason is null then
        v_profile := messaging.find_profile(p_phone);
        if v_profile is null then
            ignored_reason := 'user_not_found';
        else
            v_person := coalesce(v_agency::text, 'house') || ':' || messaging.phone_key(p_phone);
        end if;
    end if;

    insert into messaging.inbound_events (
        instance_id, event_key, kind, phone, person_key, profile_id, text, message_kind, ignored_reason, payload,
        happened_at, received_at, processed_at
    )
    values (
        p_instance_id, p_event_key, p_kind, p_phone, v_person, v_profile, p_text, p_message_kind, ignored_reason,
        p_payload, p_happened_at, v_now, case when v_person is null then v_now end
    )
    on conflict do nothing
    returning id into event_id;
    is_new := event_id is not null;
    if not is_new then
        return next;
        return;
    end if;

    -- Stored and applied in one transaction: a provider that is told 200 will not tell us again.
    if p_kind = 'disconnected' then
        perform messaging.record_health(p_instance_id, false, null, 'provider event');
    elsif p_kind = 'connected' then
        perform messaging.record_health(p_instance_id, true, null, 'provider event');
    end if;
    if p_error_class = 'restriction' then
        -- The number before its sender: of several ids, a later one may be the first to halt it.
        perform messaging.lock_instance(p_instance_id);
    end if;
    if p_receipt is not null then
        foreach v_id in array p_receipt_ids loop
            perform messaging.apply_receipt(
                p_instance_id, v_id, p_receipt, p_happened_at, p_error, p_error_class
            );
        end loop;
    end if;
    if v_person is not null then
        insert into messaging.turns as t (person_key, profile_id, waiting_since, ready_at)
        values (v_person, v_profile, v_now, v_ready)
        on conflict (person_key) do update
        set
            -- Each message waits for the next one, but nobody waits more than five times as long. A turn being
            -- answered is left alone: finish_turn finds what came meanwhile.
            ready_at = case
                when t.lease_token is not null then t.ready_at
                else greatest(
                    t.ready_at,
                    least(excluded.ready_at, t.waiting_since + make_interval(secs => 5 * p_debounce_s))
                )
            end;
    end if;
    return next;
end
$$;
comment on function messaging.accept_event(
    uuid, text, text, jsonb, text, text, text, timestamptz, text, text, text[], text, text, double precision
) is
'Stores an authentic event once and applies it in the same transaction: a receipt, a change of connection, or a person''s turn.
is_new is false for a repeat, which changes nothing.';

create function messaging.claim_turn(p_worker text, p_lease_s double precision default 60)
returns table (
    person_key text, lease_token uuid, profile_id uuid, profile_name text, instance_id uuid, phone text,
    last_event_id bigint, events jsonb
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
begin
    select t.person_key, t.profile_id into person_key, profile_id
    from messaging.turns as t
    where t.ready_at <= v_now
    order by t.ready_at
    limit 1
    for no key update skip locked;
    if person_key is null then
        return;
    end if;
    lease_token := gen_random_uuid();
    update messaging.turns as t
    set
        lease_token = claim_turn.lease_token, worker = p_worker,
        ready_at = v_now + make_interval(secs => p_lease_s)
    where t.person_key = claim_turn.person_key;

    select
        (array_agg(e.instance_id order by e.id desc))[1],
        (array_agg(e.phone order by e.id desc))[1],
        max(e.id),
        jsonb_agg(
            jsonb_build_object('event_id', e.id, 'message_kind', e.message_kind, 'text', e.text) order by e.id
        )
    into instance_id, phone, last_event_id, events
    from messaging.inbound_events as e
    where e.person_key = claim_turn.person_key and e.processed_at is null;
    update messaging.turns as t
    set taken = array(select (x.value ->> 'event_id')::bigint from jsonb_array_elements(events) as x)
    where t.person_key = claim_turn.person_key;
    select p.name into profile_name from public.profiles as p where p.id = claim_turn.profile_id;
    return next;
end
$$;
comment on function messaging.claim_turn(text, double precision) is
'One person whose messages wait and who has gone silent: everything unanswered, and the number that was written to last. Leased; no row when nobody waits.';

create function messaging.finish_turn(
    p_person_key text, p_lease_token uuid, p_last_event_id bigint, p_texts text[], p_by text,
    p_debounce_s double precision default 2
)
returns table (finished boolean, message_ids bigint[])
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_turn messaging.turns;
    v_last messaging.inbound_events;
    v_text text;
    v_part integer := 0;
begin
    select t.* into v_turn from messaging.turns as t where t.person_key = p_person_key for no key update;
    if v_turn.lease_token is distinct from p_lease_token then
        finished := false;
        return next;
        return;
    end if;
    select e.* into v_last from messaging.inbound_events as e where e.id = p_last_event_id;
    foreach v_text in array p_texts loop
        v_part := v_part + 1;
        message_ids := message_ids || (
            select e.message_id from messaging.enqueue(jsonb_build_object(
                'purpose', 'answer', 'phone', v_last.phone, 'profile_id', v_turn.profile_id,
                -- The answer leaves from the number that was written to.
                'instance_id', v_last.instance_id,
                'content', jsonb_build_object('kind', 'text', 'text', v_text),
                'dedupe_key', format('answer:%s:%s', p_last_event_id, v_part), 'enqueued_by', p_by
            )) as e
        );
    end loop;
    update messaging.inbound_events as e
    set processed_at = messaging.clock()
    -- Just what was handed out: ids are not in the order of commits.
    where e.id = any(v_turn.taken) and e.processed_at is null;

    if exists (
        select from messaging.inbound_events as e
        where e.person_key = p_person_key and e.processed_at is null
    ) then
        update messaging.turns as t
        set
            lease_token = null, worker = null, taken = '{}', waiting_since = messaging.clock(),
            ready_at = messaging.clock() + make_interval(secs => p_debounce_s)
        where t.person_key = p_person_key;
    else
        delete from messaging.turns as t where t.person_key = p_person_key;
    end if;
    finished := true;
    return next;
end
$$;
comment on function messaging.finish_turn(text, uuid, bigint, text[], text, double precision) is
'Enqueues the answer to a turn, on the number that was written to, and ends the turn, in one transaction. False, and nothing done, when the lease is lost.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('accept_event', 'claim_turn', 'finish_turn')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated', v_function);
        execute format('grant execute on function %s to service_role', v_function);
    end loop;
end
$$;
