-- What is known of a message of which we cannot tell whether it was sent: evidence, each piece with its source and time. Receipts and late answers first.
-- Locks: none on any table that was there before.
-- depends: 0061.agency_audit

set local lock_timeout = '5s';

create table messaging.evidence (
    id bigint generated always as identity primary key,
    message_id bigint not null references messaging.outbox (id),
    attempt_id bigint not null references messaging.attempts (id),
    source text not null,
    says text not null,
    happened_at timestamptz not null,
    seen_at timestamptz not null,
    detail text not null default '',
    constraint evidence_once unique (attempt_id, source, says, detail),
    constraint evidence_source_known check (
        source in ('receipt', 'outgoing_event', 'provider_queue', 'provider_search', 'silence', 'late_answer')
    ),
    constraint evidence_says_known check (says in ('sent', 'not_sent', 'waiting', 'nothing'))
);
create index evidence_message on messaging.evidence (message_id, id);
alter table messaging.evidence enable row level security;
revoke all on table messaging.evidence from public, anon, authenticated, service_role;
comment on table messaging.evidence is
'What speaks for or against an attempt of which we could not tell whether it was sent; kept whatever was decided.';
comment on column messaging.evidence.says is
'sent; not_sent (silence: presumed, not certain); waiting (in the provider''s queue); nothing (asked, and it knows of none).';
comment on column messaging.evidence.happened_at is 'When it took place, by its source; of an answer that was given again, the first time.';
comment on column messaging.evidence.seen_at is 'When we learned of it; of an answer that was given again, the last time.';

create function messaging.note_evidence(
    p_attempt messaging.attempts, p_source text, p_says text, p_happened_at timestamptz, p_detail text
) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into messaging.evidence (message_id, attempt_id, source, says, happened_at, seen_at, detail)
    values (
        p_attempt.message_id, p_attempt.id, p_source, p_says, coalesce(p_happened_at, messaging.clock()), messaging.clock(),
        coalesce(left(p_detail, 500), '')
    )
    on conflict (attempt_id, source, says, detail) do update set seen_at = excluded.seen_at
$$;
comment on function messaging.note_evidence(messaging.attempts, text, text, timestamptz, text) is
'One piece of evidence for an attempt; given again, it is only seen again.';

create function messaging.is_unsettled(p_attempt messaging.attempts) returns boolean
language sql stable security definer set search_path = ''
as $$
    select
        exists (select from messaging.outbox as o where o.id = p_attempt.message_id and o.dispatch_state = 'unknown')
        and not exists (
            select from messaging.attempts as a
            where a.message_id = p_attempt.message_id and a.id > p_attempt.id and a.outcome in ('accepted', 'unknown')
        )
$$;
comment on function messaging.is_unsettled(messaging.attempts) is
'Whether the message is unknown because of this attempt: a later one that may have arrived is not undone by what became of an earlier one.';

