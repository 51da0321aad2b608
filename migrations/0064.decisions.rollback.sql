set local lock_timeout = '5s';

-- Who decided what of an unknown message is what keeps it from a third attempt.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.decisions holds %s rows' as what, count(*) as amount from messaging.decisions
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where
            c.relnamespace = 'audit'::regnamespace and c.relkind = 'v'
            and c.relname not in ('findings', 'undecided_resend')
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;
drop view audit.undecided_resend;
create or replace view audit.accepted_without_provider_id with (security_invoker = true) as
select o.id as message_id
from messaging.outbox as o
where
    o.dispatch_state = 'accepted'
    and not exists (
        select from messaging.attempts as a where a.message_id = o.id and a.provider_message_id is not null
    );
comment on view audit.accepted_without_provider_id is 'I1: accepted, and no attempt bears the provider''s id.';

create or replace view audit.handed_over_twice with (security_invoker = true) as
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

select roleta_migrations.drop_created('0064.decisions');
drop function messaging.unknown_messages(integer);
drop function messaging.evidence_of(bigint);
drop function messaging.presumed(bigint);
drop function messaging.decide_unknown(bigint, text, text, text);
drop function messaging.waits_at_provider(bigint);
drop table messaging.decisions;
