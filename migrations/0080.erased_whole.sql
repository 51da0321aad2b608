-- An erasure is whole: what was being sent meanwhile goes by the next call, what stands under an earlier phone goes too, and whoever mentioned the person
-- keeps a message that is still to be answered.
-- Locks: ACCESS EXCLUSIVE on messaging.erasures (a row per request) for adding two empty columns: milliseconds.
-- depends: 0079.proof

set local lock_timeout = '5s';

alter table messaging.erasures add column open_keys text[], add column open_profiles uuid[];
comment on column messaging.erasures.open_keys is
'The phone keys of the person while the erasure is not over: its second half has not run, or something was being sent. Null: it is over, nobody is named.';
comment on column messaging.erasures.open_profiles is
'The profiles that go with open_keys: without a phone already, the app may still be told of what was sent.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.person_to_erase(text)');
create function messaging.person_to_erase(p_phone text)
returns table (keys text[], profiles uuid[], lids text[], forms text, needles text, open_ids bigint[])
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_key text := messaging.phone_key(p_phone);
    v_had text[];
begin
    open_ids := array(select r.id from messaging.erasures as r where v_key = any(r.open_keys) order by r.id);
    profiles := array(
        select p.id from public.profiles as p where messaging.phone_key(p.phone) = v_key and messaging.phone_key(p.phone) <> ''
        union
        select unnest(r.open_profiles) from messaging.erasures as r where r.id = any(open_ids)
        order by 1
    );
    -- Where the person was before: never a number of ours, to which a test may have been sent.
    v_had := array(
        select h.key
        from (
            select o.phone_key as key from messaging.outbox as o where o.profile_id = any(profiles)
            union
            select messaging.phone_key(e.phone) from messaging.inbound_events as e
            where e.profile_id = any(profiles) and e.phone not like 'erased:%' and e.phone not like '%@lid'
            union
            select unnest(r.open_keys) from messaging.erasures as r where r.id = any(open_ids)
        ) as h
        where
            h.key ~ '^[0-9]{8,15}$' and h.key <> v_key
            and not exists (select from public.whatsapp_instances as i where messaging.phone_key(i.phone_number) = h.key)
        order by h.key
    );
    -- A phone that is somebody else's by now names somebody else: of it, only what bears the profile is this person's.
    keys := v_key || array(
        select h.key from unnest(v_had) as h (key)
        where not exists (
            select from public.profiles as p where messaging.phone_key(p.phone) = h.key and p.id <> all(profiles)
        )
    );
    lids := array(select l.lid from messaging.person_lids as l where l.phone_key = any(keys) order by l.lid);
    select string_agg(array_to_string(messaging.phone_forms(h.key), '|'), '|') into forms from unnest(v_key || v_had) as h (key);
    -- Whole numbers, with the zeros of a trunk or an exit code: not eight digits amid a timestamp.
    select '(?<![0-9])0{0,2}(?:' || string_agg(messaging.needles(k.key), '|') || ')(?![0-9])' into needles from unnest(keys) as k (key);
    return next;
