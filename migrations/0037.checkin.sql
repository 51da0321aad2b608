-- Whom we ask how they are: the audience of scheduled-checkin, and the life of its message (functions 2.8).
-- Locks: none; functions only.
-- depends: 0036.commitments

set local lock_timeout = '5s';

create function messaging.people_checkin() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_day date := messaging.local_date(v_now);
begin
    return query
    select
        p.id, p.phone, p.name, 'checkin', p.id::text, messaging.end_of_local_day(v_now),
        jsonb_build_object(
            'kind', case when c.title is not null then 'commitment' when l.was_low then 'low' else 'generic' end,
            'title', c.title,
            -- Which of the four generic texts: by person and day, so that asking twice asks the same.
            'variant', get_byte(sha256(convert_to(p.id::text || v_day, 'UTF8')), 0) % 4,
            'hour', extract(hour from v_now at time zone 'America/Sao_Paulo')::integer,
            'day', v_day
        )
    from public.profiles as p
    left join lateral (
        select o.title from public.commitments as o
        where o.user_id = p.user_id and o.completed is not true and coalesce(o.commitment_status, 'pending') = 'pending'
        order by o.due_date nulls last, o.id
        limit 1
    ) as c on true
    left join lateral (
        select k.mood <= 2 or k.energy <= 2 as was_low from public.checkins as k
        where k.user_id = p.user_id and k.created_at > v_now - interval '30 days'
        order by k.created_at desc
        limit 1
    ) as l on true
    where
        p.status = 'active'
        and coalesce(p.last_checkin_sent_at, '-infinity') <= v_now - interval '30 days'
        and coalesce(messaging.last_wrote_at(p), p.created_at) <= v_now - interval '7 days'
        and coalesce(p.last_reactivation_sent, '-infinity') <= v_now - interval '3 days'
        and messaging.may_choose('checkin', p.id, p.phone, messaging.end_of_local_day(v_now))
    order by p.id;
end
$$;
comment on function messaging.people_checkin() is
'Audience of scheduled-checkin: active, silent (or here without a word) for 7 days, no check-in for 30 days, no reactivation for 3.';

create function messaging.due_checkin(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when p.status = 'active' is not true then 'the person is no longer with us'
            when messaging.last_wrote_at(p) > messaging.clock() - interval '7 days' then 'the person wrote meanwhile'
            when p.last_checkin_sent_at > messaging.clock() - interval '30 days' then 'the person was asked already'
            when p.last_reactivation_sent > messaging.clock() - interval '3 days' then 'the person was written to already'
        end
    from (select p_subject_id::uuid as id) as s
    left join public.profiles as p on s.id = p.id
$$;
comment on function messaging.due_checkin(text) is 'Still due: null while the person (profile id) is active, silent and not asked yet.';

create function messaging.effect_checkin(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    update public.profiles as p
    set last_checkin_sent_at = greatest(p.last_checkin_sent_at, messaging.sent_at(p_message_id))
    from messaging.outbox as o
    where o.id = p_message_id and p.id = o.profile_id;
    select messaging.effect_history(p_message_id);
$$;
comment on function messaging.effect_checkin(bigint) is 'Effect: the person was asked now; and the history row.';

revoke execute on function messaging.people_checkin() from public, anon, authenticated, service_role;
revoke execute on function messaging.due_checkin(text) from public, anon, authenticated, service_role;
revoke execute on function messaging.effect_checkin(bigint) from public, anon, authenticated, service_role;
