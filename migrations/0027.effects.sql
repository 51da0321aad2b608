-- What an outcome writes into the app: a definite refusal may ask for something too, what was heard stands in the history in words, and an effect
-- that fails does not keep the others waiting.
-- Locks: none; functions only.
-- depends: 0026.composing

set local lock_timeout = '5s';

-- A definite refusal may ask for something too.
select roleta_migrations.remember_function('0027.effects', 'messaging.run_effect(bigint)');
create or replace function messaging.run_effect(p_message_id bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_effect text;
    v_lock_timeout text;
begin
    select case o.dispatch_state when 'rejected' then p.on_rejected else p.on_accepted end into v_effect
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
comment on function messaging.run_effect(bigint) is
'Writes into the app what an accepted (or rejected) message of this purpose means; a failure is kept in failed_effects, never raised.';

select roleta_migrations.remember_function('0027.effects', 'messaging.move(bigint, text, text, text)');
create or replace function messaging.move(p_message_id bigint, p_to text, p_by text, p_reason text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_from text;
    v_instance uuid;
begin
    select
        o.dispatch_state,
        o.instance_id
    into v_from, v_instance
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;

    update messaging.outbox as o
    set dispatch_state = p_to, changed_by = p_by, reason = p_reason
    where o.id = p_message_id;

    -- What this unknown held back may go on.
    if v_from = 'unknown' then
        update messaging.outbox as o
        set dispatch_state = 'queued', changed_by = p_by, reason = 'message ' || p_message_id || ' is settled'
        where o.instance_id = v_instance and o.dispatch_state = 'held' and o.held_by = 'message ' || p_message_id;
    end if;
    if p_to in ('accepted', 'rejected') then
        perform messaging.run_effect(p_message_id);
    end if;
end
$$;
comment on function messaging.move(bigint, text, text, text) is
'Moves one message (its sender locked by the caller), releases what it held back, and runs the effect of an acceptance or a refusal.';

create function messaging.sent_at(p_message_id bigint) returns timestamptz
language sql stable security definer set search_path = ''
as $$
    select coalesce(max(a.ended_at), messaging.clock())
    from messaging.attempts as a
    where a.message_id = p_message_id and a.outcome in ('accepted', 'unknown')
$$;
comment on function messaging.sent_at(bigint) is
'When a message was handed to the provider, however late its effect is written (a receipt, a retry). Now, where nobody has tried.';
revoke execute on function messaging.sent_at(bigint) from public, anon, authenticated, service_role;

-- What was heard stands in the history in words, at the time at which it was sent.
select roleta_migrations.remember_function('0027.effects', 'messaging.effect_history(bigint)');
create or replace function messaging.effect_history(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into public.messages (user_id, role, content, created_at)
    select
        p.user_id,
        'assistant',
        coalesce(o.content ->> 'text', o.facts ->> 'text'),
        messaging.sent_at(o.id)
    from messaging.outbox as o
    inner join public.profiles as p on o.profile_id = p.id
    where o.id = p_message_id and coalesce(o.content ->> 'text', o.facts ->> 'text') is not null
$$;

create function messaging.fallback_to_words(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    select messaging.enqueue(jsonb_build_object(
        'purpose', o.purpose, 'phone', o.phone, 'profile_id', o.profile_id, 'instance_id', o.instance_id, 'subject_id', o.subject_id,
        -- The turn has been written into the app already.
        'content', jsonb_build_object('kind', 'text', 'text', o.facts ->> 'text'), 'facts', o.facts - 'turn',
        'dedupe_key', 'in_words:' || o.id, 'enqueued_by', o.enqueued_by, 'run_id', o.run_id, 'time_zone', o.time_zone
    ))
    from messaging.outbox as o
    where o.id = p_message_id and o.content ->> 'kind' = 'audio' and o.facts ->> 'text' is not null
$$;
comment on function messaging.fallback_to_words(bigint) is
'on_rejected: what was spoken and refused goes to be read, on the same number, in the same transaction (functions 2.2, 2.3).';
revoke execute on function messaging.fallback_to_words(bigint) from public, anon, authenticated, service_role;
update messaging.purposes as p set on_rejected = 'fallback_to_words' where p.purpose in ('answer', 'direct');

-- Those first that were tried longest ago, so that a broken one does not keep the others waiting.
select roleta_migrations.remember_function('0027.effects', 'messaging.retry_effects(integer)');
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
comment on function messaging.retry_effects(integer) is
'Tries the failed effects again, those first that were tried longest ago, up to one that has to wait for a lock; says of each whether it worked. Asked
every 30 s by workers.';