end
$$;
comment on function messaging.person_to_erase(text) is
'Who is meant by a phone: the keys of it and of earlier phones that nobody else has, profiles, LIDs. forms: a pattern of all phones they ever had, for what is
theirs; needles: of what names them and nobody else, for what others wrote. open_ids: erasures of them that are not over.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.events_naming(text[],uuid[],text[],text)');
create function messaging.events_naming(p_keys text[], p_profiles uuid[], p_lids text[], p_needles text)
returns table (event_id bigint, is_own boolean)
language sql stable security definer set search_path = ''
as $$
    select
        e.id,
        w.is_theirs or case
            when w.writer <> '' then w.writer ~ p_needles
            -- Nobody is known who wrote it (a group, a list, the provider itself): rather too much goes than too little.
            else coalesce(split_part(e.phone, '@', 1) !~ '^[0-9]+$' or e.phone ~ '@(g[.]us|broadcast|newsletter)$', true)
        end
    from messaging.inbound_events as e
    cross join lateral (
        select
            coalesce(
                e.phone not like 'erased:%'
                and (messaging.phone_key(e.phone) = any(p_keys) or e.phone = any(p_lids) or e.profile_id = any(p_profiles)), false
            ) as is_theirs,
            -- Who wrote in a group, as either provider names them.
            concat_ws(
                ' ', e.payload ->> 'participantPhone', e.payload ->> 'participantLid', e.payload #>> '{data,key,participant}',
                e.payload #>> '{data,key,participantAlt}', e.payload #>> '{data,key,participantPn}', e.payload #>> '{data,participant}'
            ) as writer
    ) as w
    where w.is_theirs or e.payload::text ~ p_needles or e.text ~ p_needles
