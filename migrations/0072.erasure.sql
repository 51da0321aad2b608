-- A person is erased on request (LGPD): words, name and phone go, the counts stay, and so does a stop that is in force.
-- Locks: none on any table that was there before.
-- depends: 0071.retention

set local lock_timeout = '5s';

create table messaging.erasures (
    id bigint generated always as identity primary key,
    erased_at timestamptz not null,
    erased_by text not null,
    why text,
    erased jsonb not null
);
alter table messaging.erasures enable row level security;
revoke all on table messaging.erasures from public, anon, authenticated, service_role;
comment on table messaging.erasures is
'Every time a person was erased: when, by whom, how many rows. Not whom: the rows bear erased:<id> where the phone was, so that they can still be counted.';
comment on column messaging.erasures.erased is 'How many rows of each kind.';

create function messaging.phone_forms(p_phone text) returns text[]
language sql immutable security definer set search_path = ''
as $$
    select array[k.key] || case when k.key ~ '^55[1-9]{2}[6-9][0-9]{7}$' then array[left(k.key, 4) || '9' || right(k.key, 8)] else '{}' end
    from (select messaging.phone_key(p_phone) as key) as k
$$;
comment on function messaging.phone_forms(text) is 'The digits under which a person may be written down: with and without the ninth one.';

create function messaging.needles(p_phone text) returns text
language sql stable security definer set search_path = ''
as $$
    select string_agg(n.digits, '|')
    from (
        select unnest(messaging.phone_forms(p_phone)) as digits
        union
        select split_part(l.lid, '@', 1) from messaging.person_lids as l
        where l.phone_key = messaging.phone_key(p_phone) and l.lid ~ '^[0-9]{8,}@'
    ) as n
$$;
comment on function messaging.needles(text) is 'A pattern of all digits by which a person is called: the forms of the phone, and LIDs.';

create function messaging.blank(p_table text, p_columns text[], p_key text, p_values anyarray) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_sets text;
    v_changes text;
    v_done bigint;
begin
    -- An adopted table may lack a column, or a whole table may be missing.
    select
        string_agg(format('%I = %s', c.name, c.blank), ', '), string_agg(format('t.%I is distinct from %s', c.name, c.blank), ' or ')
    into v_sets, v_changes
    from (
        select
            a.attname as name,
            case
                when not a.attnotnull then 'null'
                when a.atttypid in ('jsonb'::regtype, 'json'::regtype) then '''{}'''
                when format_type(a.atttypid, a.atttypmod) like '%[]' then '''{}'''
                else ''''''
            end as blank
        from pg_catalog.pg_attribute as a
        where a.attrelid = to_regclass(p_table) and a.attname = any(p_columns) and not a.attisdropped
    ) as c;
    if v_sets is null then
        return 0;
    end if;
    execute format('update %s as t set %s where t.%I = any($1) and (%s)', p_table, v_sets, p_key, v_changes) using p_values;
    get diagnostics v_done = row_count;
    return v_done;
end
$$;
comment on function messaging.blank(text, text[], text, anyarray) is
'Empties these columns, as far as they are there, of the rows whose key is among the values; how many rows had something in them.';

create function messaging.erase_preview(p_phone text) returns table (what text, found bigint)
language sql stable security definer set search_path = ''
as $$
    with person as (
        select
            messaging.phone_key(p_phone) as key,
            messaging.needles(p_phone) as needles,
            array(select l.lid from messaging.person_lids as l where l.phone_key = messaging.phone_key(p_phone)) as lids,
            array(
                select p.id from public.profiles as p
                where messaging.phone_key(p.phone) = messaging.phone_key(p_phone) and messaging.phone_key(p.phone) <> ''
            ) as profiles
    )

    select w.what, w.found
    from person as x
    cross join lateral (
        values
        ('messages', (
            select count(*) from messaging.outbox as o
            where o.phone_key = x.key or (o.profile_id = any(x.profiles) and o.phone not like 'erased:%')
        )),
        ('events', (
            select count(*) from messaging.inbound_events as e
            where messaging.phone_key(e.phone) = x.key or e.phone = any(x.lids) or e.payload::text ~ x.needles
        )),
        ('profiles', cardinality(x.profiles)::bigint),
        ('lids', cardinality(x.lids)::bigint),
        ('stops kept', (select count(*) from messaging.opt_outs as s where s.phone_key = x.key and s.opted_in_at is null))
    ) as w (what, found)
    where x.key ~ '^[0-9]{8,15}$'
