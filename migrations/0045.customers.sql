-- A purchase: the profile of whoever paid, a seat, and the text, in one transaction.
-- Locks: none; functions only.
-- depends: 0044.stripe_events

set local lock_timeout = '5s';

create function messaging.contact(p_profile_id uuid) returns table (profile_id uuid, name text, phone text)
language sql stable security definer set search_path = ''
as $$
    select p.id, p.name::text, nullif(btrim(p.phone::text), '') from public.profiles as p where p.id = p_profile_id
$$;
comment on function messaging.contact(uuid) is 'How a profile is called and where it is reached; no row for a strange id.';

create function messaging.plan_sessions(p_plan text) returns integer
language sql stable security definer set search_path = ''
as $$
    -- The app's table decides; where it has no row, the plans that the original was sold with (functions 1.3).
    select coalesce(
        (select max(c.sessions_per_month) from public.plan_configs as c where c.plan = p_plan),
        case p_plan when 'direcao' then 4 when 'transformacao' then 8 else 0 end
    )
$$;
comment on function messaging.plan_sessions(text) is 'How many sessions a month this plan has; 0 for a plan that nobody knows.';

create function messaging.tell_customer(
    p_profile_id uuid, p_phone text, p_purpose text, p_text text, p_subject_id text, p_dedupe_key text, p_enqueued_by text
) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message bigint;
begin
    -- Nobody to write to, or nothing to write from, is no reason to lose what was paid.
    if coalesce(messaging.phone_key(p_phone), '') !~ '^[0-9]{8,15}$' or messaging.resolve_instance(p_profile_id, p_phone) is null then
        return null;
    end if;
    select e.message_id into v_message
    from messaging.enqueue(jsonb_build_object(
        'purpose', p_purpose, 'phone', p_phone, 'profile_id', p_profile_id, 'subject_id', p_subject_id,
        'content', jsonb_build_object('kind', 'text', 'text', p_text),
        'dedupe_key', p_dedupe_key, 'enqueued_by', p_enqueued_by
    )) as e;
    return v_message;
end
$$;
comment on function messaging.tell_customer(uuid, text, text, text, text, text, text) is
'Enqueues one text about an account on the person''s number; null where there is no phone or no number at all.';

create function messaging.lock_customer(p_phone text) returns public.profiles
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_profile public.profiles;
    v_id uuid;
begin
    -- The lock of sign_up: a trial and a purchase of one phone at once are one person.
    perform pg_advisory_xact_lock(hashtextextended('roleta.sign_up.' || messaging.phone_key(p_phone), 0));
    loop
        v_id := messaging.find_profile(p_phone);
        exit when v_id is null;
        select p.* into v_profile from public.profiles as p where p.id = v_id for no key update;
        exit when found;
    end loop;
    return v_profile;
end
$$;
comment on function messaging.lock_customer(text) is
'The profile of a phone, locked; a row of nulls where there is none, and then nobody else makes one before this transaction ends.';

create function messaging.add_customer(p_name text, p_phone text, p_email text) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_id uuid;
    v_email text;
begin
    -- Once more without the e-mail, where the app lets one stand only once: a person who paid is not turned away for it.
    foreach v_email in array array[p_email, null] loop
        insert into public.profiles (user_id, name, phone, email, plan, status)
        values (gen_random_uuid(), p_name, p_phone, v_email, 'essencial', 'active')
        on conflict do nothing
        returning id into v_id;
        exit when v_id is not null;
        -- The app itself may have inserted this phone meanwhile, past our lock.
        v_id := messaging.find_profile(p_phone);
        exit when v_id is not null;
    end loop;
    if v_id is null then
        raise exception using errcode = 'WP004', message = 'another profile already has something of this purchase';
    end if;
    return v_id;
end
$$;
comment on function messaging.add_customer(text, text, text) is
'A new profile for a person who paid, with a user_id of its own; the one that the app made meanwhile, if so.';

create function messaging.activate_customer(
    p_profile_id uuid, p_phone text, p_name text, p_email text, p_plan text, p_customer_id text, p_strategy text
) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_today date := messaging.local_date(messaging.clock());
begin
    update public.profiles as p
    set
        status = 'active',
        plan = coalesce(p_plan, p.plan, 'essencial'),
        name = coalesce(nullif(btrim(p.name), ''), p_name),
        phone = coalesce(nullif(btrim(p.phone), ''), p_phone),
        stripe_customer_id = coalesce(p_customer_id, p.stripe_customer_id),
        payment_failed_at = null,
        canceled_at = null,
        sessions_used_this_month = 0,
        sessions_reset_date = v_today,
        -- Somebody with an appointment has said when; everybody else of a plan with sessions is asked.
        needs_schedule_setup = messaging.plan_sessions(coalesce(p_plan, p.plan, 'essencial')) > 0
        and not exists (
            select from public.sessions as s
            where s.user_id = p.user_id and s.status = 'scheduled' and s.scheduled_at > messaging.clock()
        )
    where p.id = p_profile_id;
    begin
        update public.profiles as p set email = p_email where p.id = p_profile_id and p.email is null and p_email is not null;
    exception
        -- Another profile has it, and the app lets it stand only once.
        when unique_violation then
            null;
    end;
    return public.allocate_whatsapp_instance(p_profile_id, p_strategy);
