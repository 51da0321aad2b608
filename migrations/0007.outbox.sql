-- What is to be said (outbox), by which number and how fast (senders), each try (attempts), and how a message may move
-- (transitions, history). Tables and guards only; the functions that move messages come next.
-- depends: 0006.allocation

set local lock_timeout = '5s';

create table messaging.purposes (
    purpose text primary key,
    lane text not null,
    quiet_hours boolean not null,
    expires_after interval not null,
    on_unknown text not null default 'hold',
    still_due text,
    on_accepted text,
    constraint purposes_lane_known check (lane in ('reply', 'timed', 'bulk')),
    constraint purposes_on_unknown_known check (on_unknown in ('hold', 'resend_once', 'drop')),
    constraint purposes_expire check (expires_after > interval '0')
);
comment on table messaging.purposes is
'The rules of each kind of message, as rows: lane, quiet hours, expiry, what an unknown does, and the two app hooks.';
comment on column messaging.purposes.quiet_hours is 'True: proactive, so it waits for the end of the recipient''s night.';
comment on column messaging.purposes.still_due is
'Function (subject_id text) returns text, in schema messaging: null when still due, else why not. Asked by begin_attempt.';
comment on column messaging.purposes.on_accepted is
'Function (message_id bigint) returns void, in schema messaging: what a success writes into the app''s tables.';

create table messaging.senders (
    instance_id uuid primary key references public.whatsapp_instances (id) on delete cascade,
    gap_min_s numeric not null default 25,
    gap_max_s numeric not null default 45,
    reply_gap_s numeric not null default 5,
    reply_push_max_s numeric not null default 120,
    send_timeout_s numeric not null default 20,
    slot_due_at timestamptz not null default 'epoch',
    next_send_at timestamptz not null default 'epoch',
    ready_at timestamptz,
    constraint senders_gaps check (gap_min_s >= 0 and gap_min_s <= gap_max_s and gap_max_s <= 3600),
    constraint senders_reply_gaps check (reply_gap_s >= 0 and reply_push_max_s >= 0),
    constraint senders_timeout check (send_timeout_s between 0.05 and 600)
) with (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0
);
create index senders_ready_at on messaging.senders (ready_at) where ready_at is not null;
comment on table messaging.senders is 'The pacing side of each number, one narrow row.';
comment on column messaging.senders.slot_due_at is 'When the next paced message was due before replies pushed it.';
comment on column messaging.senders.next_send_at is
'The pacing clock: no paced message leaves before it. While one is in flight, the end of its lease.';
comment on column messaging.senders.ready_at is
'When a worker should look at this number again: schedule, pace and lease at once. Null: nothing to do.';

