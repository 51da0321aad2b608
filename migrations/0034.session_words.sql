-- Around a booked session: who is due for which word now, whether it still is at its turn, and what an accepted word writes.
-- Locks: none; functions only.
-- depends: 0033.sessions

set local lock_timeout = '5s';

create function messaging.people_session_messages() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    with upcoming as (
        select s.* from public.sessions as s
        where
            s.status = 'scheduled'
            and s.started_at is null
            and s.scheduled_at > v_now - interval '15 minutes'
            and s.scheduled_at <= v_now + interval '24 hours'
    ),

    ended as (
        select s.* from public.sessions as s
        where
            s.status = 'completed'
            and s.ended_at <= v_now - interval '5 minutes'
            -- The answer to a rating is read for a day; and an adopted project's past stays silent.
            and s.ended_at > v_now - interval '24 hours'
    ),

    -- One word per session and run: the windows of the reminders do not overlap, and the start is not asked for beside the 15 minutes.
    words (session_id, purpose, expires_at) as (
        select u.id, 'session_24h', null::timestamptz from upcoming as u
        where
            u.reminder_24h_sent is not true
            and u.scheduled_at >= v_now + interval '23 hours'
        union all
        select u.id, 'session_1h', u.scheduled_at - interval '15 minutes' from upcoming as u
        where
            u.reminder_1h_sent is not true
            and u.scheduled_at <= v_now + interval '60 minutes'
            and u.scheduled_at > v_now + interval '15 minutes'
        union all
        select u.id, 'session_15m', u.scheduled_at from upcoming as u
        where
            u.reminder_15m_sent is not true
            and u.scheduled_at <= v_now + interval '15 minutes'
            and u.scheduled_at > v_now
        union all
        select u.id, 'session_start', u.scheduled_at + interval '10 minutes' from upcoming as u
        where
            u.session_start_notified is not true
            and u.scheduled_at <= v_now + interval '3 minutes'
            and u.scheduled_at > v_now - interval '10 minutes'
            and (u.reminder_15m_sent or u.scheduled_at <= v_now)
        union all
        select u.id, 'session_nudge', u.scheduled_at + interval '15 minutes' from upcoming as u
        where
            u.session_start_notified
            and u.scheduled_at <= v_now - interval '10 minutes'
        union all
        select s.id, 'session_missed', null from public.sessions as s
        where
            messaging.session_overdue(s, v_now) = 'session_missed'
            and s.scheduled_at > v_now - interval '24 hours'
        union all
        select s.id, 'session_abandoned', null from public.sessions as s
        where
            messaging.session_overdue(s, v_now) = 'session_abandoned'
            and messaging.session_over_at(s) > v_now - interval '24 hours'
        union all
        select e.id, 'session_summary', null from ended as e
        where
            e.post_session_sent is not true
            and btrim(e.session_summary) <> ''
        union all
        select e.id, 'session_rating', null from ended as e
        where
            e.post_session_sent
            and e.rating_requested is not true
            and not exists (select from public.session_ratings as r where r.session_id = e.id)
    )

    select
        p.id, p.phone::text, p.name::text, w.purpose, messaging.session_subject(s), w.expires_at, messaging.session_facts(s, w.purpose)
    from words as w
    inner join public.sessions as s on w.session_id = s.id
    inner join public.profiles as p on s.user_id = p.user_id
    where messaging.may_choose(w.purpose, p.id, p.phone, w.expires_at)
    -- Whose window closes first goes first.
    order by w.expires_at, s.scheduled_at, s.id;
end
$$;
comment on function messaging.people_session_messages() is
'Who is due for a word about a session now: its reminders (24 h, 1 h, 15 minutes, start, nudge), its end where nobody ended it, its summary, its rating.';

-- Whether a word is still due when its turn comes.

create function messaging.why_no_reminder(p_session public.sessions, p_told boolean) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when p_session.id is null then 'the session is gone, or at another time'
        when p_session.status <> 'scheduled' then 'the session is not open any more'
        when p_session.started_at is not null then 'the session has begun'
        when p_told then 'the person was told already'
    end
$$;
comment on function messaging.why_no_reminder(public.sessions, boolean) is 'Why no reminder of this session is due any more; null while it is.';

