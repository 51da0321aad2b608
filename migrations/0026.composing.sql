-- Composing: workers take drafts, write their text before their turn comes, and let them go; what an agent reads first.
-- Locks: none; functions only.
-- depends: 0025.drafts

set local lock_timeout = '5s';

create function messaging.take_drafts(p_worker text, p_limit integer default 4, p_lease_s double precision default 60)
returns table (
    message_id bigint, compose_token uuid, compose text, compose_count integer, purpose text, content jsonb, facts jsonb,
    profile_id uuid, profile_name text, subject_id text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_ids bigint[];
begin
    perform messaging.require(coalesce(p_worker, '') <> '', 'a worker gives its name');
    perform messaging.require(p_limit between 1 and 100, 'a worker takes 1 to 100 drafts');
    perform messaging.require(p_lease_s between 0 and 3600, 'a draft is leased for 0 to 3600 seconds');
    -- No sender is locked: composing moves nothing, and whoever withdraws or ends a draft meanwhile wins.
    v_ids := array(
        select o.id from messaging.outbox as o
        where o.dispatch_state = 'draft' and (o.compose_until is null or o.compose_until <= v_now)
        order by o.not_before, o.id
        limit p_limit
        for no key update skip locked
    );
    return query
    with taken as (
        update messaging.outbox as o
        set
            compose_token = gen_random_uuid(), compose_until = v_now + make_interval(secs => p_lease_s),
            compose_count = o.compose_count + 1
        where o.id = any(v_ids) and o.dispatch_state = 'draft'
        returning o.*
    )

    select
        t.id, t.compose_token, t.compose, t.compose_count, t.purpose, t.content, t.facts,
        t.profile_id, p.name, t.subject_id
    from taken as t
    left join public.profiles as p on t.profile_id = p.id
    order by t.not_before, t.id;
end
$$;
comment on function messaging.take_drafts(text, integer, double precision) is
'Up to p_limit drafts to compose, those first that are due first, leased; a lost worker''s come again when its lease is over.';

create function messaging.finish_draft(
    p_message_id bigint, p_compose_token uuid, p_worker text, p_text text default null, p_facts jsonb default null,
    p_withdraw_why text default null, p_spoken_url text default null
) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_message messaging.outbox;
begin
    perform messaging.require(
        p_text is null or (p_text ~ '\S' and length(p_text) <= 65536), 'a composed text has 1 to 65,536 characters'
    );
    perform messaging.require(p_facts is null or jsonb_typeof(p_facts) = 'object', 'facts is an object');
    perform from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    select o.* into v_message from messaging.outbox as o where o.id = p_message_id for no key update;
    if v_message.id is null or v_message.dispatch_state <> 'draft'
        or p_compose_token is null or v_message.compose_token is distinct from p_compose_token
    then
        return false;
    end if;

    update messaging.outbox as o
    set
        content = case
            when p_text is null then o.content
            when p_spoken_url is not null then jsonb_build_object('kind', 'audio', 'media_url', p_spoken_url)
            else jsonb_set(o.content, '{text}', to_jsonb(p_text))
        end,
        facts = o.facts || coalesce(p_facts, '{}')
            || case when p_spoken_url is null then '{}' else jsonb_build_object('text', p_text) end,
        compose_token = null, compose_until = null
    where o.id = p_message_id;
    if p_withdraw_why is not null then
        perform messaging.move(p_message_id, 'withdrawn', p_worker, p_withdraw_why);
    else
        perform messaging.move(
            p_message_id, 'queued', p_worker, case when p_text is null then 'the fixed text stands' else 'composed' end
        );
    end if;
    perform messaging.wake(v_message.instance_id);
    return true;
end
$$;
comment on function messaging.finish_draft(bigint, uuid, text, text, jsonb, text, text) is
'draft -> queued with the composed text (null: the fixed one stands), spoken where it comes with an audio, or -> withdrawn. False, and nothing done, when the
draft is another''s or no draft now.';

create function messaging.recent_messages(p_profile_id uuid, p_since timestamptz default null, p_limit integer default 50)
returns table (role text, content text, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
    select r.role, r.content, r.created_at from (
        select
            m.role::text as role,
            m.content,
            m.created_at
        from public.messages as m
        inner join public.profiles as p on m.user_id = p.user_id
        where p.id = p_profile_id and m.created_at >= coalesce(p_since, '-infinity')
        order by m.created_at desc
        limit p_limit
    ) as r
    order by r.created_at
$$;
comment on function messaging.recent_messages(uuid, timestamptz, integer) is
'What was lately said with a person, oldest first: what an agent reads before it writes.';

revoke execute on function messaging.take_drafts(text, integer, double precision) from public, anon, authenticated, service_role;
revoke execute on function messaging.finish_draft(bigint, uuid, text, text, jsonb, text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.recent_messages(uuid, timestamptz, integer) from public, anon, authenticated, service_role;
grant execute on function messaging.take_drafts(text, integer, double precision) to service_role;
grant execute on function messaging.finish_draft(bigint, uuid, text, text, jsonb, text, text) to service_role;
grant execute on function messaging.recent_messages(uuid, timestamptz, integer) to service_role;