create table messaging.outbox (
    id bigint generated always as identity primary key,
    agency_id uuid,
    dedupe_key text not null,
    request_hash bytea not null,
    instance_id uuid not null references public.whatsapp_instances (id),
    purpose text not null references messaging.purposes (purpose),
    lane text not null,
    profile_id uuid,
    phone text not null,
    phone_key text not null,
    content jsonb not null,
    subject_id text,
    not_before timestamptz not null,
    expires_at timestamptz not null,
    time_zone text not null default 'America/Sao_Paulo',
    on_unknown text not null,
    enqueued_by text not null,
    run_id text,
    dispatch_state text not null,
    held_by text,
    reason text,
    changed_by text not null,
    lease_token uuid,
    leased_until timestamptz,
    delivery_state text,
    delivery_error text,
    attempt_count integer not null default 0,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    constraint outbox_dedupe unique nulls not distinct (agency_id, dedupe_key),
    constraint outbox_lane_known check (lane in ('reply', 'timed', 'bulk')),
    constraint outbox_on_unknown_known check (on_unknown in ('hold', 'resend_once', 'drop')),
    constraint outbox_state_known check (
        dispatch_state in (
            'draft', 'queued', 'leased', 'sending', 'accepted', 'rejected', 'unknown', 'held', 'expired', 'withdrawn'
        )
    ),
    constraint outbox_lease_iff_in_flight check (
        (dispatch_state in ('leased', 'sending')) = (lease_token is not null and leased_until is not null)
    ),
    constraint outbox_held_says_by_what check ((dispatch_state = 'held') = (held_by is not null)),
    constraint outbox_delivery_known check (delivery_state in ('sent', 'failed', 'delivered', 'read')),
    constraint outbox_has_window check (expires_at > created_at)
) with (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    fillfactor = 85
);
create index outbox_head on messaging.outbox (instance_id, lane, not_before, id) where dispatch_state = 'queued';
create index outbox_in_flight on messaging.outbox (instance_id, leased_until)
where dispatch_state in ('leased', 'sending');
create unique index outbox_one_paced_in_flight on messaging.outbox (instance_id)
where dispatch_state in ('leased', 'sending') and lane <> 'reply';
create index outbox_expiry on messaging.outbox (expires_at)
where dispatch_state in ('draft', 'queued', 'held', 'unknown');
create index outbox_unsettled_person on messaging.outbox (instance_id, phone_key)
where dispatch_state in ('held', 'unknown');
create index outbox_replies on messaging.outbox (instance_id, phone_key, id)
where lane = 'reply' and dispatch_state in ('queued', 'leased', 'sending');
create index outbox_profile on messaging.outbox (profile_id, id);
create index outbox_run on messaging.outbox (run_id) where run_id is not null;
comment on table messaging.outbox is 'One intent: this text, to this recipient, once.';
comment on column messaging.outbox.dispatch_state is 'Where the message stands with us. Moves: messaging.transitions.';
comment on column messaging.outbox.delivery_state is
'What the provider reported after accepting: sent, failed, delivered, read. Only moves forward.';
comment on column messaging.outbox.held_by is 'What must be settled before this message may go on.';
comment on column messaging.outbox.reason is 'Why it is in its present state, for a person.';
comment on column messaging.outbox.profile_id is
'The person in the app. No foreign key: the history of what was sent outlives the profile, and locks stay in order.';
comment on column messaging.outbox.on_unknown is
'What an unresolved unknown does: hold (a person decides), resend_once (after recorded silence), drop (at its expiry).';

create table messaging.attempts (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    instance_id uuid not null references public.whatsapp_instances (id),
    lane text not null,
    worker text not null,
    lease_token uuid not null,
    begun_at timestamptz not null,
    ended_at timestamptz,
    outcome text,
    gap_s numeric,
    gap_min_s numeric not null,
    provider_message_id text,
    provider_queue_id text,
    http_status integer,
    detail text,
    constraint attempts_outcome_known check (outcome in ('accepted', 'rejected', 'not_sent', 'unknown')),
    constraint attempts_end_with_outcome check ((outcome is null) = (ended_at is null)),
    constraint attempts_accepted_has_id check (outcome <> 'accepted' or provider_message_id is not null)
) with (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    fillfactor = 85
);
create unique index attempts_one_paced_in_flight on messaging.attempts (instance_id)
where outcome is null and lane <> 'reply';
create unique index attempts_one_in_flight_per_message on messaging.attempts (message_id) where outcome is null;
create unique index attempts_provider_message on messaging.attempts (instance_id, provider_message_id)
where provider_message_id is not null;
create index attempts_message on messaging.attempts (message_id, id);
create index attempts_instance on messaging.attempts (instance_id, begun_at);
comment on table messaging.attempts is 'One try at a provider each: the evidence for everything that is said of a message.';
comment on column messaging.attempts.outcome is 'Null while in flight; then accepted, rejected, not_sent or unknown.';
comment on column messaging.attempts.gap_s is
'Seconds promised between the end of this paced attempt and the begin of the next one on the number.';

create table messaging.transitions (
    from_state text,
    to_state text not null,
    done_by text not null,
    constraint transitions_once unique nulls not distinct (from_state, to_state)
);
comment on table messaging.transitions is 'The legal moves of dispatch_state; a trigger refuses every other.';
insert into messaging.transitions (from_state, to_state, done_by)
values
(null, 'draft', 'enqueue'),
(null, 'queued', 'enqueue'),
('draft', 'queued', 'compose'),
('draft', 'expired', 'expire_due'),
('draft', 'withdrawn', 'cancel'),
('queued', 'leased', 'claim'),
('queued', 'held', 'claim'),
('queued', 'expired', 'claim'),
('queued', 'withdrawn', 'cancel'),
('held', 'queued', 'settle'),
('held', 'expired', 'expire_due'),
('held', 'withdrawn', 'cancel'),
('leased', 'sending', 'begin_attempt'),
('leased', 'queued', 'settle_expired'),
('sending', 'accepted', 'record_attempt'),
('sending', 'rejected', 'record_attempt'),
('sending', 'unknown', 'record_attempt'),
('sending', 'queued', 'record_attempt'),
('unknown', 'accepted', 'apply_receipt'),
('unknown', 'rejected', 'apply_receipt'),
('unknown', 'queued', 'decide_unknown'),
('unknown', 'withdrawn', 'decide_unknown');

