-- Who may be written to, when: quiet hours, do-not-disturb, opt-out, silence and human takeover, in one function that is asked when an audience is
-- chosen and again when a message is claimed and begun.
-- Locks: none; functions only.
-- depends: 0022.opt_out

set local lock_timeout = '5s';

create function messaging.last_wrote_at(p_profile public.profiles) returns timestamptz
language sql stable security invoker
return greatest(p_profile.last_user_message_at, p_profile.last_message_date::timestamp at time zone 'UTC');
comment on function messaging.last_wrote_at(public.profiles) is
'When the person last wrote: the moment where we saw it, else the start of the day (UTC) that the app noted. Null: never.';

create function messaging.local_date(p_at timestamptz) returns date
language sql immutable security invoker
return (p_at at time zone 'America/Sao_Paulo')::date;
comment on function messaging.local_date(timestamptz) is 'The calendar day of a moment in São Paulo.';

create function messaging.end_of_local_day(p_at timestamptz) returns timestamptz
language sql immutable security invoker
return ((p_at at time zone 'America/Sao_Paulo')::date + 1)::timestamp at time zone 'America/Sao_Paulo';
comment on function messaging.end_of_local_day(timestamptz) is 'The coming midnight in São Paulo.';

create function messaging.rule_against(
    p_purpose text, p_profile_id uuid, p_agency_id uuid, p_phone_key text, p_time_zone text, p_now timestamptz
) returns messaging.verdict
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_rules messaging.purposes;
    v_profile public.profiles;
    v_until timestamptz;
begin
    select p.* into v_rules from messaging.purposes as p where p.purpose = p_purpose;

    if v_rules.opt_out and exists (
        select from messaging.opt_outs as x
        where x.phone_key = p_phone_key and x.agency_id is not distinct from p_agency_id and x.opted_in_at is null
    ) then
        return ('withdraw', null, 'the person opted out')::messaging.verdict;
    end if;

    if p_profile_id is not null and (v_rules.silence is not null or v_rules.do_not_disturb) then
        select p.* into v_profile from public.profiles as p where p.id = p_profile_id;
        if coalesce(messaging.last_wrote_at(v_profile), v_profile.created_at) < p_now - v_rules.silence then
            return ('withdraw', null, 'the person has not written for ' || v_rules.silence)::messaging.verdict;
        end if;
    end if;

    if v_rules.do_not_disturb then
        -- Who wants peace is a person, whichever rows of an adopted table hold the phone. What is null counts for nothing.
        select greatest(v_profile.do_not_disturb_until, max(p.do_not_disturb_until)) into v_until
        from public.profiles as p
        where messaging.phone_key(p.phone) = p_phone_key and messaging.phone_key(p.phone) <> '';
        if v_until > p_now then
            return ('wait', v_until, 'do-not-disturb')::messaging.verdict;
        end if;
        select t.until into v_until
        from messaging.takeovers as t
        where t.phone_key = p_phone_key and t.agency_id is not distinct from p_agency_id and t.until > p_now;
        if v_until is not null then
            return ('wait', v_until, 'human takeover')::messaging.verdict;
        end if;
    end if;

    if v_rules.quiet_hours then
        v_until := messaging.quiet_until(p_now, p_time_zone);
        if v_until is not null then
            return ('wait', v_until, 'quiet hours')::messaging.verdict;
        end if;
    end if;
    return ('go', null, null)::messaging.verdict;
end
$$;
comment on function messaging.rule_against(text, uuid, uuid, text, text, timestamptz) is
'The rule that speaks against writing to this person now, for this kind of message: withdraw (opt-out, silence), wait until (do-not-disturb, human
takeover, quiet hours), or go. The one place of these rules.';

create function messaging.may_choose(p_purpose text, p_profile_id uuid, p_phone text, p_expires_at timestamptz default null) returns boolean
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_key text := messaging.phone_key(p_phone);
    v_rules messaging.purposes;
    v_verdict messaging.verdict;
begin
    select p.* into v_rules from messaging.purposes as p where p.purpose = p_purpose;
    if v_rules.purpose is null or coalesce(v_key, '') !~ '^[0-9]{8,15}$' then
        return false;
    end if;
    -- A person who stands in two rows of an adopted table is written to as the one who is answered; booked sessions are each row's own.
    if v_rules.lane = 'bulk'
        and exists (
            select from public.profiles as p
            where messaging.phone_key(p.phone) = v_key and messaging.phone_key(p.phone) <> '' and p.id <> p_profile_id
        )
        and messaging.find_profile(p_phone) is distinct from p_profile_id
    then
        return false;
    end if;

    v_verdict := messaging.rule_against(p_purpose, p_profile_id, null, v_key, 'America/Sao_Paulo', v_now);
    return v_verdict.action = 'go'
        -- At night there is a morning to wait for, if the message lives that long.
        or (v_verdict.why = 'quiet hours' and v_verdict.until < coalesce(p_expires_at, v_now + v_rules.expires_after)) is true;
end
$$;
comment on function messaging.may_choose(text, uuid, text, timestamptz) is
'Whether a person of the house may stand in the audience of this kind of message now. Claim and begin ask the same rules again.';

-- The head of a queue is judged by the same rules.
select roleta_migrations.remember_function('0023.rules', 'messaging.judge(messaging.outbox, timestamptz)');
create or replace function messaging.judge(p_message messaging.outbox, p_now timestamptz) returns messaging.verdict
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_verdict messaging.verdict;
    v_unknown bigint;
begin
    if p_now >= p_message.expires_at then
        return ('expire', null, 'its time was over before its turn came')::messaging.verdict;
    end if;

    v_verdict := messaging.rule_against(
        p_message.purpose, p_message.profile_id, p_message.agency_id, p_message.phone_key, p_message.time_zone, p_now
    );
    if v_verdict.action = 'wait' and v_verdict.until >= p_message.expires_at then
        return (
            'expire', null,
            case v_verdict.why
                when 'quiet hours' then 'its time is over before the quiet hours end'
                else format('its time is over before the %s ends', v_verdict.why)
            end
        )::messaging.verdict;
    elsif v_verdict.action <> 'go' then
        return v_verdict;
    end if;

    -- While we cannot tell whether this person got the last message, the next one that is not an answer waits.
    if p_message.lane <> 'reply' then
        select u.id into v_unknown
        from messaging.outbox as u
        where
            u.instance_id = p_message.instance_id and u.phone_key = p_message.phone_key
            and u.dispatch_state = 'unknown' and u.lane <> 'reply'
        order by u.id
        limit 1;
        if v_unknown is not null then
            return ('hold', null, 'message ' || v_unknown)::messaging.verdict;
        end if;
    end if;

    return v_verdict;
end
$$;
comment on function messaging.judge(messaging.outbox, timestamptz) is
'What becomes of a message at the head: go, wait (until), hold, expire, or withdraw; the same rules at claim and at begin.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'last_wrote_at', 'local_date', 'end_of_local_day', 'rule_against', 'may_choose'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
    end loop;
end
$$;
