-- Whom we ask for their days and times, when they begin and once a month, and what is noted of it (functions 2.15). Texts are Python's.
-- Locks: none; functions only.
-- depends: 0041.journeys

set local lock_timeout = '5s';

create function messaging.people_schedule_setup() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    select
        p.id, p.phone::text, p.name::text, 'schedule_setup', p.id::text, null::timestamptz,
        jsonb_build_object('sessions_per_month', c.sessions_per_month, 'local_date', messaging.local_date(v_now))
    from public.profiles as p
    cross join lateral (
        select max(k.sessions_per_month) as sessions_per_month from public.plan_configs as k where k.plan = p.plan
    ) as c
    where
        p.status = 'active'
        and p.needs_schedule_setup
        and c.sessions_per_month > 0
        -- By days, not hours: the run is at ten, and last time's turn came some minutes later.
        and coalesce(messaging.local_date(p.schedule_setup_sent_at) <= messaging.local_date(v_now) - 3, true)
        and messaging.may_choose('schedule_setup', p.id, p.phone)
    order by p.id;
end
$$;
comment on function messaging.people_schedule_setup() is
'Audience: active people whose plan has sessions and who never said their days and times, every third day (functions 2.15).';

create function messaging.due_schedule_setup(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (
            select from public.profiles as p
            where p.id = p_subject_id::uuid and p.status = 'active' and p.needs_schedule_setup
        ) then 'the person no longer needs to choose days and times'
    end
$$;
comment on function messaging.due_schedule_setup(text) is 'Still due while the profile (the subject) is active and needs its schedule.';

create function messaging.effect_schedule_setup(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_history(p_message_id);
    update public.profiles as p
    set schedule_setup_sent_at = greatest(p.schedule_setup_sent_at, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id;
$$;
comment on function messaging.effect_schedule_setup(bigint) is 'Effect: when the person was last asked, and history.';

create function messaging.books_this_month(p_user_id uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (
        select from public.sessions as s
        where
            s.user_id = p_user_id and s.status = 'scheduled' and s.scheduled_at >= p_now
            and date_trunc('month', messaging.local_date(s.scheduled_at)) = date_trunc('month', messaging.local_date(p_now))
    )
$$;
comment on function messaging.books_this_month(uuid, timestamptz) is
'Whether a session of this person is still to come in the local month of that moment.';

create function messaging.people_schedule_renewal() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_month date := date_trunc('month', messaging.local_date(v_now))::date;
begin
    return query
    select
        p.id, p.phone::text, p.name::text, 'schedule_renewal', p.id::text, null::timestamptz,
        jsonb_build_object('sessions_per_month', c.sessions_per_month, 'month', v_month)
    from public.profiles as p
    cross join lateral (
        select max(k.sessions_per_month) as sessions_per_month from public.plan_configs as k where k.plan = p.plan
    ) as c
    where
        p.status = 'active'
        and c.sessions_per_month > 0
        and not messaging.books_this_month(p.user_id, v_now)
        and coalesce(messaging.local_date(p.schedule_renewal_sent_at) < v_month, true)
        and messaging.may_choose('schedule_renewal', p.id, p.phone)
    order by p.id;
end
$$;
comment on function messaging.people_schedule_renewal() is
'Audience: active people whose plan has sessions, with none to come this local month, once a month (functions 2.15).';

create function messaging.due_schedule_renewal(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (
            select from public.profiles as p
            where
                p.id = p_subject_id::uuid and p.status = 'active'
                and not messaging.books_this_month(p.user_id, messaging.clock())
        ) then 'the person has booked, or is no longer active'
    end
$$;
comment on function messaging.due_schedule_renewal(text) is 'Still due while the profile (the subject) is active and has nothing booked this month.';

create function messaging.effect_schedule_renewal(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.effect_history(p_message_id);
    update public.profiles as p
    set schedule_renewal_sent_at = greatest(p.schedule_renewal_sent_at, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id;
$$;
comment on function messaging.effect_schedule_renewal(bigint) is 'Effect: when the person was last asked about the month, and history.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'people_schedule_setup', 'due_schedule_setup', 'effect_schedule_setup', 'books_this_month', 'people_schedule_renewal',
                'due_schedule_renewal', 'effect_schedule_renewal'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
