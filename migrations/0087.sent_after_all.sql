-- Of a message that was to go again and expired in the queue it may still come to be known that its first attempt was sent: then it is accepted, with
-- what follows from that, and nobody is told that its time was over.
-- Locks: none; functions and one row only.
-- depends: 0086.lock_order

set local lock_timeout = '5s';

insert into messaging.transitions (from_state, to_state, done_by)
values ('expired', 'accepted', 'apply_receipt')
on conflict do nothing;

select roleta_migrations.remember_function('0087.sent_after_all', f.name)
from (
    values
    ('messaging.confirm_sent(messaging.attempts,text,text)'),
    ('messaging.take_unknowns(boolean,bigint,integer)')
) as f (name);

create or replace function messaging.confirm_sent(p_attempt messaging.attempts, p_by text, p_reason text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
begin
    select o.* into v_message from messaging.outbox as o where o.id = p_attempt.message_id for no key update;
    if v_message.dispatch_state = 'unknown' then
        perform messaging.move(v_message.id, 'accepted', p_by, p_reason);
    elsif v_message.dispatch_state = 'expired' and v_message.text_removed_at is null then
        -- It was to go again, and its time was over before it could. Without its text no effect could follow.
        perform messaging.move(v_message.id, 'accepted', p_by, p_reason || ': the first attempt was sent');
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
'An attempt of which we could not tell was sent: unknown -> accepted; sent again but not begun -> withdrawn, with the effect of an acceptance; expired
before it could go again -> accepted. Elsewhere nothing (the evidence stands). Its sender locked.';

create or replace function messaging.take_unknowns(p_all boolean default false, p_after bigint default 0, p_limit integer default 200)
returns table (
    message_id bigint, attempt_id bigint, dispatch_state text, instance_id uuid, instance_name text, provider text,
    zapi_instance_id text, zapi_token text, zapi_client_token text, evolution_instance_name text,
    phone text, begun_at timestamptz, withdraw_queue_id text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_taken bigint[];
begin
    with due as (
        select o.id, o.changed_at
        from messaging.outbox as o
        where o.dispatch_state = 'unknown'
        union
        -- Decided, and perhaps contradicted since.
        select o.id, d.decided_at
        from messaging.decisions as d
        inner join messaging.outbox as o on d.message_id = o.id
        where d.decided_at > v_now - interval '1 day' and o.dispatch_state in ('queued', 'held', 'leased', 'withdrawn')
        union
        -- Decided, and over before it could go again: while what was seen is still kept.
        select o.id, o.changed_at
        from messaging.decisions as d
        inner join messaging.outbox as o on d.message_id = o.id
        where
            d.decided_at > v_now - interval '7 days' and o.dispatch_state = 'expired'
            and o.changed_at > v_now - interval '1 day'
        union
        -- Let go, while the provider still has it.
        select o.id, o.changed_at
        from messaging.evidence as e
        inner join messaging.outbox as o on e.message_id = o.id
        where e.says = 'waiting' and o.dispatch_state = 'withdrawn' and messaging.waits_at_provider(o.id)
    ),

    taken as (
        insert into messaging.unknown_looks as l (message_id, looked_at)
        select d.id, v_now
        from (
            select due.id
            from due
            left join messaging.unknown_looks as x on due.id = x.message_id
            where
                due.id > p_after
                and (
                    p_all or x.looked_at is null
                    -- Once a minute while its answers are likely to come, more and more seldom, then once an hour; each by one worker.
                    or x.looked_at <= v_now - least(greatest((v_now - due.changed_at) / 3, interval '50 s'), interval '55 min')
                )
            group by due.id
            order by due.id
            limit p_limit
        ) as d
        order by d.id
        on conflict (message_id) do update
        set looked_at = excluded.looked_at
        where l.looked_at <= excluded.looked_at - interval '5 s' or p_all
        returning l.message_id
    )

    select array_agg(t.message_id) into v_taken from taken as t;
    return query
    select
        o.id, a.id, o.dispatch_state, i.id, i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token,
        i.evolution_instance_name, o.phone, a.begun_at,
        case when o.dispatch_state = 'withdrawn' and messaging.waits_at_provider(o.id) then a.provider_queue_id end
    from messaging.outbox as o
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    inner join lateral (
        select x.* from messaging.attempts as x
        where x.message_id = o.id and x.outcome = 'unknown'
        order by x.id desc
        limit 1
    ) as a on true
    where o.id = any(v_taken)
    order by i.id, o.id;
end
$$;