create function messaging.due_session_24h(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.why_no_reminder(s, s.reminder_24h_sent) from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_1h(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.why_no_reminder(s, s.reminder_1h_sent) from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_15m(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.why_no_reminder(s, s.reminder_15m_sent) from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_start(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.why_no_reminder(s, s.session_start_notified) from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_nudge(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select messaging.why_no_reminder(s, false) from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_missed(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when s.id is null then 'the session is gone, or at another time'
        when s.status not in ('scheduled', 'cancelled') or s.started_at is not null then 'the session took place after all'
    end
    from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_summary(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when s.id is null or s.status <> 'completed' then 'the session is gone, or not completed'
        when s.post_session_sent then 'the person has the summary already'
    end
    from messaging.session_of(p_subject_id) as s
$$;
create function messaging.due_session_rating(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when s.id is null or s.status <> 'completed' then 'the session is gone, or not completed'
        when s.rating_requested then 'the person was asked already'
        when exists (select from public.session_ratings as r where r.session_id = s.id) then 'the person has rated it already'
    end
    from messaging.session_of(p_subject_id) as s
$$;

-- What an accepted word writes. Nothing into the chat history (functions 2.7); a nudge and a missed session leave no mark of their own.

create function messaging.effect_session_24h(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.sessions as s
    set reminder_24h_sent = true, confirmation_requested = true
    where s.id = messaging.session_of_message(p_message_id)
$$;
create function messaging.effect_session_1h(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.sessions as s set reminder_1h_sent = true where s.id = messaging.session_of_message(p_message_id)
$$;
create function messaging.effect_session_15m(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.sessions as s set reminder_15m_sent = true where s.id = messaging.session_of_message(p_message_id)
$$;
create function messaging.effect_session_start(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.sessions as s set session_start_notified = true where s.id = messaging.session_of_message(p_message_id)
$$;
create function messaging.effect_session_summary(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.sessions as s
    set post_session_sent = true, session_summary = coalesce(o.facts ->> 'composed_summary', s.session_summary)
    from messaging.outbox as o
    where o.id = p_message_id and s.id = messaging.session_of_message(p_message_id)
$$;
create function messaging.effect_session_rating(p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_session public.sessions;
begin
    update public.sessions as s
    set rating_requested = true
    where s.id = messaging.session_of_message(p_message_id) and s.rating_requested is not true
    returning s.* into v_session;
    -- Not those that the agent has written down itself.
    insert into public.commitments (user_id, title, due_date, session_id)
    select v_session.user_id, t.title, messaging.sent_at(p_message_id) + interval '24 hours', v_session.id
    from unnest(messaging.session_lines(to_jsonb(v_session.commitments))) as t (title)
    where not exists (
        select from public.commitments as c
        where c.session_id = v_session.id and lower(btrim(c.title)) = lower(t.title)
    );
end
$$;

do $$
declare
    v_purpose text;
    v_due text;
    v_effect text;
begin
    for v_purpose, v_due, v_effect in values
    ('session_24h', 'open, at this time, and not reminded', 'the person was reminded and asked to confirm'),
    ('session_1h', 'open, at this time, and not reminded', 'the person was reminded'),
    ('session_15m', 'open, at this time, and not reminded', 'the person was reminded'),
    ('session_start', 'open, at this time, and not announced', 'the start was announced'),
    ('session_nudge', 'open, at this time, and not begun', null),
    ('session_missed', 'not begun, and at this time', null),
    ('session_summary', 'completed, without its summary sent', 'the summary was sent; one that was composed is kept'),
    ('session_rating', 'completed, neither rated nor asked about', 'the rating was asked for; each commitment is due in 24 h')
    loop
        execute format('comment on function messaging.due_%s(text) is %L', v_purpose, 'Null while the session is ' || v_due || '; else why not.');
        if v_effect is not null then
            execute format('comment on function messaging.effect_%s(bigint) is %L', v_purpose, 'Effect: ' || v_effect || '.');
        end if;
    end loop;
end
$$;

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'people_session_messages', 'why_no_reminder', 'due_session_24h', 'due_session_1h', 'due_session_15m',
                'due_session_start', 'due_session_nudge', 'due_session_missed', 'due_session_summary', 'due_session_rating',
                'effect_session_24h', 'effect_session_1h', 'effect_session_15m', 'effect_session_start', 'effect_session_summary',
                'effect_session_rating'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
