-- How a session that nobody ended is closed: after its word is enqueued, so that a crash between the two is repaired by the next run.
-- Locks: none; functions only.
-- depends: 0034.session_words

set local lock_timeout = '5s';

create function messaging.session_word(p_session public.sessions, p_purpose text) returns jsonb
language sql stable security definer set search_path = ''
as $$
    select o.facts
    from messaging.outbox as o
    inner join public.profiles as p on o.profile_id = p.id
    where
        p.user_id = p_session.user_id and o.purpose = p_purpose
        and o.subject_id = messaging.session_subject(p_session)
    limit 1
$$;
comment on function messaging.session_word(public.sessions, text) is 'The facts of the message that was enqueued for this session; null where there is none.';

create function messaging.may_close(p_session public.sessions, p_purpose text, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
    select
        messaging.session_word(p_session, p_purpose) is not null
        or case p_purpose when 'session_missed' then p_session.scheduled_at else messaging.session_over_at(p_session) end
        <= p_now - interval '24 hours'
        or not exists (
            select from public.profiles as p
            where p.user_id = p_session.user_id and messaging.may_choose(p_purpose, p.id, p.phone)
        )
$$;
comment on function messaging.may_close(public.sessions, text, timestamptz) is
'Whether an overdue session waits for no word any more: it is enqueued, it would come a day late, or nobody may be told.';

create function messaging.close_sessions(p_missed_summary text, p_completed_summary text)
returns table (missed bigint, abandoned bigint)
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_ids uuid[];
    v_people uuid[];
    v_closed uuid[] := '{}';
    v_session public.sessions;
begin
    missed := 0;
    abandoned := 0;
    v_ids := array(
        select s.id from public.sessions as s
        where
            s.status in ('scheduled', 'in_progress') and messaging.session_overdue(s, v_now) is not null
            and messaging.may_close(s, messaging.session_overdue(s, v_now), v_now)
    );
    -- People before sessions, each by id.
    v_people := array(
        select p.id from public.profiles as p
        where p.current_session_id = any(v_ids)
        order by p.id
        for no key update
    );
    for v_session in
        select s.* from public.sessions as s
        where s.id = any(v_ids) and messaging.session_overdue(s, v_now) is not null
        order by s.id
        for no key update
    loop
        v_closed := v_closed || v_session.id;
        -- Literals in each: an adopted status may be an enum.
        if messaging.session_overdue(v_session, v_now) = 'session_missed' then
            update public.sessions as s
            set status = 'cancelled', ended_at = v_now, session_summary = coalesce(nullif(btrim(s.session_summary), ''), p_missed_summary)
            where s.id = v_session.id;
            missed := missed + 1;
            continue;
        end if;
        -- As the person was told, whatever was written since.
        if coalesce(messaging.session_word(v_session, 'session_abandoned') ->> 'ending', messaging.session_ending(v_session)) = 'long' then
            update public.sessions as s
            set
                status = 'completed', ended_at = coalesce(s.ended_at, v_now),
                session_summary = coalesce(nullif(btrim(s.session_summary), ''), p_completed_summary)
            where s.id = v_session.id;
        else
            update public.sessions as s set status = 'no_show', ended_at = coalesce(s.ended_at, v_now) where s.id = v_session.id;
        end if;
        abandoned := abandoned + 1;
    end loop;
    update public.profiles as p set current_session_id = null where p.id = any(v_people) and p.current_session_id = any(v_closed);
    return next;
end
$$;
comment on function messaging.close_sessions(text, text) is
'Closes what nobody ended and waits for no word: missed -> cancelled; abandoned -> no_show, or completed with five messages of the person and more.
Idempotent; says how many of each.';

revoke execute on function messaging.session_word(public.sessions, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.may_close(public.sessions, text, timestamptz) from public, anon, authenticated, service_role;
revoke execute on function messaging.close_sessions(text, text) from public, anon, authenticated, service_role;
grant execute on function messaging.close_sessions(text, text) to service_role;
