-- What a person, or the rule that a message fixed when it was enqueued, decides of a message of which we cannot tell whether it was sent.
-- Locks: none on any table that was there before.
-- depends: 0063.sightings

set local lock_timeout = '5s';

create table messaging.decisions (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    decision text not null,
    decided_by text not null,
    decided_at timestamptz not null,
    why text,
    constraint decisions_known check (decision in ('resend', 'consider_sent', 'drop'))
);
create index decisions_message on messaging.decisions (message_id, id);
alter table messaging.decisions enable row level security;
revoke all on table messaging.decisions from public, anon, authenticated, service_role;
comment on table messaging.decisions is 'Who decided what of an unknown message, when and why: the only way to a second attempt.';
comment on column messaging.decisions.decision is
'resend: one new attempt, it may arrive twice; consider_sent: as if the provider had confirmed it; drop: let it go, it may have arrived.';
comment on column messaging.decisions.decided_by is 'A person, or reconcile: the rule resend_once after recorded silence.';

create function messaging.waits_at_provider(p_message_id bigint) returns boolean
language sql stable security definer set search_path = ''
as $$
    select coalesce((
        select e.says = 'waiting'
        from messaging.evidence as e
        where e.message_id = p_message_id and e.source = 'provider_queue'
        order by e.seen_at desc, e.id desc
        limit 1
    ), false)
$$;
comment on function messaging.waits_at_provider(bigint) is 'Whether the provider''s queue still held the message when it was last asked.';

create function messaging.decide_unknown(
    p_message_id bigint, p_decision text, p_by text, p_why text default null
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz;
    v_message messaging.outbox;
    v_reason text;
begin
    perform messaging.require(
        p_decision in ('resend', 'consider_sent', 'drop'), 'a decision is resend, consider_sent or drop'
    );
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a decision says who decides');
    perform from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    v_now := messaging.clock();
    select o.* into v_message
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;
    if v_message.id is null then
        raise exception using errcode = 'WP002', message = 'there is no message with this id';
    elsif v_message.dispatch_state <> 'unknown' then
        raise exception using
            errcode = 'WP004', message = format('message %s is not uncertain any more: it is %s', p_message_id, v_message.dispatch_state);
    elsif p_decision = 'resend' and messaging.waits_at_provider(p_message_id) then
        raise exception using
            errcode = 'WP004', message = 'it waits in the provider''s queue and will go by itself: drop it there, or wait until it has left';
    end if;

    insert into messaging.decisions (message_id, decision, decided_by, decided_at, why)
    values (p_message_id, p_decision, btrim(p_by), v_now, nullif(btrim(left(p_why, 500)), ''));
    v_reason := format('%s decided: %s', btrim(p_by), p_decision) || coalesce(' (' || nullif(btrim(left(p_why, 200)), '') || ')', '');

    if p_decision = 'resend' then
        -- The same person on the same number. Who asks for it now means now: it gets the whole time that its purpose has. The rules for writing to
        -- this person hold as for any other message.
        update messaging.outbox as o
        set
            not_before = v_now,
            expires_at = greatest(o.expires_at, v_now + p.expires_after)
        from messaging.purposes as p
        where o.id = p_message_id and p.purpose = o.purpose;
    end if;
    perform messaging.move(
        p_message_id,
        case p_decision when 'resend' then 'queued' when 'consider_sent' then 'accepted' else 'withdrawn' end,
        'decide_unknown', v_reason
    );
    perform messaging.wake(v_message.instance_id);
    return (select o.dispatch_state from messaging.outbox as o where o.id = p_message_id);
end
$$;
comment on function messaging.decide_unknown(bigint, text, text, text) is
'unknown -> queued (resend: one new attempt, same number, same person), accepted (consider_sent, with its effect) or withdrawn (drop), and the decision as a
row. WP002: no such message; WP004: it is not unknown any more, or to be resent while the provider still has it. Returns where it stands now.';

create function messaging.presumed(p_message_id bigint) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when bool_or(e.says = 'sent') then null
        -- What waited and was taken out of the queue since does not wait any more.
        when max(e.id) filter (where e.says = 'waiting')
            > coalesce(max(e.id) filter (where e.source = 'provider_queue' and e.says = 'not_sent'), 0) then null
        when bool_or(e.says = 'not_sent') then 'not_sent'
    end
    from messaging.evidence as e
    where
        e.message_id = p_message_id
        and e.attempt_id = (
            select max(a.id) from messaging.attempts as a where a.message_id = p_message_id and a.outcome = 'unknown'
        )
$$;
comment on function messaging.presumed(bigint) is
'not_sent where all evidence on an unknown message''s last attempt speaks for that; null where none does, or it contradicts itself. What speaks for sent
settles the message, so that it is not unknown any more.';

create function messaging.evidence_of(p_message_id bigint) returns jsonb
language sql stable security definer set search_path = ''
as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'source', e.source, 'says', e.says, 'happened_at', e.happened_at, 'seen_at', e.seen_at, 'detail', e.detail
            ) order by e.id
        ), '[]'
    )
    from messaging.evidence as e
    where e.message_id = p_message_id
