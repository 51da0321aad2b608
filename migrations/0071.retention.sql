-- What is kept no longer: texts and raw events go on their day; states, times and counts stay.
-- Locks: ACCESS EXCLUSIVE on messaging.outbox and messaging.inbound_events, for adding empty columns (no rewrite) and building one and two partial
-- indexes: one read of the table each.
-- depends: 0070.credentials

set local lock_timeout = '5s';

alter table messaging.outbox add column text_removed_at timestamptz;
comment on column messaging.outbox.text_removed_at is
'When its text and facts went; content.removed says why. The row stays: states, times and counts are history.';
create index outbox_texts_kept on messaging.outbox (changed_at)
where text_removed_at is null and dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn');

alter table messaging.inbound_events add column raw_removed_at timestamptz, add column text_removed_at timestamptz;
comment on column messaging.inbound_events.raw_removed_at is 'When what the provider sent went; payload.removed says why.';
comment on column messaging.inbound_events.text_removed_at is 'When the person''s words went.';
create index inbound_events_raw_kept on messaging.inbound_events (received_at) where raw_removed_at is null;
create index inbound_events_text_kept on messaging.inbound_events (received_at) where text is not null;

create function messaging.kept_facts(p_facts jsonb) returns jsonb
language sql immutable security invoker set search_path = ''
as $$
    -- Ids, numbers and days that pages and audits read; whatever is not listed here may be a text.
    select coalesce(jsonb_object_agg(f.key, f.value), '{}')
    from jsonb_each(p_facts) as f
    where
        jsonb_typeof(f.value) not in ('object', 'array')
        and f.key in (
            'client_id', 'spoken_by', 'sent_from', 'period_start', 'period_end', 'report_period_type', 'ad_account_id', 'alert_id',
            'threshold', 'balance', 'meditation_id', 'journey_id', 'next_journey_id', 'episode', 'level', 'step', 'stage', 'day', 'month',
            'week_start', 'local_date', 'part', 'answers'
        )
$$;
comment on function messaging.kept_facts(jsonb) is 'What stays of a message''s facts when its text goes: ids, numbers and days.';

create function messaging.removed_content(p_content jsonb, p_why text) returns jsonb
language sql immutable security invoker set search_path = ''
as $$
    select jsonb_build_object('kind', p_content -> 'kind', 'removed', p_why)
$$;
comment on function messaging.removed_content(jsonb, text) is 'The tombstone of a content: what kind it was, and why it went.';

create function messaging.forgettable(p_what text, p_keep_days integer) returns bigint
language sql stable security definer set search_path = ''
as $$
    select case p_what
        when 'texts' then (
            select count(*) from messaging.outbox as o
            where
                o.text_removed_at is null and o.dispatch_state in ('accepted', 'rejected', 'expired', 'withdrawn')
                and o.changed_at < messaging.clock() - make_interval(days => p_keep_days)
        )
        when 'event_texts' then (
            select count(*) from messaging.inbound_events as e
            where
                e.text is not null and e.processed_at is not null
                and e.received_at < messaging.clock() - make_interval(days => p_keep_days)
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
'How many rows have something that is kept for longer than so many days: texts (of messages that are over), event_texts, raw_events.';

create function messaging.forget(p_what text, p_keep_days integer, p_limit integer default 500) returns integer
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
            where e.text is not null and e.processed_at is not null and e.received_at < v_before
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
are unknown. event_texts: the words of events. raw_events: what the provider sent. States, times, counts, keys and history stay. Safe to repeat.';

do $$
declare
    v_function record;
begin
    for v_function in
        select
            p.oid::regprocedure as signature,
            p.proname as name
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'kept_facts', 'removed_content', 'forgettable', 'forget'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('forgettable', 'forget') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
