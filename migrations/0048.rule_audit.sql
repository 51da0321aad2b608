-- Two more things that must never be: written to in the night, or after a stop.
-- Locks: none; views only.
-- depends: 0047.forecast

set local lock_timeout = '5s';

create view audit.written_at_night with (security_invoker = true) as
select
    a.message_id,
    a.begun_at
from messaging.attempts as a
inner join messaging.outbox as o on a.message_id = o.id
inner join messaging.purposes as p on o.purpose = p.purpose
where p.quiet_hours and messaging.quiet_until(a.begun_at, o.time_zone) is not null;
comment on view audit.written_at_night is 'A proactive message that was begun in the recipient''s quiet hours.';

create view audit.written_after_opt_out with (security_invoker = true) as
select
    a.message_id,
    a.begun_at,
    x.opted_out_at
from messaging.opt_outs as x
inner join messaging.outbox as o on x.phone_key = o.phone_key and x.agency_id is not distinct from o.agency_id
inner join messaging.purposes as p on o.purpose = p.purpose
inner join messaging.attempts as a on o.id = a.message_id
where p.opt_out and a.begun_at > x.opted_out_at and a.begun_at < coalesce(x.opted_in_at, 'infinity');
comment on view audit.written_after_opt_out is 'A proactive message that was begun while the person''s stop was in force.';

revoke all on table audit.written_at_night from public, anon, authenticated, service_role;
revoke all on table audit.written_after_opt_out from public, anon, authenticated, service_role;

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
