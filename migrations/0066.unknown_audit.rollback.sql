set local lock_timeout = '5s';

-- unknown_looks goes without a guard: what it knew is looked for once more, and told once more.

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where
            c.relnamespace = 'audit'::regnamespace and c.relkind = 'v'
            and c.relname not in ('findings', 'unknown_untold')
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;
drop view audit.unknown_untold;
drop function messaging.tell_unknowns(integer);
drop function messaging.note_withdrawn(bigint);
drop function messaging.take_unknowns(boolean, bigint, integer);
drop table messaging.unknown_looks;
