set local lock_timeout = '5s';

do $$
declare
    v_view text;
    v_parts text[] := '{}';
begin
    for v_view in
        select c.relname from pg_catalog.pg_class as c
        where
            c.relnamespace = 'audit'::regnamespace and c.relkind = 'v'
            and c.relname not in ('findings', 'sent_and_goes_again')
        order by c.relname
    loop
        v_parts := v_parts || format(
            'select %L::text as finding, to_jsonb(f) as evidence from audit.%I as f', v_view, v_view
        );
    end loop;
    execute 'create or replace view audit.findings with (security_invoker = true) as ' || array_to_string(v_parts, ' union all ');
end
$$;
drop view audit.sent_and_goes_again;

select roleta_migrations.drop_created('0079.proof');
drop function messaging.sent_attempt(bigint);
