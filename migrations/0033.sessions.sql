-- What a booked session is to us: one appointment and its subject, forgotten reminders where it moves, when it is overdue, and what a text needs of it.
-- Locks: SHARE ROW EXCLUSIVE on sessions while a trigger is made: milliseconds.
-- depends: 0032.answers

set local lock_timeout = '5s';

-- A word about a session is about one appointment: '<session id>@<epoch of its time>'.

create function messaging.session_subject(p_session public.sessions) returns text
language sql stable security invoker
return p_session.id::text || '@' || extract(epoch from p_session.scheduled_at)::bigint::text;
comment on function messaging.session_subject(public.sessions) is 'The subject_id of a session at its present time: another time is another subject.';

create function messaging.session_of(p_subject_id text) returns public.sessions
language sql stable security definer set search_path = ''
as $$
    select s.* from public.sessions as s
    where s.id = split_part(p_subject_id, '@', 1)::uuid and messaging.session_subject(s) = p_subject_id
$$;
comment on function messaging.session_of(text) is 'The session of a subject; null when it is gone or was moved to another time.';

create function messaging.session_of_message(p_message_id bigint) returns uuid
language sql stable security definer set search_path = ''
as $$
    select (messaging.session_of(o.subject_id)).id from messaging.outbox as o where o.id = p_message_id
$$;
comment on function messaging.session_of_message(bigint) is 'The session that a message is about, as long as it still is at the time that the message says.';

create function messaging.forget_reminders() returns trigger
language plpgsql security invoker set search_path = ''
as $$
begin
    -- What the same statement newly says stands.
    new.reminder_24h_sent := new.reminder_24h_sent and old.reminder_24h_sent is not true;
    new.reminder_1h_sent := new.reminder_1h_sent and old.reminder_1h_sent is not true;
    new.reminder_15m_sent := new.reminder_15m_sent and old.reminder_15m_sent is not true;
    new.session_start_notified := new.session_start_notified and old.session_start_notified is not true;
    new.confirmation_requested := new.confirmation_requested and old.confirmation_requested is not true;
    new.user_confirmed := nullif(new.user_confirmed, old.user_confirmed);
    return new;
end
$$;
comment on function messaging.forget_reminders() is 'Trigger: a session that is moved is a new appointment, reminded and confirmed anew.';
create trigger forget_reminders before update of scheduled_at on public.sessions
for each row when (old.scheduled_at is distinct from new.scheduled_at) execute function messaging.forget_reminders();

create function messaging.session_lines(p_list jsonb) returns text[]
language sql immutable security definer set search_path = ''
as $$
    select array(
        select left((array_agg(l.line order by l.place))[1], 200)
        from (
            select
                e.ordinality as place,
                btrim(case jsonb_typeof(e.value)
                    when 'string' then e.value #>> '{}'
                    when 'object' then coalesce(e.value ->> 'title', e.value ->> 'text', e.value ->> 'description')
                end) as line
            from jsonb_array_elements(case jsonb_typeof(p_list) when 'array' then p_list else '[]' end) with ordinality as e
        ) as l
        where l.line <> ''
        group by lower(l.line)
        order by min(l.place)
        limit 10
    )
$$;
comment on function messaging.session_lines(jsonb) is
'The app''s list of insights or commitments as lines, whether it holds strings or objects: each once, at most ten of 200 characters.';

create function messaging.session_over_at(p_session public.sessions) returns timestamptz
language sql stable security invoker
return coalesce(p_session.started_at, p_session.scheduled_at)
    + make_interval(mins => coalesce(p_session.duration_minutes, 45)) + interval '30 minutes';
comment on function messaging.session_over_at(public.sessions) is 'From when on a session in progress counts as abandoned: half an hour beyond its end.';

create function messaging.session_overdue(p_session public.sessions, p_now timestamptz) returns text
language sql stable security invoker
return case
    when
        p_session.status = 'scheduled'
        and p_session.started_at is null
        and p_session.session_start_notified
        and p_session.scheduled_at < p_now - interval '30 minutes'
        then 'session_missed'
    when
        p_session.status = 'in_progress'
        and messaging.session_over_at(p_session) < p_now
        then 'session_abandoned'
end;
comment on function messaging.session_overdue(public.sessions, timestamptz) is
'session_missed (announced, not begun, more than 30 minutes late), session_abandoned (begun, never ended), or null: nothing to close.';

create function messaging.session_ending(p_session public.sessions) returns text
language sql stable security definer set search_path = ''
as $$
    select case when count(*) <= 1 then 'silent' when count(*) <= 4 then 'short' else 'long' end
    from public.messages as m
    where
        m.user_id = p_session.user_id and m.role = 'user'
        and m.created_at >= coalesce(p_session.started_at, p_session.scheduled_at)
$$;
comment on function messaging.session_ending(public.sessions) is
'How an abandoned session went, by the person''s messages since it began: silent (0-1), short (2-4), long (5 and more).';

create function messaging.session_facts(p_session public.sessions, p_purpose text) returns jsonb
language sql stable security definer set search_path = ''
as $$
    select jsonb_build_object(
        'session_id', p_session.id,
        'date', to_char(p_session.scheduled_at at time zone 'America/Sao_Paulo', 'DD/MM'),
        'time', to_char(p_session.scheduled_at at time zone 'America/Sao_Paulo', 'HH24:MI')
    ) || case p_purpose
        when 'session_24h' then jsonb_build_object(
            'last_summary', (
                select left(btrim(x.session_summary), 150) from public.sessions as x
                where x.user_id = p_session.user_id and x.status = 'completed' and btrim(x.session_summary) <> ''
                order by coalesce(x.ended_at, x.scheduled_at) desc
                limit 1
            ),
            'commitments', array(
                select c.title from public.commitments as c
                where
                    c.user_id = p_session.user_id and c.completed is not true
                    and coalesce(c.commitment_status::text, 'pending') = 'pending'
                order by c.due_date nulls last, c.created_at
                limit 3
            )
        )
        when 'session_abandoned' then jsonb_build_object('ending', messaging.session_ending(p_session))
        when 'session_summary' then jsonb_build_object(
            'summary', btrim(p_session.session_summary),
            'insights', messaging.session_lines(to_jsonb(p_session.key_insights)),
            'commitments', messaging.session_lines(to_jsonb(p_session.commitments)),
            'began_at', coalesce(p_session.started_at, p_session.scheduled_at),
            'ended_at', p_session.ended_at
        )
        else '{}'
    end
$$;
comment on function messaging.session_facts(public.sessions, text) is
'What the text of a word needs: date and time in São Paulo; for 24 h the last summary (150 characters) and three open commitments; and so on.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'session_subject', 'session_of', 'session_of_message', 'forget_reminders', 'session_lines', 'session_over_at',
                'session_overdue', 'session_ending', 'session_facts'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
