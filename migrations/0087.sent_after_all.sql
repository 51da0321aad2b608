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
    ('messaging.take_unknowns(boolean,bigint,integer)'),
    ('messaging.times_expired(text,uuid,timestamptz)'),
    ('messaging.due_balance_alerts()')
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

-- A count that a key is made of never falls.
create or replace function messaging.times_expired(p_purpose text, p_profile_id uuid, p_since timestamptz) returns bigint
language sql stable security definer set search_path = ''
as $$
    select count(*) from messaging.outbox as o
    where o.profile_id = p_profile_id and o.purpose = p_purpose and o.created_at > p_since
        and (
            o.dispatch_state = 'expired'
            or exists (select from messaging.history as h where h.message_id = o.id and h.from_state = 'expired')
        )
$$;
comment on function messaging.times_expired(text, uuid, timestamptz) is
'How many messages of this purpose to this person ran out of time since then, also one that turned out to have been sent. They must not stand in the way
of the next.';

-- An alert rests from when it was sent, not from when that came to be known.
create or replace function messaging.due_balance_alerts() returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return (
        select jsonb_build_object('alerts', coalesce(jsonb_agg(
            jsonb_build_object(
                'alert_id', a.id, 'agency_id', a.agency_id, 'agency_name', g.agency_name,
                'client_id', a.client_id, 'client_label', l.client_label,
                'ad_account_id', a.ad_account_id, 'account_name', n.account_name,
                'threshold', coalesce(a.threshold_value, 0), 'phone', a.recipient_phone,
                'rests', case
                    when a.last_triggered_at > v_now - interval '24 hours' or m.accepted then 'triggered'
                    when m.waiting then 'waiting'
                    when m.refused then 'refused'
                end,
                'dedupe_key', format('balance:%s:%s', a.id, m.earlier),
                'opted_out', messaging.has_opted_out(a.agency_id, 'balance_alert', a.recipient_phone),
                'instance_id', s.instance_id, 'sent_from', s.instance_name, 'spoken_by', s.spoken_by
            ) order by a.agency_id, a.client_id, a.ad_account_id
        ), '[]'))
        from public.account_balance_alerts as a
        left join public.client_manager_links as l on a.client_id = l.client_user_id and a.agency_id = l.manager_id
        left join public.agency_settings as g on a.agency_id = g.agency_id
        left join lateral (
            select max(c.account_name) as account_name
            from public.client_ad_accounts as c
            where c.client_id = a.client_id and c.ad_account_id = a.ad_account_id
        ) as n on true
        cross join lateral (
            select
                count(*) as earlier,
                -- The effect that notes it may still have to be tried again.
                bool_or(o.dispatch_state = 'accepted' and messaging.sent_at(o.id) > v_now - interval '24 hours') as accepted,
                -- What nobody settled for a day does not keep the next alert waiting for ever.
                bool_or(
                    o.dispatch_state in ('draft', 'queued', 'held', 'leased', 'sending')
                    or (o.dispatch_state = 'unknown' and o.changed_at > v_now - interval '24 hours')
                ) as waiting,
                -- A phone that the provider refuses is not asked for every hour, unless it was changed.
                bool_or(
                    o.dispatch_state = 'rejected' and o.changed_at > v_now - interval '24 hours'
                    and o.phone_key = any(messaging.written_keys(a.recipient_phone))
                ) as refused
            from messaging.outbox as o
            where o.subject_id = a.id::text and o.purpose = 'balance_alert'
        ) as m
        cross join lateral messaging.choose_speaker(a.agency_id, a.client_id) as s
        where a.is_active and (a.client_id is null or l.client_user_id is not null)
    );
end
$$;
