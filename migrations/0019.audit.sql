-- What must never be: views that return no row. Read after every test, every soak, and by whoever watches.
-- depends: 0018.outlook

set local lock_timeout = '5s';

create schema audit;
revoke all on schema audit from public, anon, authenticated;
grant usage on schema audit to service_role;
comment on schema audit is 'Views that must return no row; audit.findings gathers them.';

create view audit.accepted_without_provider_id with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
where
    o.dispatch_state = 'accepted'
    and not exists (
        select from messaging.attempts as a where a.message_id = o.id and a.provider_message_id is not null
    );
comment on view audit.accepted_without_provider_id is 'I1: accepted, and no attempt bears the provider''s id.';

create view audit.several_paced_in_flight with (security_invoker = true) as
select
    o.instance_id,
    count(*) as in_flight
from messaging.outbox as o
where o.dispatch_state in ('leased', 'sending') and o.lane <> 'reply'
group by o.instance_id
having count(*) > 1;
comment on view audit.several_paced_in_flight is 'I2: two paced messages of one number in flight.';

create view audit.handed_over_twice with (security_invoker = true) as
select
    a.message_id,
    count(*) as hand_overs
from messaging.attempts as a
where a.outcome in ('accepted', 'unknown')
group by a.message_id
having
    count(*) > 1 + (
        select count(*) from messaging.history as h
        where h.message_id = a.message_id and h.from_state = 'unknown' and h.to_state = 'queued'
    );
comment on view audit.handed_over_twice is
'I3: more hand-overs that may have arrived than one, plus one for each recorded decision to send again.';

create view audit.too_close with (security_invoker = true) as
select
    g.instance_id,
    g.message_id,
    g.begun_at,
    g.previous_ended_at,
    g.promised_s
from (
    select
        a.instance_id,
        a.message_id,
        a.begun_at,
        lag(a.ended_at) over w as previous_ended_at,
        -- An attempt that never recorded holds its number by its lease, which ends after the largest gap.
        coalesce(lag(a.gap_s) over w, 0) as promised_s
    from messaging.attempts as a
    where a.lane <> 'reply'
    window w as (partition by a.instance_id order by a.begun_at, a.id)
) as g
where
    g.begun_at < g.previous_ended_at + make_interval(secs => g.promised_s::double precision)
    -- One clock tick of rounding between numeric seconds and timestamps.
    - interval '1 millisecond';
comment on view audit.too_close is
'I4: a paced attempt that began before the gap promised by the one before it was over.';

create view audit.lease_out_of_state with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
where
    (o.dispatch_state in ('leased', 'sending')) <> (o.lease_token is not null)
    or (
        o.dispatch_state = 'sending'
        and not exists (select from messaging.attempts as a where a.message_id = o.id and a.outcome is null)
    )
    or (
        o.dispatch_state <> 'sending'
        and exists (select from messaging.attempts as a where a.message_id = o.id and a.outcome is null)
    );
comment on view audit.lease_out_of_state is
'I5: a lease where there must be none, or none where there must be one; an open attempt not sending, or the reverse.';

create view audit.seats_miscounted with (security_invoker = true) as
select
    i.id as instance_id,
    i.current_users,
    count(p.id) as people
from public.whatsapp_instances as i
left join public.profiles as p on i.id = p.whatsapp_instance_id
group by i.id, i.current_users
having i.current_users <> count(p.id);
comment on view audit.seats_miscounted is 'I6: the counter is not the number of bound profiles.';

create view audit.illegal_history with (security_invoker = true) as
select
    h.message_id,
    h.id as history_id,
    h.from_state,
    h.to_state
from (
    select
        x.*,
        lag(x.to_state) over (partition by x.message_id order by x.id) as before_state
    from messaging.history as x
) as h
where
    h.from_state is distinct from h.before_state
    or not exists (
        select from messaging.transitions as t
        where t.from_state is not distinct from h.from_state and t.to_state = h.to_state
    );
comment on view audit.illegal_history is 'I7: a history that is not a legal path.';

create view audit.state_without_history with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
left join lateral (
    select
        h.to_state,
        h.happened_at
    from messaging.history as h
    where h.message_id = o.id
    order by h.id desc
    limit 1
) as l on true
where l.to_state is distinct from o.dispatch_state or l.happened_at is distinct from o.changed_at;
comment on view audit.state_without_history is 'I13: a state that its last history row does not tell.';

create view audit.delivery_behind_receipts with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
inner join messaging.receipts as r on o.id = r.message_id
group by o.id, o.delivery_state
having max(messaging.delivery_rank(r.receipt)) <> messaging.delivery_rank(o.delivery_state);
comment on view audit.delivery_behind_receipts is
'I8: a delivery state that is not the furthest of its receipts, so that it went back or was not applied.';

create view audit.receipt_not_applied with (security_invoker = true) as
select r.id as receipt_id
from messaging.receipts as r
inner join messaging.attempts as a
    on r.instance_id = a.instance_id and r.provider_message_id = a.provider_message_id
where r.message_id is null;
comment on view audit.receipt_not_applied is 'A receipt whose id is ours and that no message has seen.';

create view audit.tenants_mixed with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
inner join public.whatsapp_instances as i on o.instance_id = i.id
where o.agency_id is distinct from i.agency_id;
comment on view audit.tenants_mixed is 'I10: a message and its number belong to different tenants.';

create view audit.pool_out_of_step with (security_invoker = true) as
select
    i.id as instance_id,
    'slot' as what
from public.whatsapp_instances as i
full join messaging.pool_slots as p on i.id = p.instance_id
where (p.slot is not null) <> (i.in_pool and i.agency_id is null)
union all
select
    null::uuid as instance_id,
    'hole' as what
from messaging.pool_slots as p
having coalesce(max(p.slot), 0) <> count(*)
union all
select
    i.id as instance_id,
    'sender' as what
from public.whatsapp_instances as i
where not exists (select from messaging.senders as s where s.instance_id = i.id);
comment on view audit.pool_out_of_step is 'A pool number without its slot or sender, a slot too many, or a hole in the slots.';

create view audit.forgotten_senders with (security_invoker = true) as
select s.instance_id
from messaging.senders as s
inner join public.whatsapp_instances as i on s.instance_id = i.id
where
    s.ready_at is null and i.status = 'active' and i.halted_reason is null
    and exists (
        select from messaging.outbox as o where o.instance_id = s.instance_id and o.dispatch_state = 'queued'
    );
comment on view audit.forgotten_senders is 'A number that could send, has a queue, and would never be looked at.';

create view audit.settled_but_held with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
where
    o.dispatch_state = 'held'
    and not exists (
        select from messaging.outbox as u
        where u.dispatch_state = 'unknown' and 'message ' || u.id = o.held_by
    );
comment on view audit.settled_but_held is 'A held message whose blocker is settled.';

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where c.relnamespace = 'audit'::regnamespace and c.relkind = 'v'
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
    execute 'comment on view audit.findings is ''Every finding of every audit view; empty, or something is wrong.''';
    execute 'revoke all on all tables in schema audit from public, anon, authenticated, service_role';
end
$$;

create function messaging.audit_findings(p_limit integer default 100)
returns table (finding text, evidence jsonb)
language sql stable security definer set search_path = ''
as $$
    select f.finding, f.evidence from audit.findings as f limit p_limit
$$;
revoke execute on function messaging.audit_findings(integer) from public, anon, authenticated;
grant execute on function messaging.audit_findings(integer) to service_role;
comment on function messaging.audit_findings(integer) is 'The audit views'' findings for a caller without rights on the tables: none, or something is wrong.';