$$;
comment on function messaging.erase_preview(text) is
'What erase_messages and erase_profile would find of a phone in any form. A stop in force is kept: it is what keeps us from writing again.';

create function messaging.erase_messages(p_phone text, p_by text, p_why text default null)
returns table (erasure_id bigint, erased jsonb, in_flight bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_key text := messaging.phone_key(p_phone);
    v_forms text := array_to_string(messaging.phone_forms(p_phone), '|');
    v_profiles uuid[];
    v_lids text[];
    v_needles text := messaging.needles(p_phone);
    v_mark text;
    v_messages bigint[];
    v_events bigint[];
    v_waiting bigint[];
    v_message bigint;
begin
    perform messaging.require(v_key ~ '^[0-9]{8,15}$', 'a person is erased by a phone of 8 to 15 digits');
    perform messaging.require(coalesce(p_by, '') <> '', 'an erasure says by whom');
    if exists (select from public.whatsapp_instances as i where messaging.phone_key(i.phone_number) = v_key) then
        raise exception using errcode = 'WP004', message = 'this is a number of ours, not a person';
    end if;

    -- The person first, as at the door; then the turn, the events, senders, outbox. App rows are erase_profile's: another transaction.
    perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || t.tenant || ':' || v_key, 0))
    from (
        select coalesce(i.agency_id::text, 'house') as tenant from public.whatsapp_instances as i
        union
        select 'house'
        order by tenant
    ) as t;
    v_now := messaging.clock();
    v_lids := array(select l.lid from messaging.person_lids as l where l.phone_key = v_key);
    v_profiles := array(
        select p.id from public.profiles as p where messaging.phone_key(p.phone) = v_key and messaging.phone_key(p.phone) <> ''
    );
    delete from messaging.turns as t where split_part(t.person_key, ':', 2) = v_key;
    v_events := array(
        select e.id from messaging.inbound_events as e
        where messaging.phone_key(e.phone) = v_key or e.phone = any(v_lids) or e.payload::text ~ v_needles
        order by e.id
        for no key update
    );
    v_messages := array(
        select o.id from messaging.outbox as o
        where o.phone_key = v_key or (o.profile_id = any(v_profiles) and o.phone not like 'erased:%')
        order by o.id
    );
    perform from messaging.senders as s
    where s.instance_id in (select o.instance_id from messaging.outbox as o where o.id = any(v_messages))
    order by s.instance_id
    for no key update;

    -- What waits goes first; then what waited for it to be settled.
    v_waiting := messaging.withdraw_messages(v_messages, p_by, 'the person was erased');
    for v_message in
        select o.id from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state = 'unknown' order by o.id
    loop
        perform messaging.move(v_message, 'withdrawn', p_by, 'the person was erased');
        v_waiting := v_waiting || v_message;
    end loop;
    -- What is being sent this moment has its words from us already, and may come back to the queue: it is for the next call.
    select count(*) into in_flight from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state = 'sending';
    v_messages := array(
        select o.id from messaging.outbox as o where o.id = any(v_messages) and o.dispatch_state <> 'sending'
        order by o.id
        for no key update
    );
    erased := jsonb_build_object('messages', cardinality(v_messages), 'withdrawn', cardinality(v_waiting), 'events', cardinality(v_events));
    if v_messages = '{}' and v_events = '{}' and v_lids = '{}' and v_profiles = '{}' then
        return next;
        return;
    end if;
    insert into messaging.erasures (erased_at, erased_by, why, erased) values (v_now, p_by, p_why, erased) returning id into erasure_id;
    v_mark := 'erased:' || erasure_id;

    update messaging.outbox as o
    set
        phone = v_mark, phone_key = v_mark, content = messaging.removed_content(o.content, 'erased'),
        facts = regexp_replace(messaging.kept_facts(o.facts)::text, v_forms, v_mark, 'g')::jsonb,
        text_removed_at = coalesce(o.text_removed_at, v_now), delivery_error = null,
        -- Of the text and the phone nothing can be found out any more by trying; a repeat of the request is told that it differs.
        request_hash = sha256(convert_to(v_mark, 'UTF8')),
        dedupe_key = case when o.dedupe_key ~ v_forms then v_mark || ':' || o.id else o.dedupe_key end,
        subject_id = regexp_replace(o.subject_id, v_forms, v_mark, 'g'), run_id = regexp_replace(o.run_id, v_forms, v_mark, 'g'),
        reason = case o.changed_by when 'decide_unknown' then v_mark else regexp_replace(o.reason, v_forms, v_mark, 'g') end
    where o.id = any(v_messages);
    update messaging.attempts as a set detail = null where a.message_id = any(v_messages) and a.detail is not null;
    update messaging.receipts as r set error = null where r.message_id = any(v_messages) and r.error is not null;
    update messaging.history as h
    -- Why somebody decided of a doubt is in that person's own words.
    set reason = case h.changed_by when 'decide_unknown' then v_mark else regexp_replace(h.reason, v_forms, v_mark, 'g') end
    where h.message_id = any(v_messages) and (h.changed_by = 'decide_unknown' or h.reason ~ v_forms) and h.reason not like 'erased:%';
    -- What the app could not take will not be tried again.
    with given_up as (
        select f.id from messaging.failed_effects as f
        where f.message_id = any(v_messages) and (f.succeeded_at is null or f.error ~ v_forms)
        for no key update skip locked
    )
    update messaging.failed_effects as f
    set error = 'given up: the person was erased', succeeded_at = coalesce(f.succeeded_at, v_now)
    from given_up
    where given_up.id = f.id;
    -- What was seen and decided about them stays; a provider's or a person's own words on it may hold a phone or a text.
    update messaging.evidence as e
    set detail = split_part(e.detail, ':', 1) || ': ' || v_mark || ', ' || e.id
    where e.message_id = any(v_messages) and e.detail like '%:%' and e.detail not like '%: erased:%';
    update messaging.decisions as d set why = null where d.message_id = any(v_messages) and d.why is not null;
    delete from messaging.sightings as s where s.phone_key = v_key;

    update messaging.inbound_events as e
    set
        payload = jsonb_build_object('removed', 'erased'), text = null, media_url = null,
        raw_removed_at = coalesce(e.raw_removed_at, v_now), text_removed_at = coalesce(e.text_removed_at, v_now),
        processed_at = coalesce(e.processed_at, v_now), person_key = null,
        phone = case when messaging.phone_key(e.phone) = v_key or e.phone = any(v_lids) then v_mark else e.phone end
    where e.id = any(v_events);
    delete from messaging.person_lids as l where l.phone_key = v_key;
    delete from messaging.takeovers as t where t.phone_key = v_key;
    -- A stop in force keeps the key, and nothing else: the rules look it up by that. An old one is history.
    update messaging.opt_outs as x
    set word = null, phone_key = case when x.opted_in_at is null then x.phone_key else v_mark end
    where x.phone_key = v_key and (x.word is not null or x.opted_in_at is not null);
    return next;
