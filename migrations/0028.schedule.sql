-- What runs by itself: one row per function and slot, taken by whichever worker comes first.
-- Locks: none on any table that was there before.
-- depends: 0027.effects

set local lock_timeout = '5s';

create table messaging.schedules (
    function_name text primary key,
    first_seen_at timestamptz not null
);
comment on table messaging.schedules is 'Every function that has a schedule. Its times are in supabase.toml, not here.';
comment on column messaging.schedules.first_seen_at is 'Slots until then belong to whatever ran before us, and are not run.';

create table messaging.schedule_runs (
    function_name text not null references messaging.schedules (function_name),
    slot timestamptz not null,
    worker text not null,
    lease_token uuid not null,
    leased_until timestamptz not null,
    taken_count integer not null default 1,
    started_at timestamptz not null,
    finished_at timestamptz,
    answer jsonb,
    error text,
    primary key (function_name, slot)
);
comment on table messaging.schedule_runs is 'One row per function and slot, once some worker took it; kept for 90 days.';
comment on column messaging.schedule_runs.slot is 'The moment the schedule names, whatever the moment of the run.';
comment on column messaging.schedule_runs.started_at is 'When it was last taken.';
comment on column messaging.schedule_runs.finished_at is 'When it was over: well (error is null), or failed for the last time.';
comment on column messaging.schedule_runs.error is 'How the last try failed; it is tried again when its lease ends.';

alter table messaging.schedules enable row level security;
alter table messaging.schedule_runs enable row level security;
revoke all on table messaging.schedules from public, anon, authenticated, service_role;
revoke all on table messaging.schedule_runs from public, anon, authenticated, service_role;

create function messaging.see_schedules(p_functions text[])
returns table (seen_at timestamptz, new_functions integer)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
    seen_at := messaging.clock();
    -- In order: two workers that start together would otherwise wait for each other. Without a write where all are known.
    insert into messaging.schedules (function_name, first_seen_at)
    select distinct
        f.name, seen_at
    from unnest(p_functions) as f (name)
    where f.name <> '' and not exists (select from messaging.schedules as s where s.function_name = f.name)
    order by f.name
    on conflict (function_name) do nothing;
    get diagnostics new_functions = row_count;
    return next;
end
$$;
comment on function messaging.see_schedules(text[]) is
'Notes functions that have a schedule (how many were new), and says what time it is. What was due before a function was first seen is not run.';

create function messaging.take_run(p_function text, p_slot timestamptz, p_worker text, p_lease_s double precision default 600)
returns table (run_id text, lease_token uuid)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_schedule messaging.schedules;
    v_run messaging.schedule_runs;
