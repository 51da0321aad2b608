-- Whom we take a talk up again with: the audience of conversation-followup, what ends a conversation, and the life of its message (functions 2.9).
-- Locks: none; functions only.
-- depends: 0038.reactivation

set local lock_timeout = '5s';

create function messaging.quiet_hour() returns integer
language sql stable security definer set search_path = ''
as $$
    select extract(hour from n.at at time zone 'America/Sao_Paulo')::integer
    from (select messaging.clock() as at) as n
    where messaging.quiet_until(n.at, 'America/Sao_Paulo') is not null
$$;
comment on function messaging.quiet_hour() is 'The hour in São Paulo while the quiet hours last; null by day.';

create function messaging.plain_words(p_text text) returns text
language sql immutable security invoker
return (
    -- Accents off, "obrigadaaa" as "obrigada", everything but letters and digits a space.
    ' ' || btrim(regexp_replace(
        regexp_replace(lower(regexp_replace(normalize(p_text, nfkd), '[\u0300-\u036f]', '', 'g')), '([a-z])\1{2,}', '\1', 'g'),
        '[^a-z0-9]+', ' ', 'g'
    )) || ' '
);
comment on function messaging.plain_words(text) is 'The words of a text in lower case without accents, one space around each, for matching whole ones.';

create function messaging.is_natural_end(p_said text, p_asked text) returns boolean
language sql immutable security invoker
return (
    select
        case
            -- A lone confirmation ends nothing where it answers a question. A thumb alone has no words.
            when w.words ~ (
                '^ (s|sim|o?k+|ok[ae]y|t[ao]|ta (bo[mn]|certo|bem)|cert(o|inho)|combinad[oa]|beleza|blz|show|top|legal|massa|otimo|perfeito'
                || '|joia|pode( ser)?|claro|isso( mesmo)?|exato|entendi|confirmo|confirmado|fechado|com certeza|aham|uhum|tranquilo'
                || '|tudo (bem|certo)|vamos|bora|gratidao|) ?$'
            )
                then coalesce(p_asked, '') !~ '[?][^[:alnum:]]*$'
            when p_said ~ '[?]' then false
            else w.words ~ (
                -- Thanks, but nobody who "foi obrigada a" something.
                '((?<! (fui|foi|sou|sinto|senti|ser|sendo|era|estou|me)) obrigad(o|a|inha|inho|ao) (?!a ))'
                || '|( (obg|brigad[oa]|vlw|tchau|tchauzinho|ate (mais|logo|amanha|breve|depois|a proxima)|beijos|beijao|bj[ou]?s?|abracos'
                || '|valeu(?! a pena )|vou (dormir|deitar|descansar|indo)|bons sonhos|durma bem|dorme bem|fi(ca|que) com deus'
                || '|(e|era) so isso|por hoje e so|(nos|a gente se) fala(mos)?|bom descanso|tenha (um|uma) bo[am]) )'
                || '|( (boa noite|preciso ir|tenho que ir|beijo|abraco) ([a-z]+ ){0,2}$)'
            )
        end
    from (select messaging.plain_words(p_said) as words) as w
);
comment on function messaging.is_natural_end(text, text) is
'Whether what the person said last (after the assistant''s last words) closes a conversation: whole words and phrases only (bug 16).';

