-- A person's turn is ended: the answer in parts, and what an answered turn writes into the app.
-- Locks: none; functions only.
-- depends: 0031.turns

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0032.answers', 'messaging.finish_turn(text, uuid, bigint, text[], text, double precision)');
drop function messaging.finish_turn(text, uuid, bigint, text[], text, double precision);

create function messaging.apply_turn(p_profile_id uuid, p_event_ids bigint[], p_at timestamptz, p_result jsonb) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_user uuid;
    v_open boolean := p_result ->> 'conversation' = 'open';
begin
    select p.user_id into v_user from public.profiles as p where p.id = p_profile_id for no key update;
    if v_user is null then
        return;
    end if;
    update public.profiles as p
    set
        trial_conversations_count = coalesce(p.trial_conversations_count, 0)
            + case when (p_result ->> 'counts')::boolean and p.status = 'trial' then 1 else 0 end,
        trial_limit_sent_at = case when (p_result ->> 'limit_told')::boolean then p_at else p.trial_limit_sent_at end,
        -- Not least(null, 168), which is 168. Tried again later, it does not silence somebody who has written since.
        do_not_disturb_until = case
            when p_result ->> 'do_not_disturb_h' is not null and coalesce(p.last_user_message_at <= p_at, true)
                then p_at + make_interval(secs => least((p_result ->> 'do_not_disturb_h')::double precision, 168) * 3600)
            else p.do_not_disturb_until
        end,
        -- No journey, from the beginning (functions 2.14).
        current_journey_id = case when (p_result ->> 'journeys_paused')::boolean then null else p.current_journey_id end,
        current_episode = case when (p_result ->> 'journeys_paused')::boolean then 0 else p.current_episode end
    where p.id = p_profile_id and p_result ?| array['counts', 'limit_told', 'do_not_disturb_h', 'journeys_paused'];

    update public.sessions as s
    set status = 'in_progress', started_at = p_at
    where
        s.id = (p_result ->> 'begun_session_id')::uuid and s.user_id = v_user
        and s.status = 'scheduled' and s.started_at is null and s.session_start_notified;
    if found then
        update public.profiles as p
        set current_session_id = (p_result ->> 'begun_session_id')::uuid
        where p.id = p_profile_id;
    end if;

    update public.sessions as s
    set user_confirmed = true
    where
        s.id = (p_result ->> 'confirmed_session_id')::uuid and s.user_id = v_user and s.user_confirmed is null
        -- Forgotten where it was moved meanwhile: nobody has confirmed the new time.
        and s.confirmation_requested;
    insert into public.session_ratings (session_id, user_id, rating)
    select s.id, v_user, (p_result -> 'rating' ->> 'rating')::integer
    from public.sessions as s
    where
        s.id = (p_result -> 'rating' ->> 'session_id')::uuid and s.user_id = v_user
        and not exists (select from public.session_ratings as g where g.session_id = s.id);

    perform messaging.keep_messages(p_event_ids);
    -- What was left unsaid has been handed to this answer; what this one left unsaid is next.
    if p_result ? 'unsaid' then
        perform messaging.keep_pending(p_profile_id, p_result ->> 'unsaid', p_result ->> 'unsaid_context');
    elsif p_result ? 'said' then
        update public.aura_response_state as r
        set pending_content = null, pending_context = null
        where r.user_id = v_user and r.pending_content = p_result ->> 'said';
    end if;

    if p_result ? 'conversation' then
        update public.conversation_followups as f
        set
            followup_count = 0,
            last_user_message_at = case when v_open then p_at end,
            closed_at = case when not v_open then p_at end,
            conversation_context = case when v_open or length(f.conversation_context) > 15 then f.conversation_context end
        where f.user_id = v_user and coalesce(greatest(f.last_user_message_at, f.closed_at), p_at) <= p_at;
        if v_open and not exists (select from public.conversation_followups as f where f.user_id = v_user) then
            insert into public.conversation_followups (user_id, followup_count, last_user_message_at) values (v_user, 0, p_at);
        end if;
    end if;