create function messaging.confirm_sent(p_attempt messaging.attempts, p_by text, p_reason text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_attempt.message_id for no key update;
    if v_message.dispatch_state = 'unknown' then
        perform messaging.move(v_message.id, 'accepted', p_by, p_reason);
    elsif v_message.dispatch_state in ('queued', 'held', 'leased') then
        -- It was decided to send it again, and that has not begun: what has arrived is not said twice.
        if v_message.dispatch_state = 'leased' then
            perform messaging.move(v_message.id, 'queued', p_by, p_reason);
        end if;
        perform messaging.move(v_message.id, 'withdrawn', p_by, p_reason || ': the first attempt was sent, so it does not go again');
        perform messaging.run_effect(v_message.id);
        perform messaging.wake(
            v_message.instance_id,
            case when v_message.dispatch_state = 'leased' and v_message.lane <> 'reply' then messaging.clock() end
        );
    end if;
end
$$;
comment on function messaging.confirm_sent(messaging.attempts, text, text) is
'An attempt of which we could not tell was sent: unknown -> accepted; sent again but not begun -> withdrawn, with the effect of an acceptance. Elsewhere
nothing (the evidence stands). Its sender locked.';

select roleta_migrations.remember_function('0062.evidence', 'messaging.use_receipt(messaging.receipts,bigint)');
create or replace function messaging.use_receipt(p_receipt messaging.receipts, p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
begin
    update messaging.receipts as r
    set message_id = p_message_id
    where r.id = p_receipt.id;

    update messaging.outbox as o
    set
        delivery_state = p_receipt.receipt,
        delivery_error = case p_receipt.receipt when 'failed' then p_receipt.error else o.delivery_error end
    where
        o.id = p_message_id
        and messaging.delivery_rank(p_receipt.receipt) > messaging.delivery_rank(o.delivery_state);

    select a.* into v_attempt
    from messaging.attempts as a
    where a.instance_id = p_receipt.instance_id and a.provider_message_id = p_receipt.provider_message_id;
    if v_attempt.outcome is distinct from 'unknown' then
        return;
    end if;
    perform messaging.note_evidence(
        v_attempt, 'receipt', case p_receipt.receipt when 'failed' then 'not_sent' else 'sent' end, p_receipt.happened_at,
        p_receipt.receipt || coalesce(': ' || p_receipt.error, '')
    );
    if p_receipt.receipt <> 'failed' then
        perform messaging.confirm_sent(v_attempt, 'apply_receipt', 'the provider reported: ' || p_receipt.receipt);
    elsif messaging.is_unsettled(v_attempt) then
        perform messaging.move(p_message_id, 'rejected', 'apply_receipt', 'the provider reported: failed');
    end if;
end
$$;
comment on function messaging.use_receipt(messaging.receipts, bigint) is
'Delivery forward, and of an attempt of which we could not tell: evidence, and unknown -> accepted or rejected (its sender locked).';

select roleta_migrations.remember_function(
    '0062.evidence', 'messaging.record_attempt(bigint,text,text,text,integer,text,text,numeric)'
);
create or replace function messaging.record_attempt(
    p_attempt_id bigint, p_outcome text, p_provider_message_id text default null,
    p_provider_queue_id text default null, p_http_status integer default null, p_detail text default null,
    p_halt_reason text default null, p_retry_after_s numeric default null
)
returns table (recorded boolean, dispatch_state text, message_id bigint)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_attempt messaging.attempts;
    v_message messaging.outbox;
    v_outcome text := p_outcome;
    v_detail text := left(p_detail, 500);
    v_provider_message_id text;
    -- What a provider asks for is believed for an hour: a number must not be closed for years by one header.
    v_retry_after_s numeric := least(greatest(p_retry_after_s, 0), 3600);
begin
    perform messaging.require(
        p_outcome in ('accepted', 'rejected', 'not_sent', 'unknown'),
        'an outcome is accepted, rejected, not_sent or unknown'
    );
    perform messaging.require(
        p_outcome <> 'accepted' or coalesce(p_provider_message_id, '') <> '',
        'accepted needs the provider''s message id; without one the outcome is unknown'
    );
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    if v_attempt.id is null then
        raise exception using errcode = 'WP002', message = 'there is no attempt with this id';
    end if;

    -- In the order of locks: the number, its sender, the message.
    if p_halt_reason is not null then
        perform messaging.halt_instance(v_attempt.instance_id, p_halt_reason, v_attempt.worker);
    end if;
    perform from messaging.senders as s
    where s.instance_id = v_attempt.instance_id
    for no key update;
    select o.* into v_message
    from messaging.outbox as o
    where o.id = v_attempt.message_id
    for no key update;
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    message_id := v_attempt.message_id;

    -- An unknown keeps the id that it came with: a receipt may settle it by that.
    if v_outcome in ('accepted', 'unknown') and exists (
        select from messaging.attempts as a
        where
            a.instance_id = v_attempt.instance_id and a.provider_message_id = p_provider_message_id
            and a.id <> p_attempt_id
    ) then
        v_outcome := 'unknown';
        v_detail := 'the provider answered with the id of another message';
    elsif v_outcome in ('accepted', 'unknown') then
        v_provider_message_id := nullif(p_provider_message_id, '');
    end if;

    -- Recorded before: by us (the answer to our commit was lost), or the lease ran out and it was settled as unknown.
    if v_attempt.outcome is not null then
        recorded := false;
        if v_attempt.outcome = 'unknown' and v_attempt.provider_message_id is null
            and (v_outcome in ('rejected', 'not_sent') or v_provider_message_id is not null)
        then
            -- Late, but the best evidence there is, whatever was decided meanwhile.
            update messaging.attempts as a
            set
                provider_message_id = v_provider_message_id, provider_queue_id = p_provider_queue_id,
                http_status = p_http_status, detail = 'the worker''s answer came late: ' || v_outcome
            where a.id = p_attempt_id
            returning a.* into v_attempt;
            perform messaging.note_evidence(
                v_attempt, 'late_answer',
                case when v_outcome = 'accepted' then 'sent' when v_outcome = 'unknown' then 'nothing' else 'not_sent' end,
                null, v_attempt.detail
            );
            if v_outcome = 'accepted' then
                perform messaging.confirm_sent(v_attempt, 'record_attempt', 'the worker''s answer came late');
            elsif v_outcome = 'rejected' and messaging.is_unsettled(v_attempt) then
                perform messaging.move(v_attempt.message_id, 'rejected', 'record_attempt', 'the worker''s answer came late');
            end if;
            perform messaging.use_waiting_receipts(v_attempt.instance_id, v_provider_message_id, v_attempt.message_id);
            perform messaging.wake(v_attempt.instance_id);
            recorded := true;
        end if;
        select o.dispatch_state into dispatch_state from messaging.outbox as o where o.id = v_attempt.message_id;
        return next;
        return;
    end if;

    update messaging.attempts as a
    set
        outcome = v_outcome, ended_at = messaging.clock(), http_status = p_http_status, detail = v_detail,
        provider_message_id = v_provider_message_id,
        provider_queue_id = case when v_provider_message_id is not null then p_provider_queue_id end
    where a.id = p_attempt_id
    returning a.* into v_attempt;

    if v_outcome = 'not_sent' then
        perform messaging.move(v_attempt.message_id, 'queued', v_attempt.worker, 'not sent: ' || coalesce(v_detail, 'no reason given'));
        if v_attempt.lane = 'reply' then
            -- A reply has no slot to wait for: it backs off by itself, within its short life.
            update messaging.outbox as o
            set not_before = v_attempt.ended_at + make_interval(
                secs => greatest(least(power(2, o.attempt_count), 60), coalesce(v_retry_after_s, 0))
            )
            where o.id = v_attempt.message_id;
        end if;
    else
        perform messaging.move(
            v_attempt.message_id, v_outcome, v_attempt.worker,
            coalesce(
                nullif(v_detail, ''),
                case v_outcome when 'accepted' then 'the provider accepted it' else 'the provider gave no reason' end
            )
        );
    end if;

    -- A receipt may have overtaken the answer.
    perform messaging.use_waiting_receipts(v_attempt.instance_id, v_provider_message_id, v_attempt.message_id);

    perform messaging.follow_attempt(v_attempt, v_retry_after_s);
    recorded := true;
    select o.dispatch_state into dispatch_state from messaging.outbox as o where o.id = v_attempt.message_id;
    return next;
end
$$;

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
                'is_unsettled', 'note_evidence', 'confirm_sent'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function.signature);
    end loop;
end
$$;