create function messaging.conversation_situation(p_user_id uuid, p_plan text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when exists (select from public.sessions as n where n.user_id = p_user_id and n.status = 'in_progress') then 'session'
            when messaging.is_natural_end(said.content, asked.content) then 'ended'
            when lately.messages >= 10 or lately.average_length >= 100 then 'deep'
            when exists (select from public.plan_configs as k where k.plan = p_plan and k.sessions_per_month > 0) then 'plan'
            else 'plain'
        end
    from (
        select
            count(*) as messages,
            avg(length(m.content)) filter (where m.role = 'user') as average_length
        from (
            select l.role, l.content from public.messages as l where l.user_id = p_user_id order by l.created_at desc limit 15
        ) as m
    ) as lately
    left join lateral (
        select m.content, m.created_at from public.messages as m
        where m.user_id = p_user_id and m.role = 'user'
        order by m.created_at desc
        limit 1
    ) as said on true
    left join lateral (
        select m.content from public.messages as m
        where m.user_id = p_user_id and m.role = 'assistant' and m.created_at < said.created_at
        order by m.created_at desc
        limit 1
    ) as asked on true
$$;
comment on function messaging.conversation_situation(uuid, text) is
'session, ended, deep, plan or plain: the first that holds decides how long a conversation rests and how often it is followed up.';

create function messaging.conversation_mark(p_wrote_at timestamptz) returns text
language sql immutable security invoker
return floor(extract(epoch from p_wrote_at) * 1000000)::bigint::text;
comment on function messaging.conversation_mark(timestamptz) is 'Names one silence of a person: the microsecond of their last message.';

create function messaging.people_conversation_followup() returns setof messaging.due
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return query
    select
        p.id, p.phone, p.name, 'conversation_followup', format('%s@%s', p.id, messaging.conversation_mark(w.wrote_at)),
        v_now + interval '2 hours',
        jsonb_build_object(
            'situation', s.situation, 'step', coalesce(f.followup_count, 0) + 1, 'mark', messaging.conversation_mark(w.wrote_at),
            'context', f.conversation_context
        )
    from public.conversation_followups as f
    inner join public.profiles as p on f.user_id = p.user_id
    cross join lateral (select greatest(f.last_user_message_at, messaging.last_wrote_at(p)) as wrote_at) as w
    cross join lateral (select messaging.conversation_situation(p.user_id, p.plan) as situation offset 0) as c
    inner join (
        values
        ('session', interval '5 minutes', 4), ('ended', interval '6 hours', 1), ('deep', interval '4 hours', 1),
        ('plan', interval '60 minutes', 2), ('plain', interval '30 minutes', 2)
    ) as s (situation, rest, at_most) on c.situation = s.situation
    where
        p.status = 'active'
        and f.closed_at is null
        and f.last_user_message_at is not null
        -- What was said before yesterday is not followed up but, one day, reactivated.
        and w.wrote_at > v_now - interval '24 hours'
        and greatest(w.wrote_at, f.last_followup_at) <= v_now - s.rest
        and coalesce(f.followup_count, 0) < s.at_most
        and not messaging.session_just_ended(p.user_id, v_now)
        and messaging.may_choose('conversation_followup', p.id, p.phone, v_now + interval '2 hours')
    order by p.id;
end
$$;
comment on function messaging.people_conversation_followup() is
'Audience of conversation-followup: open conversations that rested long enough for their situation, and were not followed up often enough.';

create function messaging.session_just_ended(p_user_id uuid, p_now timestamptz) returns boolean
language sql stable security definer set search_path = ''
as $$
    select exists (
        select from public.sessions as n where n.user_id = p_user_id and n.ended_at > p_now - interval '60 minutes'
    )
$$;
comment on function messaging.session_just_ended(uuid, timestamptz) is 'Whether a session of the person ended within 60 minutes (bug 16).';

create function messaging.due_conversation_followup(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select
        case
            when p.status = 'active' is not true then 'the person is no longer with us'
            when f.closed_at is not null or f.last_user_message_at is null then 'the conversation was closed'
            when messaging.conversation_mark(greatest(f.last_user_message_at, messaging.last_wrote_at(p))) <> s.mark
                then 'the person wrote meanwhile'
            when messaging.session_just_ended(p.user_id, messaging.clock()) then 'a session of the person just ended'
        end
    from (select split_part(p_subject_id, '@', 1)::uuid as id, split_part(p_subject_id, '@', 2) as mark) as s
    left join public.profiles as p on s.id = p.id
    left join public.conversation_followups as f on p.user_id = f.user_id
    order by f.last_user_message_at desc nulls last
    limit 1
$$;
comment on function messaging.due_conversation_followup(text) is 'Still due: null while the same silence (profile id and mark) lasts and nothing closed it.';

create function messaging.effect_conversation_followup(p_message_id bigint) returns void
language sql volatile security definer set search_path = ''
as $$
    -- Where the person wrote while it was on its way, a new silence begins at nought; only the pause counts from now.
    update public.conversation_followups as f
    set
        last_followup_at = greatest(f.last_followup_at, messaging.sent_at(p_message_id)),
        followup_count = case when m.same then greatest(f.followup_count, (m.facts ->> 'step')::integer) else f.followup_count end,
        conversation_context = case when m.same then coalesce(m.facts ->> 'context', f.conversation_context) else f.conversation_context end
    from (
        select
            g.id, o.facts,
            messaging.conversation_mark(greatest(g.last_user_message_at, messaging.last_wrote_at(p))) = o.facts ->> 'mark' as same
        from messaging.outbox as o
        inner join public.profiles as p on o.profile_id = p.id
        inner join public.conversation_followups as g on p.user_id = g.user_id
        where o.id = p_message_id
    ) as m
    where f.id = m.id;
    select messaging.effect_history(p_message_id);
$$;
comment on function messaging.effect_conversation_followup(bigint) is
'Effect: counted, dated, its context kept (only what went out counts); and the history row.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'quiet_hour', 'plain_words', 'is_natural_end', 'conversation_situation', 'conversation_mark',
                'people_conversation_followup', 'session_just_ended', 'due_conversation_followup', 'effect_conversation_followup'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
grant execute on function messaging.quiet_hour() to service_role;