$$;
comment on function messaging.events_naming(text[], uuid[], text[], text) is
'The events of a person (is_own), and those in which somebody else mentions them.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.replace_digits(jsonb,text,text)');
create function messaging.replace_digits(p_json jsonb, p_pattern text, p_mark text) returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
begin
    if p_json::text !~ p_pattern then
        return p_json;
    end if;
    return case jsonb_typeof(p_json)
        when 'object' then (
            select jsonb_object_agg(regexp_replace(f.key, p_pattern, p_mark, 'g'), messaging.replace_digits(f.value, p_pattern, p_mark))
            from jsonb_each(p_json) as f
        )
        when 'array' then (
            select jsonb_agg(messaging.replace_digits(f.value, p_pattern, p_mark) order by f.ordinality)
            from jsonb_array_elements(p_json) with ordinality as f
        )
        when 'number' then to_jsonb(p_mark)
        else to_jsonb(regexp_replace(p_json #>> '{}', p_pattern, p_mark, 'g'))
    end;
end
$$;
comment on function messaging.replace_digits(jsonb, text, text) is
'The same JSON with a mark for what matches in keys and texts, and for numbers that match (then a text).';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.erase_outbox(bigint[],text,text,timestamptz)');
create function messaging.erase_outbox(p_ids bigint[], p_forms text, p_mark text, p_now timestamptz) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    update messaging.outbox as o
    set
        phone = p_mark, phone_key = p_mark, content = messaging.removed_content(o.content, 'erased'),
        facts = messaging.replace_digits(messaging.kept_facts(o.facts), p_forms, p_mark),
        text_removed_at = coalesce(o.text_removed_at, p_now), delivery_error = null,
        -- Of the text and the phone nothing can be found out any more by trying; a repeat of the request is told that it differs.
        request_hash = sha256(convert_to(p_mark, 'UTF8')),
        dedupe_key = case when o.dedupe_key ~ p_forms then p_mark || ':' || o.id else o.dedupe_key end,
        subject_id = regexp_replace(o.subject_id, p_forms, p_mark, 'g'), run_id = regexp_replace(o.run_id, p_forms, p_mark, 'g'),
        reason = case o.changed_by when 'decide_unknown' then p_mark else regexp_replace(o.reason, p_forms, p_mark, 'g') end
    where o.id = any(p_ids);
    update messaging.attempts as a set detail = null where a.message_id = any(p_ids) and a.detail is not null;
    update messaging.receipts as r set error = null where r.message_id = any(p_ids) and r.error is not null;
    update messaging.history as h
    -- Why somebody decided of a doubt is in that person's own words.
    set reason = case h.changed_by when 'decide_unknown' then p_mark else regexp_replace(h.reason, p_forms, p_mark, 'g') end
    where h.message_id = any(p_ids) and (h.changed_by = 'decide_unknown' or h.reason ~ p_forms) and h.reason not like 'erased:%';
    -- What the app could not take will not be tried again.
    with given_up as (
        select f.id from messaging.failed_effects as f
        where f.message_id = any(p_ids) and (f.succeeded_at is null or f.error ~ p_forms)
        for no key update skip locked
    )
    update messaging.failed_effects as f
    set error = 'given up: the person was erased', succeeded_at = coalesce(f.succeeded_at, p_now)
    from given_up
    where given_up.id = f.id;
    -- What was seen and decided about them stays; a provider's or a person's own words on it may hold a phone or a text.
    update messaging.evidence as e
    set detail = split_part(e.detail, ':', 1) || ': ' || p_mark || ', ' || e.id
    where e.message_id = any(p_ids) and e.detail like '%:%' and e.detail not like '%: erased:%';
    update messaging.decisions as d set why = null where d.message_id = any(p_ids) and d.why is not null;
end
$$;
comment on function messaging.erase_outbox(bigint[], text, text, timestamptz) is
'Words and phones go from these messages (locked by the caller) and from whatever tells of them; states, times and counts stay.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.erase_preview(text)');
create or replace function messaging.erase_preview(p_phone text) returns table (what text, found bigint)
language sql stable security definer set search_path = ''
as $$
    select w.what, w.found
    from messaging.person_to_erase(p_phone) as x
    cross join lateral (
        select
            count(*) filter (where n.is_own) as own,
            count(*) filter (where not n.is_own) as mentions
        from messaging.events_naming(x.keys, x.profiles, x.lids, x.needles) as n
    ) as e
    cross join lateral (
        values
        ('messages', (
            select count(*) from messaging.outbox as o
            where (o.phone_key = any(x.keys) or o.profile_id = any(x.profiles)) and o.phone not like 'erased:%'
        )),
        ('events', e.own),
        ('mentions', e.mentions),
        ('profiles', cardinality(x.profiles)::bigint),
        ('lids', cardinality(x.lids)::bigint),
        ('erasures not over', cardinality(x.open_ids)::bigint),
        ('stops kept', (select count(*) from messaging.opt_outs as s where s.phone_key = any(x.keys) and s.opted_in_at is null))
    ) as w (what, found)
    where messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$'
$$;
comment on function messaging.erase_preview(text) is
'What erase_messages and erase_profile would find of a phone in any form. A stop in force is kept: it is what keeps us from writing again.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.erase_messages(text,text,text)');
create or replace function messaging.erase_messages(p_phone text, p_by text, p_why text default null)
returns table (erasure_id bigint, erased jsonb, in_flight bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_key text := messaging.phone_key(p_phone);
    v_person record;
    v_mark text;
    v_messages bigint[];
    v_own bigint[];
    v_mentions bigint[];
    v_waiting bigint[];
    v_message bigint;
begin
    perform messaging.require(v_key ~ '^[0-9]{8,15}$', 'a person is erased by a phone of 8 to 15 digits');
    perform messaging.require(coalesce(p_by, '') <> '', 'an erasure says by whom');
    if exists (select from public.whatsapp_instances as i where messaging.phone_key(i.phone_number) = v_key) then
        raise exception using errcode = 'WP004', message = 'this is a number of ours, not a person';
    end if;

    -- The person first, as at the door; then the turn, the events, senders, outbox. App rows are erase_profile's: another transaction.
    perform pg_advisory_xact_lock(hashtextextended('roleta.person.' || t.tenant || ':' || t.key, 0))
    from (
        select a.tenant, k.key
        from messaging.person_to_erase(p_phone) as x
        cross join lateral unnest(x.keys) as k (key)
        cross join (
            select coalesce(i.agency_id::text, 'house') as tenant from public.whatsapp_instances as i
            union
            select 'house'
        ) as a
        order by k.key, a.tenant
    ) as t;
    v_now := messaging.clock();
    select x.* into v_person from messaging.person_to_erase(p_phone) as x;
    delete from messaging.turns as t
    where
        split_part(t.person_key, ':', 2) = any(v_person.keys)
        -- Under a phone that somebody else has by now, unless that one waits for the same turn.
        or (t.profile_id = any(v_person.profiles) and not exists (
            select from messaging.inbound_events as e
            where e.person_key = t.person_key and e.processed_at is null and e.profile_id <> all(v_person.profiles)
        ));
    select
        coalesce(array_agg(n.event_id) filter (where n.is_own), '{}'),
        coalesce(array_agg(n.event_id) filter (where not n.is_own), '{}')
    into v_own, v_mentions
    from messaging.events_naming(v_person.keys, v_person.profiles, v_person.lids, v_person.needles) as n;
    perform from messaging.inbound_events as e where e.id = any(v_own || v_mentions) order by e.id for no key update;
    v_messages := array(
        select o.id from messaging.outbox as o
        where (o.phone_key = any(v_person.keys) or o.profile_id = any(v_person.profiles)) and o.phone not like 'erased:%'
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
    erased := jsonb_build_object(
        'messages', cardinality(v_messages), 'withdrawn', cardinality(v_waiting), 'events', cardinality(v_own), 'mentions', cardinality(v_mentions)
    );
    if v_messages = '{}' and v_own = '{}' and v_mentions = '{}' and v_person.lids = '{}' and v_person.profiles = '{}' and v_person.open_ids = '{}' then
        return next;
        return;
    end if;
    -- Whoever comes next finds by this what the second half would no longer find by a phone: erase_profile closes it.
    insert into messaging.erasures (erased_at, erased_by, why, erased, open_keys, open_profiles)
    values (v_now, p_by, p_why, erased, v_person.keys, v_person.profiles)
    returning id into erasure_id;
    v_mark := 'erased:' || erasure_id;

    perform messaging.erase_outbox(v_messages, v_person.forms, v_mark, v_now);
    delete from messaging.sightings as s where s.phone_key = any(v_person.keys);
    update messaging.inbound_events as e
    set
        payload = jsonb_build_object('removed', 'erased'), text = null, media_url = null,
        raw_removed_at = coalesce(e.raw_removed_at, v_now), text_removed_at = coalesce(e.text_removed_at, v_now),
        processed_at = coalesce(e.processed_at, v_now), person_key = null,
        phone = case
            when
                messaging.phone_key(e.phone) = any(v_person.keys) or e.phone = any(v_person.lids) or e.profile_id = any(v_person.profiles)
                then v_mark
            else e.phone
        end
    where e.id = any(v_own);
    -- Somebody else's message stays, and is answered: of it, only the digits are this person's.
    update messaging.inbound_events as e
    set
        payload = messaging.replace_digits(e.payload, v_person.needles, v_mark),
        text = regexp_replace(e.text, v_person.needles, v_mark, 'g')
    where e.id = any(v_mentions);
    delete from messaging.person_lids as l where l.phone_key = any(v_person.keys);
    delete from messaging.takeovers as t where t.phone_key = any(v_person.keys);
    -- A stop in force keeps the key, and nothing else: the rules look it up by that. An old one is history.
    update messaging.opt_outs as x
    set word = null, phone_key = case when x.opted_in_at is null then x.phone_key else v_mark end
    where x.phone_key = any(v_person.keys) and (x.word is not null or x.opted_in_at is not null);
    return next;
end
$$;
comment on function messaging.erase_messages(text, text, text) is
'A person is erased, the first half: what waits or is unknown is withdrawn; texts, raw events, phones (earlier ones too) and LIDs go from messages and events,
and from what others wrote the digits; a stop in force stays. in_flight: so many are being sent this moment, ask again, or their words stay. erasure_id null:
there was nothing. Safe to repeat.';

select roleta_migrations.remember_function('0080.erased_whole', 'messaging.erase_profile(text,bigint)');
create or replace function messaging.erase_profile(p_phone text, p_erasure_id bigint) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_key text := messaging.phone_key(p_phone);
    v_person record;
    v_people uuid[];
    v_erasures bigint[];
    v_table text;
    v_columns text[];
    v_rows bigint;
    v_erased jsonb := '{}';
    v_phone_may_be_null boolean;
begin
    perform messaging.require(v_key ~ '^[0-9]{8,15}$', 'a person is erased by a phone of 8 to 15 digits');
    select x.* into v_person from messaging.person_to_erase(p_phone) as x;
    perform from public.profiles as p where p.id = any(v_person.profiles) order by p.id for no key update;
    v_erasures := array(
        select r.id from messaging.erasures as r where r.id = any(v_person.open_ids || p_erasure_id)
        order by r.id
        for no key update
    );
    v_people := array(select p.user_id from public.profiles as p where p.id = any(v_person.profiles));
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
    update public.zapi_message_dedup as d set phone = null where messaging.phone_key(d.phone) = any(v_person.keys);
    v_rows := messaging.blank(
        'public.profiles',
        array[
            'name', 'email', 'therapy_experience', 'main_challenges', 'expectations', 'preferred_support_style', 'primary_topic',
            'preferred_session_time', 'stripe_customer_id'
        ],
        'id', v_person.profiles
    );
    -- Without a phone nobody can be written to, as canceled nobody is chosen, and the seat is free again (by trigger).
    update public.profiles as p
    set
        phone = case when not v_phone_may_be_null then 'erased@' || p.id end, status = 'canceled',
        canceled_at = coalesce(p.canceled_at, messaging.clock()), whatsapp_instance_id = null
    where p.id = any(v_person.profiles);
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.profiles', v_rows);
    -- A later event of the subscription finds nobody.
    update messaging.stripe_events as s set profile_id = null where s.profile_id = any(v_person.profiles);
    -- What agencies send to the phone: nobody is written to that was not entered again.
    update public.whatsapp_report_settings as r
    set phone_number = null, is_active = false
    where messaging.phone_key(r.phone_number) = any(v_person.keys);
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.whatsapp_report_settings', v_rows);
    update public.account_balance_alerts as b
    set recipient_phone = null, is_active = false
    where messaging.phone_key(b.recipient_phone) = any(v_person.keys);
    get diagnostics v_rows = row_count;
    v_erased := v_erased || jsonb_build_object('public.account_balance_alerts', v_rows);
    -- Why the provider refused a report is in its own words, which may name the phone. As text: an adopted column may be of any type.
    v_rows := messaging.blank('public.whatsapp_report_logs', array['error_message'], 'id', array(
        select l.id from public.whatsapp_report_logs as l
        where l.message_id::text in (
            select o.id::text from messaging.outbox as o where o.phone_key in (select 'erased:' || r.id from unnest(v_erasures) as r (id))
        )
    ));
    v_erased := v_erased || jsonb_build_object('public.whatsapp_report_logs', v_rows);
    update messaging.erasures as r set erased = r.erased || v_erased where r.id = p_erasure_id;
    -- What is still to be erased may tell the app something more: then the next call has to come back here.
    update messaging.erasures as r
    set open_keys = null, open_profiles = null
    where
        r.id = any(v_erasures) and not exists (
            select from messaging.outbox as o
            where (o.phone_key = any(v_person.keys) or o.profile_id = any(v_person.profiles)) and o.phone not like 'erased:%'
        );
    return v_erased;
end
$$;
comment on function messaging.erase_profile(text, bigint) is
'A person is erased, the second half: the words in the app''s tables, name, phone and e-mail of the profile, which stays without a number as canceled; what
agencies send to the phone is switched off. The counts join the erasure''s, which is over unless something is still being sent. Safe to repeat.';

do $$
declare
    v_function record;
begin
    for v_function in
        select p.oid::regprocedure as signature
        from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('person_to_erase', 'events_naming', 'replace_digits', 'erase_outbox')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
    end loop;
end
$$;
