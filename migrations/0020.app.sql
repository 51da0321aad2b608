-- The columns of the app's tables that the functions read and write, where an adopted project lacks them, and a few that are new.
-- Locks: ACCESS EXCLUSIVE on each adopted table that lacks a column, for the time of adding it; every default is a constant, so no rewrite. SHARE on
-- profiles and sessions while three indexes are built, only where those tables are ours.
-- depends: 0019.audit

set local lock_timeout = '5s';

-- What the original's tables have (0002.baseline).
select roleta_migrations.ensure_column('0020.app', 'public.' || c.owner, c.name, c.definition)
from (values
    ('sessions', 'session_type', 'text'),
    ('sessions', 'duration_minutes', 'integer not null default 45'),
    ('sessions', 'status', $$text not null default 'scheduled'$$),
    ('sessions', 'started_at', 'timestamptz'),
    ('sessions', 'ended_at', 'timestamptz'),
    ('sessions', 'focus_topic', 'text'),
    ('sessions', 'session_summary', 'text'),
    ('sessions', 'key_insights', 'jsonb'),
    ('sessions', 'commitments', 'jsonb'),
    ('sessions', 'reminder_24h_sent', 'boolean not null default false'),
    ('sessions', 'reminder_1h_sent', 'boolean not null default false'),
    ('sessions', 'reminder_15m_sent', 'boolean not null default false'),
    ('sessions', 'confirmation_requested', 'boolean not null default false'),
    ('sessions', 'user_confirmed', 'boolean'),
    ('sessions', 'session_start_notified', 'boolean not null default false'),
    ('sessions', 'post_session_sent', 'boolean not null default false'),
    ('sessions', 'rating_requested', 'boolean not null default false'),
    ('sessions', 'audio_sent_count', 'integer not null default 0'),
    ('sessions', 'waiting_for_scheduled_time', 'boolean not null default false'),
    ('sessions', 'created_at', 'timestamptz not null default now()'),
    ('content_journeys', 'description', 'text'),
    ('content_journeys', 'total_episodes', 'integer not null default 8'),
    ('content_journeys', 'next_journey_id', 'text'),
    ('content_journeys', 'is_active', 'boolean not null default true'),
    ('content_journeys', 'created_at', 'timestamptz not null default now()'),
    ('journey_episodes', 'stage_title', 'text'),
    ('journey_episodes', 'essay', 'text'),
    ('journey_episodes', 'hook_to_next', 'text'),
    ('journey_episodes', 'created_at', 'timestamptz not null default now()'),
    ('profiles', 'onboarding_completed', 'boolean not null default false'),
    ('profiles', 'sessions_used_this_month', 'integer not null default 0'),
    ('profiles', 'sessions_reset_date', 'date'),
    ('profiles', 'messages_today', 'integer not null default 0'),
    ('profiles', 'last_message_date', 'date'),
    ('profiles', 'upgrade_suggested_at', 'timestamptz'),
    ('profiles', 'preferred_session_time', 'text'),
    ('profiles', 'current_session_id', 'uuid'),
    ('profiles', 'needs_schedule_setup', 'boolean not null default false'),
    ('profiles', 'therapy_experience', 'text'),
    ('profiles', 'main_challenges', 'text[]'),
    ('profiles', 'expectations', 'text'),
    ('profiles', 'preferred_support_style', 'text'),
    ('profiles', 'primary_topic', 'text'),
    ('profiles', 'current_journey_id', 'text'),
    ('profiles', 'current_episode', 'integer not null default 0'),
    ('profiles', 'journeys_completed', 'integer not null default 0'),
    ('profiles', 'last_content_sent_at', 'timestamptz'),
    ('profiles', 'last_reactivation_sent', 'timestamptz'),
    ('messages', 'created_at', 'timestamptz not null default now()'),
    ('checkins', 'notes', 'text'),
    ('checkins', 'created_at', 'timestamptz not null default now()'),
    ('weekly_plans', 'goals', 'jsonb'),
    ('weekly_plans', 'reflections', 'text'),
    ('weekly_plans', 'created_at', 'timestamptz not null default now()'),
    ('commitments', 'description', 'text'),
    ('commitments', 'due_date', 'timestamptz'),
    ('commitments', 'reminder_sent', 'boolean not null default false'),
    ('commitments', 'completed', 'boolean not null default false'),
    ('commitments', 'commitment_status', $$text not null default 'pending'$$),
    ('commitments', 'follow_up_count', 'integer not null default 0'),
    ('commitments', 'created_at', 'timestamptz not null default now()'),
    ('session_ratings', 'created_at', 'timestamptz not null default now()'),
    ('conversation_followups', 'followup_count', 'integer not null default 0'),
    ('conversation_followups', 'last_user_message_at', 'timestamptz'),
    ('conversation_followups', 'last_followup_at', 'timestamptz'),
    ('conversation_followups', 'conversation_context', 'text'),
    ('conversation_followups', 'created_at', 'timestamptz not null default now()'),
    ('aura_response_state', 'is_responding', 'boolean not null default false'),
    ('aura_response_state', 'response_started_at', 'timestamptz'),
    ('aura_response_state', 'last_user_message_id', 'text'),
    ('aura_response_state', 'pending_content', 'text'),
    ('aura_response_state', 'pending_context', 'text'),
    ('meditations', 'duration_seconds', 'integer'),
    ('meditations', 'script', 'text'),
    ('meditations', 'is_active', 'boolean not null default true'),
    ('meditations', 'created_at', 'timestamptz not null default now()'),
    ('meditation_audios', 'duration_seconds', 'integer'),
    ('meditation_audios', 'created_at', 'timestamptz not null default now()'),
    ('user_meditation_history', 'sent_at', 'timestamptz not null default now()'),
    ('user_meditation_history', 'context', 'text'),
    ('plan_configs', 'sessions_per_month', 'integer not null default 0'),
    ('plan_configs', 'session_duration_minutes', 'integer not null default 45')
) as c (owner, name, definition);