$$;
comment on function messaging.evidence_of(bigint) is 'All evidence on a message as a JSON array, oldest first.';

create function messaging.unknown_messages(p_limit integer default 100)
returns table (
    message_id bigint, agency_id uuid, instance_id uuid, instance_name text, purpose text, phone_tail text, text_preview text,
    on_unknown text, unknown_since timestamptz, expires_at timestamptz, presumed text, evidence jsonb
)
language sql stable security definer set search_path = ''
as $$
    select
        o.id, o.agency_id, o.instance_id, i.name, o.purpose, right(o.phone, 4),
        left(coalesce(o.content ->> 'text', o.facts ->> 'text', o.content ->> 'kind'), 80),
        o.on_unknown, o.changed_at, o.expires_at, messaging.presumed(o.id), messaging.evidence_of(o.id)
    from messaging.outbox as o
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    where o.dispatch_state = 'unknown'
    order by o.changed_at, o.id
    limit p_limit
$$;
comment on function messaging.unknown_messages(integer) is
'The messages of which we cannot tell whether they were sent, those first that have waited longest, with the evidence on each; no phone in full.';

-- Evidence and decisions join what is told of a message.
select roleta_migrations.remember_function('0064.decisions', 'messaging.explain(bigint)');
create or replace function messaging.explain(p_message_id bigint) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
    v_instance public.whatsapp_instances;
    v_control messaging.control;
    v_because text;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id;
    if v_message.id is null then
        raise exception using errcode = 'WP002', message = 'there is no message with this id';
    end if;
    select i.* into v_instance from public.whatsapp_instances as i where i.id = v_message.instance_id;
    select c.* into v_control from messaging.control as c;

    v_because := case
        when v_message.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn') then v_message.reason
        when v_message.dispatch_state = 'unknown'
            then 'we cannot tell whether it was sent' || case
                when messaging.waits_at_provider(p_message_id) then ': it waits in the provider''s queue'
                when messaging.presumed(p_message_id) = 'not_sent' then ', presumably not'
                else ''
            end || case v_message.on_unknown
                when 'drop' then '; without further evidence it is let go at its end'
                when 'resend_once' then '; after recorded silence it is sent again, once'
                else '; it is never sent again by itself: a person decides'
            end
        when v_message.dispatch_state = 'sending' then 'it is at the provider now'
        when v_message.dispatch_state = 'leased' then 'a worker has taken it and is about to begin'
        when v_control.paused_at is not null
            then 'everything is paused by ' || v_control.paused_by || coalesce(': ' || v_control.paused_why, '')
        when v_instance.halted_reason is not null
            then format('the provider refuses the number %s: %s', v_instance.name, v_instance.halted_reason)
        when v_instance.status <> 'active' then format('the number %s is %s', v_instance.name, v_instance.status)
        when v_message.dispatch_state = 'held' then v_message.reason
        when v_message.not_before > messaging.clock() then coalesce(v_message.reason, 'its time has not come')
        else 'it waits for its turn at the pace of ' || v_instance.name
    end;

    return jsonb_build_object(
        'message_id', v_message.id,
        'dispatch_state', v_message.dispatch_state,
        'delivery_state', v_message.delivery_state,
        'delivery_error', v_message.delivery_error,
        'because', v_because,
        'purpose', v_message.purpose,
        'lane', v_message.lane,
        'instance_name', v_instance.name,
        'phone', '…' || right(v_message.phone, 4),
        'not_before', v_message.not_before,
        'expires_at', v_message.expires_at,
        'expected_at', messaging.forecast(p_message_id),
        'enqueued_by', v_message.enqueued_by,
        'run_id', v_message.run_id,
        'history', (
            select jsonb_agg(jsonb_build_object(
                'at', h.happened_at, 'from', h.from_state, 'to', h.to_state, 'by', h.changed_by, 'reason', h.reason
            ) order by h.id)
            from messaging.history as h
            where h.message_id = p_message_id
        ),
        'attempts', (
            select jsonb_agg(jsonb_build_object(
                'begun_at', a.begun_at, 'ended_at', a.ended_at, 'outcome', a.outcome,
                'http_status', a.http_status, 'detail', a.detail, 'worker', a.worker
            ) order by a.id)
            from messaging.attempts as a
            where a.message_id = p_message_id
        ),
        'receipts', (
            select jsonb_agg(jsonb_build_object(
                'receipt', r.receipt, 'at', r.happened_at, 'received_at', r.received_at, 'error', r.error
            ) order by r.id)
            from messaging.receipts as r
            where r.message_id = p_message_id
        ),
        'evidence', messaging.evidence_of(p_message_id),
        'decisions', (
            select jsonb_agg(jsonb_build_object(
                'at', d.decided_at, 'decision', d.decision, 'by', d.decided_by, 'why', d.why
            ) order by d.id)
            from messaging.decisions as d
            where d.message_id = p_message_id
        )
    );
