-- Which uncertain messages are to be looked at now, and by whom; and nobody is left uncertain for a day without being told.
-- Locks: none; a table and functions of their own.
-- depends: 0065.ladder

set local lock_timeout = '5s';

create table messaging.unknown_looks (
    message_id bigint primary key references messaging.outbox (id),
    looked_at timestamptz not null,
    told_at timestamptz
);
alter table messaging.unknown_looks enable row level security;
revoke all on table messaging.unknown_looks from public, anon, authenticated, service_role;
comment on table messaging.unknown_looks is 'When evidence on an unknown message was last looked for, and when somebody was told of it.';
comment on column messaging.unknown_looks.told_at is 'When reconcile said it aloud (log, command): a person has to decide. Null: not yet.';

create function messaging.take_unknowns(p_all boolean default false, p_after bigint default 0, p_limit integer default 200)
returns table (
    message_id bigint, attempt_id bigint, dispatch_state text, instance_id uuid, instance_name text, provider text,
    zapi_instance_id text, zapi_token text, zapi_client_token text, evolution_instance_name text,
    phone text, begun_at timestamptz, withdraw_queue_id text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_taken bigint[];
begin
    with due as (
        select o.id, o.changed_at
        from messaging.outbox as o
        where o.dispatch_state = 'unknown'
        union
        -- Decided, and perhaps contradicted since.
        select o.id, d.decided_at
        from messaging.decisions as d
        inner join messaging.outbox as o on d.message_id = o.id
        where d.decided_at > v_now - interval '1 day' and o.dispatch_state in ('queued', 'held', 'leased', 'withdrawn')
        union
        -- Let go, while the provider still has it.
        select o.id, o.changed_at
        from messaging.evidence as e
        inner join messaging.outbox as o on e.message_id = o.id
        where e.says = 'waiting' and o.dispatch_state = 'withdrawn' and messaging.waits_at_provider(o.id)
    ),

    taken as (
        insert into messaging.unknown_looks as l (message_id, looked_at)
        select d.id, v_now
        from (
            select due.id
            from due
            left join messaging.unknown_looks as x on due.id = x.message_id
            where
                due.id > p_after
                and (
                    p_all or x.looked_at is null
                    -- Once a minute while its answers are likely to come, more and more seldom, then once an hour; each by one worker.
                    or x.looked_at <= v_now - least(greatest((v_now - due.changed_at) / 3, interval '50 s'), interval '55 min')
                )
            group by due.id
            order by due.id
            limit p_limit
        ) as d
        order by d.id
        on conflict (message_id) do update
        set looked_at = excluded.looked_at
        where l.looked_at <= excluded.looked_at - interval '5 s' or p_all
        returning l.message_id
    )

    select array_agg(t.message_id) into v_taken from taken as t;
    return query
    select
        o.id, a.id, o.dispatch_state, i.id, i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token,
        i.evolution_instance_name, o.phone, a.begun_at,
        case when o.dispatch_state = 'withdrawn' and messaging.waits_at_provider(o.id) then a.provider_queue_id end
    from messaging.outbox as o
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    inner join lateral (
        select x.* from messaging.attempts as x
        where x.message_id = o.id and x.outcome = 'unknown'
        order by x.id desc
        limit 1
    ) as a on true
    where o.id = any(v_taken)
    order by i.id, o.id;
end
$$;
comment on function messaging.take_unknowns(boolean, bigint, integer) is
'The messages on which evidence is to be looked for now, each to one worker only, with what a client of their number needs. withdraw_queue_id: let go, but
it still waits at the provider. p_all: whenever they were looked at last. p_after: of higher ids.';

create function messaging.note_withdrawn(p_attempt_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
begin
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    if v_attempt.id is null then
        raise exception using errcode = 'WP002', message = 'there is no attempt with this id';
    end if;
    perform messaging.note_evidence(v_attempt, 'provider_queue', 'not_sent', null, 'withdrawn from the provider''s queue');
end
$$;
comment on function messaging.note_withdrawn(bigint) is 'The provider was told to take a dropped message out of its queue, and said that it did.';

create function messaging.tell_unknowns(p_limit integer default 200)
returns table (
    message_id bigint, instance_name text, purpose text, on_unknown text, unknown_since timestamptz, presumed text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
begin
    delete from messaging.sightings as s where s.seen_at < v_now - interval '7 days';
    return query
    with untold as (
        select o.id, o.instance_id, o.purpose, o.on_unknown, o.changed_at
        from messaging.outbox as o
        left join messaging.unknown_looks as l on o.id = l.message_id
        where
            o.dispatch_state = 'unknown' and o.changed_at <= v_now - interval '1 hour'
            and (l.told_at is null or l.told_at < o.changed_at)
        order by o.id
        limit p_limit
    ),

    told as (
        insert into messaging.unknown_looks as l (message_id, looked_at, told_at)
        select u.id, v_now, v_now
        from untold as u
        order by u.id
        on conflict (message_id) do update set told_at = excluded.told_at
        returning l.message_id
    )

    select u.id, i.name, u.purpose, u.on_unknown, u.changed_at, messaging.presumed(u.id)
    from untold as u
    inner join told as t on u.id = t.message_id
    inner join public.whatsapp_instances as i on u.instance_id = i.id
    order by u.changed_at, u.id;
end
$$;
comment on function messaging.tell_unknowns(integer) is
'The messages that have been unknown for an hour and that nobody was told of: who asks says them aloud, so from now on they count as told. Also forgets
sightings of more than a week ago.';

create view audit.unknown_untold with (security_invoker = true) as
select
    o.id as message_id,
    o.changed_at as unknown_since
from messaging.outbox as o
left join messaging.unknown_looks as l on o.id = l.message_id
where
    o.dispatch_state = 'unknown' and o.changed_at < messaging.clock() - interval '24 hours'
    and (l.told_at is null or l.told_at < o.changed_at);
comment on view audit.unknown_untold is
'I11: for more than a day we cannot tell whether it was sent, and nobody was told: is a worker running, or `roleta reconcile`?';
revoke all on table audit.unknown_untold from public, anon, authenticated, service_role;

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where c.relnamespace = 'audit'::regnamespace and c.relkind = 'v' and c.relname <> 'findings'
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;

do $$
declare
    v_function record;
begin
    for v_function in
        select
            p.oid::regprocedure as signature,
            p.proname as name
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'take_unknowns', 'note_withdrawn', 'tell_unknowns'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('take_unknowns', 'note_withdrawn', 'tell_unknowns') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