-- What no version of the original has, or only a later one: when something was last said, and where a conversation was closed.
select roleta_migrations.ensure_column('0020.app', 'public.' || c.owner, c.name, c.definition)
from (values
    ('profiles', 'last_user_message_at', 'timestamptz'),
    ('profiles', 'last_checkin_sent_at', 'timestamptz'),
    ('profiles', 'payment_failed_at', 'timestamptz'),
    ('profiles', 'canceled_at', 'timestamptz'),
    ('profiles', 'schedule_setup_sent_at', 'timestamptz'),
    ('profiles', 'schedule_renewal_sent_at', 'timestamptz'),
    ('profiles', 'trial_limit_sent_at', 'timestamptz'),
    ('profiles', 'stripe_customer_id', 'text'),
    ('commitments', 'last_follow_up_at', 'timestamptz'),
    ('conversation_followups', 'closed_at', 'timestamptz')
) as c (owner, name, definition);

select roleta_migrations.ensure_index(
    '0020.app', 'public.' || c.name, format('create index %I on public.%I %s', c.name, c.owner, c.rest)
)
from (values
    ('profiles', 'profiles_stripe_customer_id', '(stripe_customer_id) where stripe_customer_id is not null'),
    ('sessions', 'sessions_scheduled_at', '(scheduled_at)'),
    ('sessions', 'sessions_ended_at', '(ended_at)')
) as c (owner, name, rest)
where roleta_migrations.is_ours(('public.' || c.owner)::regclass);

-- The plans of the original, where the table is our own and empty.
insert into public.plan_configs (plan, sessions_per_month, session_duration_minutes)
select
    c.plan,
    c.sessions,
    45
from (values ('essencial', 0), ('direcao', 4), ('transformacao', 8)) as c (plan, sessions)
where
    roleta_migrations.is_ours('public.plan_configs'::regclass)
    and not exists (select from public.plan_configs);
