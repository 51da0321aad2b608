-- A person's turn is handed out: everything unanswered, the number that was written to last, and what the answer must know.
-- Locks: none; functions only.
-- depends: 0030.inbound

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0031.turns', 'messaging.claim_turn(text, double precision)');
drop function messaging.claim_turn(text, double precision);

create function messaging.turn_facts(p_profile_id uuid, p_now timestamptz) returns jsonb
language sql stable security definer set search_path = ''
as $$
    select jsonb_build_object(
        'status', p.status,
        'plan', p.plan,
        'trial_conversations_count', p.trial_conversations_count,
        'limit_told_s', extract(epoch from p_now - p.trial_limit_sent_at),
        'pending_content', r.pending_content,
        'pending_context', r.pending_context,
        'session_active', exists (
            select from public.sessions as s where s.user_id = p.user_id and s.status = 'in_progress'
        ),
        'open_rating', (
            select jsonb_build_object('session_id', s.id)
            from public.sessions as s
            where
                s.user_id = p.user_id and s.status = 'completed' and s.rating_requested
                and coalesce(s.ended_at, s.scheduled_at) > p_now - interval '24 hours'
                and not exists (select from public.session_ratings as g where g.session_id = s.id)
            order by coalesce(s.ended_at, s.scheduled_at) desc
            limit 1
        ),
        'announced_session', (
            select jsonb_build_object('session_id', s.id)
            from public.sessions as s
            where
                s.user_id = p.user_id and s.status = 'scheduled' and s.started_at is null and s.session_start_notified
                -- Later it counts as missed (messaging.session_overdue).
                and s.scheduled_at > p_now - interval '30 minutes' and s.scheduled_at <= p_now + interval '15 minutes'
            order by s.scheduled_at
            limit 1
        ),
        'awaiting_confirmation', (
            select jsonb_build_object(
                'session_id', s.id,
                'date', to_char(s.scheduled_at at time zone 'America/Sao_Paulo', 'DD/MM'),
                'time', to_char(s.scheduled_at at time zone 'America/Sao_Paulo', 'HH24:MI')
            )
            from public.sessions as s
            where
                s.user_id = p.user_id and s.status = 'scheduled' and s.confirmation_requested
                and s.user_confirmed is null and s.scheduled_at > p_now
            order by s.scheduled_at
            limit 1
        )
    )
    from public.profiles as p
    left join lateral (
        select a.pending_content, a.pending_context from public.aura_response_state as a
        where a.user_id = p.user_id
        limit 1
    ) as r on true
    where p.id = p_profile_id
$$;
comment on function messaging.turn_facts(uuid, timestamptz) is
'What an answer must know of the person: standing, trial, what was left unsaid, a session that runs, is about to begin, waits to be rated or confirmed.';

create function messaging.claim_turn(p_worker text, p_lease_s double precision default 60)
returns table (
    person_key text, lease_token uuid, profile_id uuid, profile_name text, instance_id uuid, phone text,
    last_event_id bigint, events jsonb, facts jsonb
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_wrote_at timestamptz;
    v_lock_timeout text := current_setting('lock_timeout');
begin
    select t.person_key, t.profile_id into person_key, profile_id
    from messaging.turns as t
    where t.ready_at <= v_now
    order by t.ready_at
    limit 1
    for no key update skip locked;
    if person_key is null then
        return;
    end if;
    lease_token := gen_random_uuid();

    -- In the order in which they were written: events overtake each other on their way.
    select
        (array_agg(e.instance_id order by e.said_at desc, e.id desc))[1],
        (array_agg(e.phone order by e.said_at desc, e.id desc))[1],
        (array_agg(e.id order by e.said_at desc, e.id desc))[1],
        jsonb_agg(
            jsonb_build_object(
                'event_id', e.id, 'message_kind', e.message_kind, 'text', e.text, 'media_url', e.media_url, 'command', e.command
            )
            order by e.said_at, e.id
        ),
        max(e.received_at)
    into instance_id, phone, last_event_id, events, v_wrote_at
    from (
        select
            n.*,
            coalesce(n.happened_at, n.received_at) as said_at
        from messaging.inbound_events as n
        where n.person_key = claim_turn.person_key and n.processed_at is null
    ) as e;
    update messaging.turns as t
    set
        lease_token = claim_turn.lease_token, worker = p_worker,
        ready_at = v_now + make_interval(secs => p_lease_s),
        taken = array(select (x.value ->> 'event_id')::bigint from jsonb_array_elements(events) as x)
    where t.person_key = claim_turn.person_key;
    select p.name into profile_name from public.profiles as p where p.id = claim_turn.profile_id;

    -- Without the app's tables the person is answered all the same.
    facts := '{}';
    begin
        perform set_config('lock_timeout', '1s', true);
        if v_wrote_at is not null then
            perform messaging.note_message(claim_turn.profile_id, v_wrote_at);
        end if;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        when others then
            raise warning 'that a person wrote was not noted (%)', sqlstate;
    end;
    begin
        facts := coalesce(messaging.turn_facts(claim_turn.profile_id, v_now), '{}');
    exception
        when others then
            raise warning 'what an answer must know could not be read (%)', sqlstate;
    end;
    -- What is said aloud may order the same as what is typed.
    facts := facts || jsonb_build_object('opted_out', exists (
        select from messaging.opt_outs as x
        inner join public.whatsapp_instances as i on x.agency_id is not distinct from i.agency_id
        where i.id = claim_turn.instance_id and x.phone_key = messaging.phone_key(claim_turn.phone) and x.opted_in_at is null
    ));
    return next;
end
$$;
comment on function messaging.claim_turn(text, double precision) is
'One person whose messages wait and who has gone silent: everything unanswered, the number that was written to last, and what the answer must know. Leased;
no row when nobody waits.';

revoke execute on function messaging.turn_facts(uuid, timestamptz) from public, anon, authenticated, service_role;
revoke execute on function messaging.claim_turn(text, double precision) from public, anon, authenticated, service_role;
grant execute on function messaging.claim_turn(text, double precision) to service_role;