end
$$;
-- What was decided counts, in place of the provider's id, and in place of the move that a decision made.
create or replace view audit.accepted_without_provider_id with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
where
    o.dispatch_state = 'accepted'
    and not exists (
        select from messaging.attempts as a where a.message_id = o.id and a.provider_message_id is not null
    )
    and not exists (
        select from messaging.decisions as d where d.message_id = o.id and d.decision = 'consider_sent'
    );
comment on view audit.accepted_without_provider_id is
'I1: accepted, and no attempt bears the provider''s id, nor did anybody decide to consider it sent.';

create or replace view audit.handed_over_twice with (security_invoker = true) as
select
    a.message_id,
    count(*) as hand_overs
from messaging.attempts as a
where a.outcome in ('accepted', 'unknown')
group by a.message_id
having
    count(*) > 1 + (
        select count(*) from messaging.decisions as d where d.message_id = a.message_id and d.decision = 'resend'
    );
comment on view audit.handed_over_twice is
'I3: more hand-overs that may have arrived than one, plus one for each recorded decision to send again.';

create view audit.undecided_resend with (security_invoker = true) as
select h.message_id
from messaging.history as h
where h.from_state = 'unknown' and h.to_state = 'queued'
group by h.message_id
having
    count(*) <> (
        select count(*) from messaging.decisions as d where d.message_id = h.message_id and d.decision = 'resend'
    )
    or (
        select count(*) from messaging.decisions as d
        where d.message_id = h.message_id and d.decision = 'resend' and d.decided_by = 'reconcile'
    ) > 1;
comment on view audit.undecided_resend is
'An unknown message that went back to its queue without a recorded decision, or that the rule resend_once sent again more than once.';
revoke all on table audit.undecided_resend from public, anon, authenticated, service_role;

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
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('waits_at_provider', 'decide_unknown', 'presumed', 'evidence_of', 'unknown_messages')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text ~ 'decide_unknown|unknown_messages' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
