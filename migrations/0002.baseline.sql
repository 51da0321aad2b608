-- The app's tables around the pool, created only where missing; an adopted profiles gets the columns that we need.
-- Locks: ACCESS EXCLUSIVE on an adopted profiles while missing columns are added; no rewrite unless it lacks id or user_id.
-- depends: 0001.adoption

set local lock_timeout = '5s';

-- Who belongs to whom is told by user_id, which is profiles.user_id and need not be a login.

select roleta_migrations.remember_function('0002.baseline', 'public.touch_updated_at()');

do $migration$
declare
    v_table text;
    v_columns text;
begin
    if to_regprocedure('public.touch_updated_at()') is null then
        create function public.touch_updated_at() returns trigger
        language plpgsql set search_path = ''
        as $body$
        begin
            new.updated_at := pg_catalog.now();
            return new;
        end
        $body$;
        comment on function public.touch_updated_at() is 'Trigger: a changed row carries the time of its change.';
        revoke all on function public.touch_updated_at() from public, anon, authenticated, service_role;
    end if;

    for v_table, v_columns in values
    ('public.sessions', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        session_type text check (session_type in ('clareza', 'padroes', 'proposito', 'livre')),
        scheduled_at timestamptz not null,
        duration_minutes integer not null default 45 check (duration_minutes > 0),
        status text not null default 'scheduled'
            check (status in ('scheduled', 'in_progress', 'completed', 'cancelled', 'no_show')),
        started_at timestamptz,
        ended_at timestamptz,
        focus_topic text,
        session_summary text,
        key_insights jsonb,
        commitments jsonb,
        reminder_24h_sent boolean not null default false,
        reminder_1h_sent boolean not null default false,
        reminder_15m_sent boolean not null default false,
        confirmation_requested boolean not null default false,
        user_confirmed boolean,
        session_start_notified boolean not null default false,
        post_session_sent boolean not null default false,
        rating_requested boolean not null default false,
        audio_sent_count integer not null default 0,
        waiting_for_scheduled_time boolean not null default false,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.content_journeys', $ddl$
        id text primary key,
        topic text not null,
        title text not null,
        description text,
        total_episodes integer not null default 8 check (total_episodes > 0),
        next_journey_id text references public.content_journeys (id),
        is_active boolean not null default true,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.journey_episodes', $ddl$
        id uuid primary key default gen_random_uuid(),
        journey_id text not null references public.content_journeys (id),
        episode_number integer not null check (episode_number > 0),
        title text not null,
        stage_title text,
        essay text,
        hook_to_next text,
        created_at timestamptz not null default now(),
        unique (journey_id, episode_number)
    $ddl$),
    ('public.profiles', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null unique,
        name text,
        phone text constraint profiles_phone_unique unique,
        email text,
        plan text default 'essencial',
        status text not null default 'active',
        onboarding_completed boolean not null default false,
        sessions_used_this_month integer not null default 0,
        sessions_reset_date date,
        messages_today integer not null default 0,
        last_message_date date,
        upgrade_suggested_at timestamptz,
        preferred_session_time text,
        current_session_id uuid references public.sessions (id),
        needs_schedule_setup boolean not null default false,
        therapy_experience text,
        main_challenges text[],
        expectations text,
        preferred_support_style text,
        primary_topic text,
        current_journey_id text references public.content_journeys (id),
        current_episode integer not null default 0,
        journeys_completed integer not null default 0,
        last_content_sent_at timestamptz,
        last_reactivation_sent timestamptz,
        trial_started_at timestamptz,
        trial_conversations_count integer not null default 0,
        do_not_disturb_until timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.messages', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        role text not null check (role in ('user', 'assistant')),
        content text not null,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.checkins', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        mood integer check (mood between 1 and 5),
        energy integer check (energy between 1 and 5),
        notes text,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.weekly_plans', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        week_start date not null,
        goals jsonb,
        reflections text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        unique (user_id, week_start)
    $ddl$),
    ('public.commitments', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        title text not null,
        description text,
        due_date timestamptz,
        reminder_sent boolean not null default false,
        completed boolean not null default false,
        session_id uuid references public.sessions (id),
        commitment_status text not null default 'pending',
        follow_up_count integer not null default 0,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.session_ratings', $ddl$
        id uuid primary key default gen_random_uuid(),
        session_id uuid not null references public.sessions (id),
        user_id uuid not null,
        rating integer not null check (rating between 1 and 5),
        created_at timestamptz not null default now()
    $ddl$),
    ('public.conversation_followups', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null unique,
        followup_count integer not null default 0,
        last_user_message_at timestamptz,
        last_followup_at timestamptz,
        conversation_context text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.aura_response_state', $ddl$
        user_id uuid primary key,
        is_responding boolean not null default false,
        response_started_at timestamptz,
        last_user_message_id text,
        pending_content text,
        pending_context text,
        updated_at timestamptz not null default now()
    $ddl$),
    ('public.zapi_message_dedup', $ddl$
        message_id text primary key,
        phone text,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.meditations', $ddl$
        id text primary key,
        title text not null,
        category text not null check (category in ('respiracao', 'ansiedade', 'sono', 'estresse', 'foco', 'gratidao')),
        duration_seconds integer,
        script text,
        is_active boolean not null default true,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.meditation_audios', $ddl$
        id uuid primary key default gen_random_uuid(),
        meditation_id text not null references public.meditations (id),
        storage_path text not null,
        public_url text not null,
        duration_seconds integer,
        created_at timestamptz not null default now()
    $ddl$),
    ('public.user_meditation_history', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        meditation_id text not null references public.meditations (id),
        sent_at timestamptz not null default now(),
        context text
    $ddl$),
    ('public.plan_configs', $ddl$
        plan text primary key,
        sessions_per_month integer not null default 0,
        session_duration_minutes integer not null default 45
    $ddl$),
    ('public.user_roles', $ddl$
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null,
        role text not null check (role in ('admin', 'user')),
        unique (user_id, role)
    $ddl$)
    loop
        if roleta_migrations.ensure_table('0002.baseline', v_table, v_columns) then
            execute format('alter table %s enable row level security', v_table);
            execute format('revoke all on table %s from public, anon, authenticated', v_table);
            execute format('grant all on table %s to service_role', v_table);
            if v_columns like '% updated_at %' then
                execute format(
                    'create trigger touch_updated_at before update on %s
                    for each row execute function public.touch_updated_at()', v_table
                );
            end if;
        end if;
    end loop;