create table messaging.history (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    from_state text,
    to_state text not null,
    happened_at timestamptz not null,
    changed_by text not null,
    reason text
);
create index history_message on messaging.history (message_id, id);
comment on table messaging.history is 'A row per move of a message, written by trigger, so that no caller can forget it.';

create function messaging.guard_transition() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    if not exists (
        select from messaging.transitions as t
        where t.from_state is not distinct from (case tg_op when 'UPDATE' then old.dispatch_state end)
            and t.to_state = new.dispatch_state
    ) then
        raise exception using
            errcode = 'WP001',
            message = format(
                'a message cannot move from %s to %s',
                case tg_op when 'UPDATE' then old.dispatch_state else 'nothing' end, new.dispatch_state
            );
    end if;
    if new.dispatch_state not in ('leased', 'sending') then
        new.lease_token := null;
        new.leased_until := null;
    end if;
    if new.dispatch_state <> 'held' then
        new.held_by := null;
    end if;
    new.changed_at := messaging.clock();
    return new;
end
$$;
create function messaging.write_history() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    insert into messaging.history (message_id, from_state, to_state, happened_at, changed_by, reason)
    values (
        new.id, case tg_op when 'UPDATE' then old.dispatch_state end, new.dispatch_state,
        new.changed_at, new.changed_by, new.reason
    );
    return null;
end
$$;
revoke execute on function messaging.guard_transition() from public, anon, authenticated, service_role;
revoke execute on function messaging.write_history() from public, anon, authenticated, service_role;
comment on function messaging.guard_transition() is
'Trigger on outbox: refuses a move that messaging.transitions does not hold; a lease ends with its state.';
comment on function messaging.write_history() is 'Trigger on outbox: one history row per move.';

create trigger guard_insert before insert on messaging.outbox
for each row execute function messaging.guard_transition();
create trigger guard_move before update of dispatch_state on messaging.outbox
for each row when (old.dispatch_state is distinct from new.dispatch_state)
execute function messaging.guard_transition();
create trigger history_insert after insert on messaging.outbox
for each row execute function messaging.write_history();
create trigger history_move after update of dispatch_state on messaging.outbox
for each row when (old.dispatch_state is distinct from new.dispatch_state)
execute function messaging.write_history();

create table messaging.failed_effects (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    effect text not null,
    failed_at timestamptz not null,
    error text not null,
    retried_at timestamptz,
    succeeded_at timestamptz
);
create index failed_effects_open on messaging.failed_effects (id) where succeeded_at is null;
create index failed_effects_message on messaging.failed_effects (message_id);
comment on table messaging.failed_effects is
'What an accepted message should have written into the app and could not. Replayed by `roleta effects retry`.';

-- A number and its sender are made and removed together.
create function messaging.follow_instances() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    insert into messaging.senders (instance_id, send_timeout_s)
    select
        n.id,
        case n.provider when 'evolution' then 75 else 20 end
    from entered as n
    order by n.id
    on conflict do nothing;
    return null;
end
$$;
revoke execute on function messaging.follow_instances() from public, anon, authenticated, service_role;
comment on function messaging.follow_instances() is 'Trigger on whatsapp_instances: every number has its sender.';
create trigger follow_instances after insert on public.whatsapp_instances
referencing new table as entered for each statement execute function messaging.follow_instances();
insert into messaging.senders (instance_id, send_timeout_s)
select
    i.id,
    case i.provider when 'evolution' then 75 else 20 end
from public.whatsapp_instances as i;

do $$
declare
    v_table text;
begin
    foreach v_table in array array[
        'purposes', 'senders', 'outbox', 'attempts', 'transitions', 'history', 'failed_effects'
    ] loop
        execute format('alter table messaging.%I enable row level security', v_table);
        execute format(
            'revoke all on table messaging.%I from public, anon, authenticated, service_role', v_table
        );
    end loop;
end
$$;