end
$$;
comment on function messaging.apply_turn(uuid, bigint[], timestamptz, jsonb) is
'What an answered turn means for the app: history, rating, confirmation, a session that begins, journeys paused, trial, do-not-disturb, what was left unsaid,
and whether the conversation is open.';

create function messaging.effect_turn(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.apply_turn(
        o.profile_id,
        array(select t.value::bigint from jsonb_array_elements_text(o.facts -> 'turn' -> 'events') as t),
        (o.facts -> 'turn' ->> 'at')::timestamptz,
        o.facts -> 'turn' -> 'result'
    )
    from messaging.outbox as o
    where o.id = p_message_id
$$;
comment on function messaging.effect_turn(bigint) is
'Effect: what the turn that this message begins to answer means for the app. Run by finish_turn, and again by retry_effects where that failed.';

create function messaging.obey(p_instance_id uuid, p_phone text, p_command text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_key text := messaging.phone_key(p_phone);
    v_agency uuid;
begin
    select i.agency_id into v_agency from public.whatsapp_instances as i where i.id = p_instance_id;
    -- Every sender that stopping or answering may need, in one go: they are locked by id.
    perform from messaging.senders as s
    where
        s.instance_id = p_instance_id
        or s.instance_id in (
            select o.instance_id from messaging.outbox as o
            where
                o.phone_key = v_key and o.agency_id is not distinct from v_agency
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        )
    order by s.instance_id
    for no key update;
    if p_command = 'stop' then
        perform messaging.opt_out(v_agency, v_key, 'spoken');
    elsif p_command = 'start' then
        perform messaging.opt_in(v_agency, v_key);
    end if;
end
$$;
comment on function messaging.obey(uuid, text, text) is
'Stops or starts by an order that was only understood when the turn was answered: one that was spoken. The person is locked by the caller.';

create function messaging.finish_turn(
    p_person_key text, p_lease_token uuid, p_last_event_id bigint, p_bubbles jsonb, p_result jsonb, p_by text,
    p_debounce_s double precision default 2
)
returns table (finished boolean, message_ids bigint[])
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_turn messaging.turns;
    v_last messaging.inbound_events;
    v_bubble record;
    v_messages jsonb := '[]';
    v_result jsonb := coalesce(p_result, '{}');
    v_unsaid text;
    v_delay_s double precision := 0;
    v_more boolean;
    v_lock_timeout text := current_setting('lock_timeout');
begin
    perform messaging.require(jsonb_typeof(p_bubbles) = 'array', 'the bubbles of an answer are a list');
    perform messaging.require(jsonb_typeof(v_result) = 'object', 'the result of a turn is an object');
    if v_result ? 'command' then
        -- As at the door: the person before the turn.
        perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || p_person_key, 0));
    end if;
    select t.* into v_turn from messaging.turns as t where t.person_key = p_person_key for no key update;
    if v_turn.lease_token is distinct from p_lease_token then
        finished := false;
        return next;
        return;
    end if;
    v_now := messaging.clock();
    select e.* into v_last from messaging.inbound_events as e where e.id = p_last_event_id;

    update messaging.inbound_events as e
    set text = v_result -> 'transcripts' ->> e.id::text
    where e.id = any(v_turn.taken) and e.text is null and v_result -> 'transcripts' ? e.id::text;
    update messaging.inbound_events as e
    set processed_at = v_now
    -- Just what was handed out: ids are not in the order of commits.
    where e.id = any(v_turn.taken) and e.processed_at is null;
    v_more := exists (
        select from messaging.inbound_events as e
        where e.person_key = p_person_key and e.processed_at is null
    );
    if v_more then
        update messaging.turns as t
        set
            lease_token = null, worker = null, taken = '{}', waiting_since = v_now,
            ready_at = v_now + make_interval(secs => p_debounce_s)
        where t.person_key = p_person_key;
    else
        delete from messaging.turns as t where t.person_key = p_person_key;
    end if;

    for v_bubble in
        select b.value ->> 'text' as text, nullif(b.value ->> 'spoken_url', '') as spoken_url, row_number() over (order by b.ordinality) as part
        from jsonb_array_elements(p_bubbles) with ordinality as b
        where btrim(b.value ->> 'text', e' \t\r\n') <> ''
        order by b.ordinality
    loop
        if v_more and v_bubble.part > 1 then
            -- The person went on writing: the first part answers, the rest is for the next turn to take up.
            v_unsaid := concat_ws(e'\n\n', v_unsaid, v_bubble.text);
            continue;
        end if;
        v_messages := v_messages || jsonb_build_object(
            'purpose', 'answer', 'phone', v_last.phone, 'profile_id', v_turn.profile_id,
            -- The answer leaves from the number that was written to.
            'instance_id', v_last.instance_id,
            'content', case
                when v_bubble.spoken_url is null then jsonb_build_object('kind', 'text', 'text', v_bubble.text)
                else jsonb_build_object('kind', 'audio', 'media_url', v_bubble.spoken_url)
            end,
            'facts', jsonb_build_object('part', v_bubble.part, 'text', v_bubble.text, 'answers', p_last_event_id),
            'not_before', v_now + make_interval(secs => v_delay_s),
            'dedupe_key', format('answer:%s:%s', p_last_event_id, v_bubble.part), 'enqueued_by', p_by
        );
        v_delay_s := v_delay_s + least(5, 1 + length(v_bubble.text) / 60.0);
    end loop;
    v_result := (v_result - 'transcripts') || case
        when v_unsaid is null then '{}'
        else jsonb_build_object('unsaid', v_unsaid, 'unsaid_context', v_last.text)
    end;
    finished := true;
    if v_result ? 'command' then
        perform messaging.obey(v_last.instance_id, v_last.phone, v_result ->> 'command');
    end if;

    if v_messages = '[]' then
        -- Nothing that a failed effect could hang on: where the app cannot be written, the turn waits for the end of its lease.
        perform set_config('lock_timeout', '1s', true);
        perform messaging.apply_turn(v_turn.profile_id, v_turn.taken, v_now, v_result);
        perform set_config('lock_timeout', v_lock_timeout, true);
        return next;
        return;
    end if;
    v_messages := jsonb_set(v_messages, '{0,facts,turn}', jsonb_build_object('events', v_turn.taken, 'at', v_now, 'result', v_result));
    message_ids := array(select e.message_id from messaging.enqueue_many(v_messages) as e);
    begin
        perform set_config('lock_timeout', '1s', true);
        perform messaging.effect_turn(message_ids[1]);
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        -- The answer stands: what the app could not take is tried again.
        when others then
            insert into messaging.failed_effects (message_id, effect, failed_at, error)
            values (message_ids[1], 'effect_turn', v_now, sqlstate || ' ' || left(sqlerrm, 200));
    end;
    return next;
end
$$;
comment on function messaging.finish_turn(text, uuid, bigint, jsonb, jsonb, text, double precision) is
'Enqueues the answer to a turn (bubbles {text, spoken_url?}, each after the time that the one before takes to be read) on the number that was written to,
writes its result into the app and ends the turn, in one transaction. False, and nothing done, when the lease is lost.';

revoke execute on function messaging.apply_turn(uuid, bigint[], timestamptz, jsonb) from public, anon, authenticated, service_role;
revoke execute on function messaging.obey(uuid, text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.effect_turn(bigint) from public, anon, authenticated, service_role;
revoke execute on function messaging.finish_turn(text, uuid, bigint, jsonb, jsonb, text, double precision) from public, anon, authenticated, service_role;
grant execute on function messaging.finish_turn(text, uuid, bigint, jsonb, jsonb, text, double precision) to service_role;