begin
    perform messaging.require(coalesce(btrim(p_function), '') <> '', 'a run names its function');
    perform messaging.require(coalesce(btrim(p_worker), '') <> '', 'a run names its worker');
    perform messaging.require(p_lease_s > 0 and p_lease_s <= 86400, 'a lease is between 0 and 86400 seconds');
    perform messaging.require(p_slot <= v_now, 'a slot is taken when it has come');
    -- Most ask for what another worker has in hand or has done: they are told without a lock.
    if exists (
        select from messaging.schedule_runs as r
        where r.function_name = p_function and r.slot = p_slot and (r.finished_at is not null or r.leased_until > v_now)
    ) then
        return;
    end if;

    perform messaging.see_schedules(array[p_function]);
    select s.* into v_schedule from messaging.schedules as s where s.function_name = p_function for no key update;
    -- A missed slot is made up for once, and only while it still means today; an older one than was run, never.
    if p_slot <= v_schedule.first_seen_at
        or p_slot <= v_now - interval '24 hours'
        or exists (select from messaging.schedule_runs as r where r.function_name = p_function and r.slot > p_slot)
    then
        return;
    end if;
    -- A slot beside another one that still runs is allowed: a worker that died must not silence the next slots for as
    -- long as its lease, and what both would enqueue has one dedupe key.
    select r.* into v_run from messaging.schedule_runs as r where r.function_name = p_function and r.slot = p_slot;
    if v_run.slot is null then
        insert into messaging.schedule_runs (function_name, slot, worker, lease_token, leased_until, started_at)
        values (p_function, p_slot, p_worker, gen_random_uuid(), v_now + make_interval(secs => p_lease_s), v_now)
        returning schedule_runs.lease_token into lease_token;
        delete from messaging.schedule_runs as r
        where r.function_name = p_function and r.slot < v_now - interval '90 days';
    elsif v_run.finished_at is null and v_run.leased_until <= v_now and v_run.taken_count < 3 then
        update messaging.schedule_runs as r
        set
            worker = p_worker, lease_token = gen_random_uuid(), leased_until = v_now + make_interval(secs => p_lease_s),
            taken_count = r.taken_count + 1, started_at = v_now, error = null
        where r.function_name = p_function and r.slot = p_slot
        returning r.lease_token into lease_token;
    else
        return;
    end if;
    run_id := p_function || ':' || to_char(p_slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"');
    return next;
end
$$;
comment on function messaging.take_run(text, timestamptz, text, double precision) is
'One row if this worker may run the slot: a new one, or one whose lease ran out unfinished, up to three times. None for a slot
before the function was first seen, older than a day, or older than one that was taken.';

create function messaging.finish_run(
    p_function text, p_slot timestamptz, p_token uuid, p_answer jsonb default null, p_error text default null
)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    update messaging.schedule_runs as r
    set
        answer = p_answer,
        error = p_error,
        -- What failed stays open until its lease ends, and is then taken again; the third time is the last.
        finished_at = case when p_error is null or r.taken_count >= 3 then v_now end
    where r.function_name = p_function and r.slot = p_slot and r.lease_token = p_token and r.finished_at is null;
    return found;
end
$$;
comment on function messaging.finish_run(text, timestamptz, uuid, jsonb, text) is
'How the run ended: with an answer, or with an error. False: another worker has taken it since, or it was over already.';

create function messaging.recent_runs(p_limit integer default 1)
returns table (
    function_name text, first_seen_at timestamptz, run_id text, slot_at timestamptz, worker text, taken_count integer,
    started_at timestamptz, finished_at timestamptz, answer jsonb, error text, run_state text
)
language sql stable security definer set search_path = ''
as $$
    select
        s.function_name, s.first_seen_at,
        s.function_name || ':' || to_char(r.slot at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'),
        r.slot, r.worker, r.taken_count, r.started_at, r.finished_at, r.answer, r.error,
        case
            when r.slot is null then 'never'
            when r.finished_at is not null and r.error is null then 'done'
            when r.finished_at is not null then 'failed'
            when r.leased_until > messaging.clock() and r.error is null then 'running'
            when exists (
                select from messaging.schedule_runs as n where n.function_name = r.function_name and n.slot > r.slot
            ) then 'overtaken'
            when r.taken_count >= 3 and r.leased_until <= messaging.clock() then 'failed'
            else 'waiting'
        end
    from messaging.schedules as s
    left join lateral (
        select l.* from messaging.schedule_runs as l
        where l.function_name = s.function_name
        order by l.slot desc
        limit p_limit
    ) as r on true
    order by s.function_name, r.slot desc
$$;
comment on function messaging.recent_runs(integer) is
'The latest runs of each function, newest first. run_state: running, done, waiting (to be tried again), overtaken (by a newer
slot, before it was tried again), failed (three times, or died three times), never (it has not run yet).';

revoke execute on function messaging.see_schedules(text[]) from public, anon, authenticated, service_role;
revoke execute on function messaging.take_run(text, timestamptz, text, double precision) from public, anon, authenticated, service_role;
revoke execute on function messaging.finish_run(text, timestamptz, uuid, jsonb, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.recent_runs(integer) from public, anon, authenticated, service_role;
grant execute on function messaging.see_schedules(text[]) to service_role;
grant execute on function messaging.take_run(text, timestamptz, text, double precision) to service_role;
grant execute on function messaging.finish_run(text, timestamptz, uuid, jsonb, text) to service_role;
grant execute on function messaging.recent_runs(integer) to service_role;
