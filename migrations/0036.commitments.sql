-- Whom we ask about what they promised themselves: the audience of scheduled-followup, and the life of its message (functions 2.4).
-- Locks: none; functions only.
-- depends: 0035.session_closing

set local lock_timeout = '5s';

create function messaging.people_commitment_followup() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    -- One message to a person: about the commitment that has been due for longest. The original did not look at the person's status.
    return query
    select
        p.id, p.phone, p.name, 'commitment_followup', d.id::text, messaging.end_of_local_day(v_now),
        jsonb_build_object(
            'level', case
                when messaging.local_date(d.due_date) = messaging.local_date(v_now) then 0
                else least(coalesce(d.follow_up_count, 0) + 1, 3)
            end,
            'title', d.title, 'due_on', messaging.local_date(d.due_date), 'day', messaging.local_date(v_now)
        )
    from (
        select distinct on (c.user_id) c.*
        from public.commitments as c
        where
            c.completed is not true
            and c.reminder_sent is not true
            and coalesce(c.commitment_status, 'pending') = 'pending'
            and c.due_date < messaging.end_of_local_day(v_now)
        order by c.user_id, c.due_date, c.id
    ) as d
    inner join public.profiles as p on d.user_id = p.user_id
    where
        p.status in ('active', 'trial')
        and not messaging.followed_up_today(p.user_id, v_now)
        and messaging.may_choose('commitment_followup', p.id, p.phone, messaging.end_of_local_day(v_now))
    order by p.id;
end
$$;
comment on function messaging.people_commitment_followup() is
'Audience of scheduled-followup: one open commitment a person and day, due by the coming local midnight. level 0: due today; 1 to 3: overdue.';

create function messaging.followed_up_today(p_user_id uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (
        select from public.commitments as c
        where c.user_id = p_user_id and messaging.local_date(c.last_follow_up_at) = messaging.local_date(p_now)
    )
$$;
comment on function messaging.followed_up_today(uuid, timestamptz) is 'Whether the person was followed up on some commitment on this local day.';

create function messaging.due_commitment_followup(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when c.id is null then 'the commitment is gone'
            when c.completed then 'the commitment is done'
            when c.commitment_status <> 'pending' then 'the commitment no longer stands'
            when c.reminder_sent then 'the person was reminded often enough'
            when c.due_date < messaging.end_of_local_day(messaging.clock()) is not true then 'the commitment was put off'
            when p.status in ('active', 'trial') is not true then 'the person is no longer with us'
            when messaging.followed_up_today(c.user_id, messaging.clock()) then 'the person was followed up today'
        end
    from (select p_subject_id::uuid as id) as s
    left join public.commitments as c on s.id = c.id
    left join public.profiles as p on c.user_id = p.user_id
$$;
comment on function messaging.due_commitment_followup(text) is 'Still due: null while the commitment (its id) is open and nobody followed its person up today.';

create function messaging.effect_commitment_followup(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.commitments as c
    set
        last_follow_up_at = greatest(c.last_follow_up_at, messaging.sent_at(p_message_id)),
        follow_up_count = greatest(c.follow_up_count, (o.facts ->> 'level')::integer),
        reminder_sent = coalesce(c.reminder_sent, false) or (o.facts ->> 'level')::integer >= 3
    from messaging.outbox as o
    where o.id = p_message_id and c.id = o.subject_id::uuid;
    select messaging.effect_history(p_message_id);
$$;
comment on function messaging.effect_commitment_followup(bigint) is
'Effect: only a follow-up that went out counts (bug 11); the third is the last one. And the history row.';

revoke execute on function messaging.people_commitment_followup() from public, anon, authenticated, service_role;
revoke execute on function messaging.followed_up_today(uuid, timestamptz) from public, anon, authenticated, service_role;
revoke execute on function messaging.due_commitment_followup(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.effect_commitment_followup(bigint) from public, anon, authenticated, service_role;