end
$migration$;

-- What our functions read and write of a profile, where an adopted table lacks it.
select roleta_migrations.ensure_column('0002.baseline', 'public.profiles', c.name, c.definition)
from (values
    ('id', 'uuid not null default gen_random_uuid() unique'),
    ('user_id', 'uuid not null default gen_random_uuid() unique'),
    ('name', 'text'),
    ('phone', 'text'),
    ('email', 'text'),
    ('plan', $$text default 'essencial'$$),
    ('status', $$text not null default 'active'$$),
    ('trial_started_at', 'timestamptz'),
    ('trial_conversations_count', 'integer not null default 0'),
    ('do_not_disturb_until', 'timestamptz'),
    ('created_at', 'timestamptz not null default now()'),
    ('updated_at', 'timestamptz not null default now()')
) as c (name, definition);

-- Indexes for tables of our own; whether an adopted table wants another one is its owner's matter.
select roleta_migrations.ensure_index(
    '0002.baseline', 'public.' || c.name, format('create %s %I on public.%I %s', c.kind, c.name, c.owner, c.rest)
)
from (values
    ('sessions', 'index', 'sessions_user_id', '(user_id, scheduled_at)'),
    ('sessions', 'unique index', 'sessions_one_open_at_a_time',
     $$(user_id, scheduled_at) where status in ('scheduled', 'in_progress')$$),
    ('messages', 'index', 'messages_user_id', '(user_id, created_at)'),
    ('checkins', 'index', 'checkins_user_id', '(user_id, created_at)'),
    ('commitments', 'index', 'commitments_user_id', '(user_id)'),
    ('commitments', 'index', 'commitments_due_date', '(due_date) where not completed and not reminder_sent'),
    ('session_ratings', 'index', 'session_ratings_session_id', '(session_id)'),
    ('user_meditation_history', 'index', 'user_meditation_history_user_id', '(user_id, sent_at)')
) as c (owner, kind, name, rest)
where roleta_migrations.is_ours(('public.' || c.owner)::regclass);
