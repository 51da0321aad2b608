-- What a person's message does before it is answered: what it withdraws, stops or starts, that one of us speaks by hand, and what the app is told.
-- Locks: none; functions only.
-- depends: 0028.schedule

set local lock_timeout = '5s';

create function messaging.note_message(p_profile_id uuid, p_at timestamptz) returns void
language sql volatile security definer set search_path = ''
as $$
    -- Once per message: noted again later, it must not end a do-not-disturb that was asked for since.
    update public.profiles as p
    set
        last_user_message_at = p_at,
        last_message_date = greatest(p.last_message_date, (p_at at time zone 'UTC')::date),
        do_not_disturb_until = null
    where p.id = p_profile_id and (p.last_user_message_at is null or p.last_user_message_at < p_at)
$$;
comment on function messaging.note_message(uuid, timestamptz) is
'The person wrote at that moment: kept in the profile, and do-not-disturb is over. The same or an earlier moment again changes nothing.';

create function messaging.keep_messages(p_event_ids bigint[]) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into public.messages (user_id, role, content, created_at)
    select p.user_id, 'user', e.text, e.received_at
    from messaging.inbound_events as e
    inner join public.profiles as p on e.profile_id = p.id
    where e.id = any(p_event_ids) and e.text is not null
    order by e.id
$$;
comment on function messaging.keep_messages(bigint[]) is 'Writes what a person said in these events into the chat history.';

create function messaging.keep_pending(p_profile_id uuid, p_content text, p_context text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_user uuid;
begin
    select p.user_id into v_user from public.profiles as p where p.id = p_profile_id;
    update public.aura_response_state as r
    set pending_content = p_content, pending_context = p_context
    where r.user_id = v_user;
    if not found and p_content is not null then
        insert into public.aura_response_state (user_id, pending_content, pending_context)
        values (v_user, p_content, p_context);
    end if;
end
$$;
comment on function messaging.keep_pending(uuid, text, text) is
'What an answer did not get to say before the person wrote again, for the next answer; null: nothing is left.';

create function messaging.heed_message(p_event messaging.inbound_events, p_agency_id uuid, p_command text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_key text := messaging.phone_key(p_event.phone);
    v_withdrawn bigint[];
    v_lock_timeout text := current_setting('lock_timeout');
    v_left text;
    v_context text;
begin
    v_withdrawn := messaging.withdraw_messages(
        array(
            select o.id from messaging.outbox as o
            inner join messaging.purposes as r on o.purpose = r.purpose
            where
                o.phone_key = v_key and o.agency_id is not distinct from p_agency_id
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
                and (
                    r.nudge or (r.opt_out and p_command = 'stop')
                    -- The rest of an answer that was interrupted; its first part answers what was said. A picture without words gets no
                    -- answer that could take the rest up.
                    or (o.purpose = 'answer' and (o.facts -> 'part') > '1' and p_event.ignored_reason is distinct from 'missing_data')
                )
        ),
        case p_command when 'stop' then 'opt_out' else 'accept_event' end,
        case p_command when 'stop' then 'the person opted out' else 'the person wrote' end
    );
    if p_command = 'stop' then
        perform messaging.opt_out(p_agency_id, v_key, p_event.text);
    elsif p_command = 'start' then
        perform messaging.opt_in(p_agency_id, v_key);
    end if;
    if p_event.profile_id is null then
        return;
    end if;

    select
        string_agg(coalesce(o.facts ->> 'text', o.content ->> 'text'), e'\n\n' order by o.id),
        (select e.text from messaging.inbound_events as e where e.id = min((o.facts ->> 'answers')::bigint))
    into v_left, v_context
    from messaging.outbox as o
    where o.id = any(v_withdrawn) and o.purpose = 'answer';

    -- The app's trouble must not lose the event. What is not written now, claim_turn tries again.
    begin
        perform set_config('lock_timeout', '1s', true);
        perform from public.profiles as p where p.id = p_event.profile_id for no key update skip locked;
        if found then
            perform messaging.note_message(p_event.profile_id, p_event.received_at);
            begin
                -- The provider knows by which form of a phone WhatsApp knows the person (functions 2.2, step 6).
                update public.profiles as p
                set phone = p_event.phone
                where p.id = p_event.profile_id and p.phone <> p_event.phone and p_event.phone ~ '^[0-9]+$';
            exception
                when others then
                    raise warning 'the phone of a profile was not corrected (%)', sqlstate;
            end;
        end if;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        when others then
            raise warning 'that a person wrote was not noted (%)', sqlstate;
    end;
    begin
        perform set_config('lock_timeout', '1s', true);
        if p_event.processed_at is not null then
            perform messaging.keep_messages(array[p_event.id]);
        end if;
        if v_left is not null then
            perform messaging.keep_pending(p_event.profile_id, v_left, v_context);
        end if;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        when others then
            raise warning 'what a person said was not written into the history (%)', sqlstate;
    end;
end
$$;
comment on function messaging.heed_message(messaging.inbound_events, uuid, text) is
'What a person''s message does before it is answered: withdraws nudges and the rest of an interrupted answer, stops or starts, notes that the person wrote.';

create function messaging.heed_hand(p_agency_id uuid, p_phone_key text, p_person_key text, p_for_s double precision) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_events bigint[];
    v_lock_timeout text := current_setting('lock_timeout');
begin
    perform messaging.take_over(p_agency_id, p_phone_key, p_for_s);
    -- Whoever composes an answer now finds the turn gone.
    delete from messaging.turns as t where t.person_key = p_person_key;
    with ended as (
        update messaging.inbound_events as e
        set processed_at = messaging.clock(), ignored_reason = 'human_takeover'
        where e.person_key = p_person_key and e.processed_at is null
        returning e.id
    )

    select array_agg(w.id) into v_events from ended as w;
    perform messaging.withdraw_messages(
        array(
            select o.id from messaging.outbox as o
            where
                o.phone_key = p_phone_key and o.agency_id is not distinct from p_agency_id and o.purpose = 'answer'
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        ),
        'accept_event', 'one of us answered by hand'
    );
    begin
        perform set_config('lock_timeout', '1s', true);
        perform messaging.keep_messages(v_events);
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        when others then
            raise warning 'what a person said was not written into the history (%)', sqlstate;
    end;
end
$$;
comment on function messaging.heed_hand(uuid, text, text, double precision) is
'One of us wrote to the person on the phone itself: the bot''s answers are withdrawn, its turn ends, and it keeps quiet for so many seconds.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'note_message', 'keep_messages', 'keep_pending', 'heed_message', 'heed_hand'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