end
$$;
comment on function messaging.erase_messages(text, text, text) is
'A person is erased, the first half: what waits or is unknown is withdrawn; texts, raw events, phone and LIDs go from messages and events; a stop in force
stays. in_flight: so many are being sent this moment, ask again. erasure_id null: there was nothing. Safe to repeat.';

create function messaging.erase_profile(p_phone text, p_erasure_id bigint) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_key text := messaging.phone_key(p_phone);
    v_profiles uuid[];
    v_people uuid[];
    v_table text;
    v_columns text[];
    v_rows bigint;
    v_erased jsonb := '{}';
    v_phone_may_be_null boolean;
begin
    perform messaging.require(v_key ~ '^[0-9]{8,15}$', 'a person is erased by a phone of 8 to 15 digits');
    v_profiles := array(
        select p.id from public.profiles as p
        where messaging.phone_key(p.phone) = v_key and messaging.phone_key(p.phone) <> ''
        order by p.id
        for no key update
    );
    v_people := array(select p.user_id from public.profiles as p where p.id = any(v_profiles));
    select not a.attnotnull into v_phone_may_be_null
    from pg_catalog.pg_attribute as a
    where a.attrelid = 'public.profiles'::regclass and a.attname = 'phone';

    for v_table, v_columns in values
    ('public.messages', array['content']),
    ('public.checkins', array['notes']),
    ('public.weekly_plans', array['goals', 'reflections']),
    ('public.commitments', array['title', 'description']),
    ('public.sessions', array['focus_topic', 'session_summary', 'key_insights', 'commitments']),
    ('public.conversation_followups', array['conversation_context']),
    ('public.aura_response_state', array['pending_content', 'pending_context', 'last_user_message_id']),
    ('public.user_meditation_history', array['context'])
    loop
        v_rows := messaging.blank(v_table, v_columns, 'user_id', v_people);
        v_erased := v_erased || jsonb_build_object(v_table, v_rows);
    end loop;
    update public.zapi_message_dedup as d set phone = null where messaging.phone_key(d.phone) = v_key;
    v_rows := messaging.blank(
        'public.profiles',
        array[
            'name', 'email', 'therapy_experience', 'main_challenges', 'expectations', 'preferred_support_style', 'primary_topic',
            'preferred_session_time', 'stripe_customer_id'
        ],
        'id', v_profiles
    );
    -- Without a phone nobody can be written to, as canceled nobody is chosen, and the seat is free again (by trigger).
    update public.profiles as p
    set
        phone = case when not v_phone_may_be_null then 'erased@' || p.id end, status = 'canceled',
        canceled_at = coalesce(p.canceled_at, messaging.clock()), whatsapp_instance_id = null
    where p.id = any(v_profiles);
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.profiles', v_rows);
    -- A later event of the subscription finds nobody.
    update messaging.stripe_events as s set profile_id = null where s.profile_id = any(v_profiles);
    -- What agencies send to the phone: nobody is written to that was not entered again.
    update public.whatsapp_report_settings as r
    set phone_number = null, is_active = false
    where messaging.phone_key(r.phone_number) = v_key;
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.whatsapp_report_settings', v_rows);
    update public.account_balance_alerts as b
    set recipient_phone = null, is_active = false
    where messaging.phone_key(b.recipient_phone) = v_key;
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.account_balance_alerts', v_rows);
    update messaging.erasures as e set erased = e.erased || v_erased where e.id = p_erasure_id;
    return v_erased;
end
$$;
comment on function messaging.erase_profile(text, bigint) is
'A person is erased, the second half: the words in the app''s tables, name, phone and e-mail of the profile, which stays without a number as canceled; what
agencies send to the phone is switched off. The counts join the erasure''s. Safe to repeat.';

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
                'phone_forms', 'needles', 'blank', 'erase_preview', 'erase_messages', 'erase_profile'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
        if v_function.name in ('erase_preview', 'erase_messages', 'erase_profile') then
            execute format('grant execute on function %s to service_role', v_function.signature);
        end if;
    end loop;
end
$$;
