-- A cancel can tell a name that was mistyped from one of which nothing waits any more.
-- Locks: none; functions only.
-- depends: 0084.return_notes

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0085.cancel_aims', 'messaging.has_enqueued(text)');
create function messaging.has_enqueued(p_enqueued_by text) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (select from messaging.outbox as o where o.enqueued_by = p_enqueued_by)
$$;
comment on function messaging.has_enqueued(text) is
'Whether anything was ever enqueued under this name. Reads the whole outbox where nothing was: for a person''s question, not for a loop.';

select roleta_migrations.remember_function('0085.cancel_aims', 'messaging.is_run(text)');
create function messaging.is_run(p_run_id text) returns boolean
language sql stable security definer set search_path = ''
as $$
    select
        exists (select from messaging.outbox as o where o.run_id = p_run_id)
        or exists (
            select from messaging.schedule_runs as r
            where
                r.function_name = split_part(p_run_id, ':', 1)
                and r.function_name || ':' || to_char(r.slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') = p_run_id
        )
$$;
comment on function messaging.is_run(text) is 'Whether a run of this name enqueued anything, or is one of the scheduler''s.';

revoke execute on function messaging.has_enqueued(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.is_run(text) from public, anon, authenticated, service_role;
grant execute on function messaging.has_enqueued(text) to service_role;
grant execute on function messaging.is_run(text) to service_role;