end
$$;
comment on function messaging.activate_customer(uuid, text, text, text, text, text, text) is
'Makes a profile active under a plan and gives it a seat where it has none; the number, or null where none has room.';

create function messaging.apply_checkout(
    p_event_id text, p_type text, p_created_at timestamptz, p_checkout_id text, p_subscription_id text, p_customer_id text,
    p_payment text, p_name text, p_phone text, p_email text, p_plan text, p_texts jsonb, p_enqueued_by text,
    p_strategy text default 'random'
)
returns table (is_new boolean, outcome text, profile_id uuid, instance_id uuid, no_room boolean, message_id bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_profile public.profiles;
    v_phone text := p_phone;
    v_kind text;
begin
    perform messaging.require(p_payment in ('paid', 'unpaid', 'failed'), 'a checkout is paid, unpaid or failed');
    outcome := messaging.take_stripe_event(p_event_id, p_type, p_created_at, p_checkout_id, p_subscription_id);
    is_new := outcome is null;
    if not is_new then
        select e.profile_id into profile_id from messaging.stripe_events as e where e.event_id = p_event_id;
        return next;
        return;
    end if;

    -- A customer who comes back without saying the phone again is still known.
    if v_phone is null then
        select c.phone into v_phone from messaging.contact(messaging.stripe_profile(null, null, p_customer_id)) as c;
    end if;
    if coalesce(messaging.phone_key(v_phone), '') !~ '^[0-9]{8,15}$' then
        outcome := 'no_phone';
        perform messaging.settle_stripe_event(p_event_id, null, outcome, false);
        return next;
        return;
    end if;
    v_profile := messaging.lock_customer(v_phone);
    profile_id := v_profile.id;

    outcome := case
        when p_payment = 'unpaid' then 'unpaid'
        -- Both of its events may say that a purchase is paid.
        when exists (
            select from messaging.stripe_events as e
            where e.checkout_id = p_checkout_id and e.profile_id = v_profile.id and e.applied
        ) then 'repeated'
        when p_payment = 'failed' then 'payment_refused'
        when exists (
            select from messaging.stripe_events as e
            where e.subscription_id = p_subscription_id and e.type = 'customer.subscription.deleted' and e.created_at >= p_created_at
        ) then 'ended'
        -- What happened later to another subscription says nothing about this one; that it is active says the same.
        when exists (
            select from messaging.stripe_events as e
            where
                e.profile_id = v_profile.id and e.applied and e.created_at > p_created_at and e.outcome <> 'active'
                and (e.subscription_id = p_subscription_id or e.subscription_id is null or p_subscription_id is null)
        ) then 'stale'
        when v_profile.id is null then 'welcome'
        when v_profile.status in ('canceled', 'inactive', 'paused') then 'welcome_back'
        else 'upgrade'
    end;

    if outcome = 'payment_refused' then
        message_id := messaging.tell_customer(
            profile_id, v_phone, 'payment', p_texts ->> 'payment_refused', null,
            'payment_refused:' || coalesce(p_checkout_id, p_event_id), p_enqueued_by
        );
    elsif outcome in ('welcome', 'welcome_back', 'upgrade') then
        profile_id := coalesce(profile_id, messaging.add_customer(p_name, v_phone, p_email));
        -- The seat first, so that the text leaves from the person's own number (bug 19).
        instance_id := messaging.activate_customer(profile_id, v_phone, p_name, p_email, p_plan, p_customer_id, p_strategy);
        no_room := instance_id is null;
        select
            case when messaging.plan_sessions(p.plan) > 0 and p.needs_schedule_setup then outcome || '_sessions' else outcome end,
            p.phone
        into v_kind, v_phone
        from public.profiles as p
        where p.id = profile_id;
        message_id := messaging.tell_customer(
            profile_id, v_phone, outcome, p_texts ->> v_kind, null, outcome || ':' || coalesce(p_checkout_id, p_event_id), p_enqueued_by
        );
    end if;
    perform messaging.settle_stripe_event(p_event_id, profile_id, outcome, outcome in ('welcome', 'welcome_back', 'upgrade'));
    return next;
end
$$;
comment on function messaging.apply_checkout(
    text, text, timestamptz, text, text, text, text, text, text, text, text, jsonb, text, text
) is
'A purchase: profile, seat, then the text (p_texts by kind: welcome, upgrade, welcome_back, each also with _sessions; payment_refused), in one
transaction, once per event and checkout. An unpaid one changes nothing.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'contact', 'plan_sessions', 'tell_customer', 'lock_customer', 'add_customer', 'activate_customer', 'apply_checkout'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.contact(uuid) to service_role;
grant execute on function messaging.apply_checkout(
    text, text, timestamptz, text, text, text, text, text, text, text, text, jsonb, text, text
) to service_role;
