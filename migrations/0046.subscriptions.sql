-- What becomes of a subscription, in Stripe's order: status and text in one transaction.
-- Locks: none; functions only.
-- depends: 0045.customers

set local lock_timeout = '5s';

create function messaging.apply_subscription(
    p_event_id text, p_type text, p_created_at timestamptz, p_change text, p_subscription_id text, p_customer_id text,
    p_phone text, p_texts jsonb, p_enqueued_by text, p_strategy text default 'random'
)
returns table (is_new boolean, outcome text, profile_id uuid, message_id bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_profile public.profiles;
    v_current text;
    v_purpose text;
begin
    perform messaging.require(p_change in ('ended', 'resumed', 'unpaid', 'active'), 'a subscription is ended, resumed, unpaid or active');
    outcome := messaging.take_stripe_event(p_event_id, p_type, p_created_at, null, p_subscription_id);
    is_new := outcome is null;
    if not is_new then
        select e.profile_id into profile_id from messaging.stripe_events as e where e.event_id = p_event_id;
        return next;
        return;
    end if;

    select p.* into v_profile
    from public.profiles as p
    where p.id = messaging.stripe_profile(p_subscription_id, p_phone, p_customer_id)
    for no key update;
    profile_id := v_profile.id;
    -- The subscription that the person lives on now: of the last event that decided something.
    select e.subscription_id into v_current
    from messaging.stripe_events as e
    where e.profile_id = v_profile.id and e.applied and e.subscription_id is not null
    order by e.created_at desc, e.received_at desc
    limit 1;

    outcome := case
        when v_profile.id is null then 'unknown_person'
        when exists (
            select from messaging.stripe_events as e
            where e.profile_id = v_profile.id and e.applied and e.created_at > p_created_at
        ) then 'stale'
        -- The old subscription of somebody who bought a new one may end, or go unpaid, in peace.
        when v_current <> p_subscription_id and (
            p_change in ('ended', 'unpaid') or (p_change = 'active' and v_profile.status is distinct from 'past_due')
        ) then 'other_subscription'
        when p_change = 'ended' and v_profile.status = 'canceled' then 'unchanged'
        when p_change = 'ended' then 'farewell'
        when p_change = 'resumed' and v_profile.status = 'active' then 'active'
        when p_change = 'resumed' then 'welcome_back'
        when p_change = 'active' then 'active'
        -- A card refused at the counter takes nothing away from somebody on trial, let alone from somebody who left.
        when coalesce(v_profile.status, '') not in ('active', 'past_due') then 'not_subscribed'
        -- Stripe tries again for weeks and tells each time. A period of payment is a month: one text in each.
        when v_profile.payment_failed_at > p_created_at - interval '25 days' then 'payment_again'
        else 'payment'
    end;

    if outcome = 'farewell' then
        update public.profiles as p
        set status = 'canceled', canceled_at = p_created_at, payment_failed_at = null
        where p.id = profile_id;
        v_purpose := 'farewell';
    elsif outcome = 'welcome_back' or (outcome = 'active' and (v_profile.status = 'past_due' or v_profile.payment_failed_at is not null)) then
        update public.profiles as p
        set status = 'active', canceled_at = null, payment_failed_at = null
        where p.id = profile_id;
        v_purpose := nullif(outcome, 'active');
    elsif outcome in ('payment', 'payment_again') then
        update public.profiles as p
        set status = 'past_due', payment_failed_at = case outcome when 'payment' then p_created_at else p.payment_failed_at end
        where p.id = profile_id;
        v_purpose := nullif(outcome, 'payment_again');
    end if;
    if p_customer_id is not null then
        update public.profiles as p set stripe_customer_id = p_customer_id where p.id = profile_id and p.stripe_customer_id is null;
    end if;

    if v_purpose is not null then
        -- Somebody who never got a number gets one before being written to.
        perform public.allocate_whatsapp_instance(profile_id, p_strategy);
        message_id := messaging.tell_customer(
            profile_id, coalesce(nullif(btrim(v_profile.phone), ''), p_phone), v_purpose, p_texts ->> v_purpose,
            profile_id::text, v_purpose || ':' || p_event_id, p_enqueued_by
        );
    end if;
    perform messaging.settle_stripe_event(
        p_event_id, profile_id, outcome, outcome in ('farewell', 'welcome_back', 'active', 'payment', 'payment_again')
    );
    return next;
end
$$;
comment on function messaging.apply_subscription(text, text, timestamptz, text, text, text, text, jsonb, text, text) is
'What became of a subscription (ended, resumed, unpaid, active): status and text (p_texts by purpose: farewell, welcome_back, payment) in one
transaction, once per event. An event older than the last one that decided changes nothing.';

-- What may change between the event and the number's turn to speak.

create function messaging.due_payment(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    -- Without a subject it is about a purchase that failed, which stays true.
    select case
        when p_subject_id is null then null
        when not exists (
            select from public.profiles as p where p.id = p_subject_id::uuid and p.status = 'past_due'
        ) then 'the payment is no longer missing'
    end
$$;
comment on function messaging.due_payment(text) is 'Why the text about a missing payment is no longer due; null: it still is.';

create function messaging.due_farewell(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (
            select from public.profiles as p where p.id = p_subject_id::uuid and p.status = 'canceled'
        ) then 'the person is back'
    end
$$;
comment on function messaging.due_farewell(text) is 'Why a farewell is no longer due; null: it still is.';

update messaging.purposes as p set still_due = 'due_' || p.purpose where p.purpose in ('payment', 'farewell');

revoke execute on function messaging.apply_subscription(
    text, text, timestamptz, text, text, text, text, jsonb, text, text
) from public, anon, authenticated, service_role;
revoke execute on function messaging.due_payment(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.due_farewell(text) from public, anon, authenticated, service_role;
grant execute on function messaging.apply_subscription(
    text, text, timestamptz, text, text, text, text, jsonb, text, text
) to service_role;
