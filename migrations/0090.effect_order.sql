-- What an accepted message means to a person is written while its number is held; who changes the person (a payment, an erasure) may want that number.
-- Nobody waits for the other: an effect takes the person without waiting, or is tried again; a turn takes the person before any number.
-- Locks: none; functions only.
-- depends: 0089.sweep_order

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0090.effect_order', 'messaging.hold_person(bigint)');
create function messaging.hold_person(p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_profile uuid;
begin
    select o.profile_id into v_profile from messaging.outbox as o where o.id = p_message_id;
    perform from public.profiles as p where p.id = v_profile for no key update skip locked;
    if not found and exists (select from public.profiles as p where p.id = v_profile) then
        raise exception using errcode = 'WP004', message = 'the person is being changed just now: it is tried again';
    end if;
end
$$;
comment on function messaging.hold_person(bigint) is
'Locks the person of a message in the app, or fails at once (WP004): the caller may hold a number, for which whoever holds the person may be waiting.';
revoke execute on function messaging.hold_person(bigint) from public, anon, authenticated, service_role;

select roleta_migrations.remember_function('0090.effect_order', f.name)
from (
    values
    ('messaging.run_effect(bigint)'),
    ('messaging.retry_effects(integer)'),
    ('messaging.finish_turn(text,uuid,bigint,jsonb,jsonb,text,double precision)')
) as f (name);

create or replace function messaging.run_effect(p_message_id bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_effect text;
    v_of_person boolean;
    v_lock_timeout text;
begin
    select
        case o.dispatch_state when 'rejected' then p.on_rejected else p.on_accepted end,
        o.dispatch_state <> 'rejected' and p.on_accepted <> 'effect_history'
    into v_effect, v_of_person
    from messaging.outbox as o
    inner join messaging.purposes as p on o.purpose = p.purpose
    where o.id = p_message_id;
    if v_effect is null then
        return true;
    end if;
    v_lock_timeout := current_setting('lock_timeout');
    begin
        -- An app table that somebody locks must not keep the outcome from being recorded.
        perform set_config('lock_timeout', '1s', true);
        if v_of_person then
            perform messaging.hold_person(p_message_id);
        end if;
        execute format('select messaging.%I($1)', v_effect) using p_message_id;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        -- A broken app table must not turn an accepted message into an unknown one: it was sent.
        when others then
            insert into messaging.failed_effects (message_id, effect, failed_at, error)
            values (p_message_id, v_effect, messaging.clock(), sqlstate || ' ' || left(sqlerrm, 200));
            return false;
    end;
    return true;
end
$$;

create or replace function messaging.retry_effects(p_limit integer default 100)
returns table (effect_id bigint, message_id bigint, succeeded boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_effect messaging.failed_effects;
    v_lock_timeout text := current_setting('lock_timeout');
    v_waited boolean := false;
begin
    for v_effect in
        select e.* from messaging.failed_effects as e
        where e.succeeded_at is null
        order by e.retried_at nulls first, e.id
        limit p_limit
        for no key update skip locked
    loop
        effect_id := v_effect.id;
        message_id := v_effect.message_id;
        begin
            perform set_config('lock_timeout', '1s', true);
            perform messaging.hold_person(v_effect.message_id);
            execute format('select messaging.%I($1)', v_effect.effect) using v_effect.message_id;
            succeeded := true;
        exception
            when lock_not_available then
                succeeded := false;
                v_waited := true;
            when others then
                succeeded := false;
        end;
        perform set_config('lock_timeout', v_lock_timeout, true);
        update messaging.failed_effects as e
        set
            retried_at = messaging.clock(),
            succeeded_at = case when retry_effects.succeeded then messaging.clock() end
        where e.id = v_effect.id;
        return next;
        -- A hundred that each wait a second for a locked table would keep what the earlier ones wrote locked for minutes.
        exit when v_waited;
    end loop;
end
$$;

create or replace function messaging.finish_turn(
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
    begin
        -- Before any number. Who cannot be had in a second is not waited for: what the app is to learn is tried again.
        perform set_config('lock_timeout', '1s', true);
        perform from public.profiles as p where p.id = v_turn.profile_id for no key update;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        when lock_not_available then
            null;
    end;
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
