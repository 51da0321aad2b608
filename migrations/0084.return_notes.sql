-- What a number's return means for a message is told in times that carry their zone: whoever shows them uses one clock.
-- Locks: none; a function only.
-- depends: 0083.webhook_rotation

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0084.return_notes', 'messaging.return_notes(bigint)');
create or replace function messaging.return_notes(p_message_id bigint) returns table (note text)
language sql stable security definer set search_path = ''
as $$
    select unnest(array_remove(array[
        case
            when o.dispatch_state not in ('draft', 'queued', 'held', 'leased') or i.status <> 'active' or i.halted_reason is not null then null
            when s.return_due_at is not null and s.return_failure is not null
                then format('the number came back at %s and stays silent: its provider''s queue could not be purged (%s)', t.back, s.return_failure)
            when s.return_due_at is not null
                then format('the number came back at %s and stays silent until its provider''s queue is purged', t.back)
            when messaging.ramp_left(s, n.now) > 0
                then format(
                    'the number came back at %s; ramping until %s or for %s more messages: its gaps are %s times as long now', t.back,
                    to_char(
                        (s.returned_at + make_interval(secs => messaging.ramp_span_s(s)::double precision)) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
                    ),
                    s.ramp_messages - s.paced_since_return, round(messaging.gap_factor(s, n.now), 1)
                )
        end,
        (
            select
                case
                    when g.purged_at is null then 'it stood in the provider''s own queue when a worker was about to purge that'
                    else format(
                        'it stood in the provider''s own queue when that was purged at %s: most probably never delivered',
                        to_char(g.purged_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                    )
                end
            from messaging.purged as g
            where g.message_id = o.id
            order by g.seen_at desc
            limit 1
        )
    ], null))
    from messaging.outbox as o
    inner join messaging.senders as s on o.instance_id = s.instance_id
    inner join public.whatsapp_instances as i on o.instance_id = i.id
    cross join (select messaging.clock() as now) as n
    cross join lateral (select to_char(s.returned_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as back) as t
    where o.id = p_message_id
$$;
comment on function messaging.return_notes(bigint) is
'What its number''s return means for a message, in sentences, their times in ISO 8601 of UTC: that the number waits for its purge, or is
ramping; that the message was purged.';
