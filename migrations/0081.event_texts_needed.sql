-- The words of an event are kept while an effect that failed still has to write them into the app's history.
-- Locks: none.
-- depends: 0080.erased_whole

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0081.event_texts_needed', 'messaging.events_still_read()');
create function messaging.events_still_read() returns setof bigint
language sql stable security definer set search_path = ''
as $$
    select distinct t.value::bigint
    from messaging.failed_effects as f
    inner join messaging.outbox as o on f.message_id = o.id
    cross join lateral jsonb_array_elements_text(
        case jsonb_typeof(o.facts -> 'turn' -> 'events') when 'array' then o.facts -> 'turn' -> 'events' else '[]' end
    ) as t
    where f.succeeded_at is null and t.value ~ '^[0-9]{1,18}$'
$$;
revoke execute on function messaging.events_still_read() from public, anon, authenticated, service_role;
comment on function messaging.events_still_read() is 'The events of turns whose effects the app has not taken yet: tried again, they read the words.';

select roleta_migrations.remember_function('0081.event_texts_needed', 'messaging.forgettable(text,integer)');
create or replace function messaging.forgettable(p_what text, p_keep_days integer) returns bigint
language sql stable security definer set search_path = ''
as $$
    select case p_what
        when 'texts' then (
            select count(*) from messaging.outbox as o
            where
                o.text_removed_at is null and o.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn')
                and o.changed_at < messaging.clock() - make_interval(days => p_keep_days)
                and not exists (select from messaging.failed_effects as f where f.message_id = o.id and f.succeeded_at is null)
        )
        when 'event_texts' then (
            select count(*) from messaging.inbound_events as e
            where
                e.text is not null and e.processed_at is not null
                and e.received_at < messaging.clock() - make_interval(days => p_keep_days)
                and not exists (select from messaging.events_still_read() as n (event_id) where n.event_id = e.id)
        )
        when 'raw_events' then (
            select count(*) from messaging.inbound_events as e
            where
                e.raw_removed_at is null and e.processed_at is not null
                and e.received_at < messaging.clock() - make_interval(days => p_keep_days)
        )
    end
$$;
comment on function messaging.forgettable(text, integer) is
'How many rows have something that is kept for longer than so many days and that nothing is to read any more: texts (of messages that are over), event_texts,
raw_events.';

select roleta_migrations.remember_function('0081.event_texts_needed', 'messaging.forget(text,integer,integer)');
create or replace function messaging.forget(p_what text, p_keep_days integer, p_limit integer default 500) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_before timestamptz;
    v_why text := format('kept for %s days', p_keep_days);
    v_done integer;
begin
    perform messaging.require(p_what in ('texts', 'event_texts', 'raw_events'), 'what is forgotten is texts, event_texts or raw_events');
    perform messaging.require(p_keep_days between 1 and 36500, 'what is forgotten was kept for a day at least');
    perform messaging.require(p_limit between 1 and 10000, 'a batch is 1 to 10000 rows');
    v_before := v_now - make_interval(days => p_keep_days);
    -- Nothing waits for these locks and they wait for nobody: a row that is busy is for the next batch. No state is touched, so no sender is.
    if p_what = 'texts' then
        with old as (
            select o.id from messaging.outbox as o
            where
                o.text_removed_at is null and o.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn')
                and o.changed_at < v_before
                -- What the app could not take yet is still to be read.
                and not exists (select from messaging.failed_effects as f where f.message_id = o.id and f.succeeded_at is null)
            order by o.changed_at
            limit p_limit
            for no key update skip locked
        )
        update messaging.outbox as o
        set content = messaging.removed_content(o.content, v_why), facts = messaging.kept_facts(o.facts), text_removed_at = v_now
        from old
        where old.id = o.id;
    elsif p_what = 'event_texts' then
        with old as (
            select e.id from messaging.inbound_events as e
            where
                e.text is not null and e.processed_at is not null and e.received_at < v_before
                and not exists (select from messaging.events_still_read() as n (event_id) where n.event_id = e.id)
            order by e.received_at
            limit p_limit
            for no key update skip locked
        )
        update messaging.inbound_events as e
        set text = null, text_removed_at = v_now
        from old
        where old.id = e.id;
    else
        with old as (
            select e.id from messaging.inbound_events as e
            where e.raw_removed_at is null and e.processed_at is not null and e.received_at < v_before
            order by e.received_at
            limit p_limit
            for no key update skip locked
        )
        update messaging.inbound_events as e
        set payload = jsonb_build_object('removed', v_why), media_url = null, raw_removed_at = v_now
        from old
        where old.id = e.id;
    end if;
    get diagnostics v_done = row_count;
    return v_done;
end
$$;
comment on function messaging.forget(text, integer, integer) is
'Removes a batch of what is older than so many days and over; answers how many rows. texts: content and facts of ended messages, never of those that wait or
are unknown. event_texts: the words of events. raw_events: what the provider sent. What a failed effect has yet to read is spared. States, times, counts, keys
and history stay. Safe to repeat.';
