-- What Stripe tells, each event once: what it came to, and whose it was.
-- Locks: none on any table that was there before.
-- depends: 0043.meditations

set local lock_timeout = '5s';

create table messaging.stripe_events (
    event_id text primary key,
    type text not null,
    created_at timestamptz not null,
    received_at timestamptz not null,
    checkout_id text,
    subscription_id text,
    profile_id uuid,
    outcome text not null,
    applied boolean not null
);
create index stripe_events_profile on messaging.stripe_events (profile_id, created_at);
create index stripe_events_subscription on messaging.stripe_events (subscription_id) where subscription_id is not null;
alter table messaging.stripe_events enable row level security;
revoke all on table messaging.stripe_events from public, anon, authenticated, service_role;
comment on table messaging.stripe_events is 'Every event of Stripe that was about a person, once, and what it came to. No names, no phones.';
comment on column messaging.stripe_events.created_at is 'When it happened, by Stripe''s clock (whole seconds): what tells a late event from a new one.';
comment on column messaging.stripe_events.applied is 'True: it decided the person''s status (or confirmed it), so an older event no longer may.';

create function messaging.stripe_profile(p_subscription_id text, p_phone text, p_customer_id text) returns uuid
language sql stable security definer set search_path = ''
as $$
    select coalesce(
        (
            select e.profile_id from messaging.stripe_events as e
            inner join public.profiles as p on e.profile_id = p.id
            where e.subscription_id = p_subscription_id
            order by e.created_at desc, e.event_id desc
            limit 1
        ),
        messaging.find_profile(p_phone),
        (
            select p.id from public.profiles as p
            where p.stripe_customer_id = p_customer_id
            order by case p.status when 'active' then 0 else 1 end, p.updated_at desc nulls last, p.id
            limit 1
        )
    )
$$;
comment on function messaging.stripe_profile(text, text, text) is
'Whose subscription this is: who bought it, else who has the phone, else who is this customer. Null: nobody we know.';

create function messaging.take_stripe_event(
    p_event_id text, p_type text, p_created_at timestamptz, p_checkout_id text, p_subscription_id text
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_outcome text;
begin
    perform messaging.require(coalesce(p_event_id, '') <> '' and p_created_at is not null, 'a Stripe event has an id and a time');
    -- Whoever is handling the same event now is waited for here. What found nobody may be sent again by hand.
    insert into messaging.stripe_events as e (
        event_id, type, created_at, received_at, checkout_id, subscription_id, outcome, applied
    )
    values (p_event_id, p_type, p_created_at, messaging.clock(), p_checkout_id, p_subscription_id, 'taken', false)
    on conflict (event_id) do update
    set outcome = 'taken', received_at = excluded.received_at
    where e.outcome in ('no_phone', 'unknown_person');
    if found then
        return null;
    end if;
    select e.outcome into v_outcome from messaging.stripe_events as e where e.event_id = p_event_id;
    return v_outcome;
end
$$;
comment on function messaging.take_stripe_event(text, text, timestamptz, text, text) is
'Notes the event before its effects, in their transaction. Null: it is ours to handle now; else what it came to when it was handled.';

create function messaging.settle_stripe_event(p_event_id text, p_profile_id uuid, p_outcome text, p_applied boolean) returns void
language sql volatile security definer set search_path = ''
as $$
    update messaging.stripe_events as e
    set profile_id = p_profile_id, outcome = p_outcome, applied = p_applied
    where e.event_id = p_event_id
$$;
comment on function messaging.settle_stripe_event(text, uuid, text, boolean) is 'Says what an event came to, and for whom.';

revoke execute on function messaging.stripe_profile(text, text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.take_stripe_event(text, text, timestamptz, text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.settle_stripe_event(text, uuid, text, boolean) from public, anon, authenticated, service_role;
grant execute on function messaging.stripe_profile(text, text, text) to service_role;
