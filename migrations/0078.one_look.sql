-- What speaks against writing to a person is asked in one statement instead of five: an audience asks it of thousands.
-- Locks: none; a function only.
-- depends: 0077.side_by_side

set local lock_timeout = '5s';

select roleta_migrations.remember_function(
    '0078.one_look', 'messaging.rule_against(text,uuid,uuid,text,text,timestamp with time zone)'
);
create or replace function messaging.rule_against(
    p_purpose text, p_profile_id uuid, p_agency_id uuid, p_phone_key text, p_time_zone text, p_now timestamptz
) returns messaging.verdict
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_rules messaging.purposes;
    v_found record;
begin
    select p.* into v_rules from messaging.purposes as p where p.purpose = p_purpose;

    select
        v_rules.opt_out and exists (
            select from messaging.opt_outs as x
            where x.phone_key = p_phone_key and x.agency_id is not distinct from p_agency_id and x.opted_in_at is null
        ) as is_out,
        (
            select coalesce(messaging.last_wrote_at(p), p.created_at) < p_now - v_rules.silence
            from public.profiles as p
            where p.id = p_profile_id
        ) as is_silent,
        -- Who wants peace is a person, whichever rows of an adopted table hold the phone. What is null counts for nothing.
        case when v_rules.do_not_disturb then greatest(
            (select p.do_not_disturb_until from public.profiles as p where p.id = p_profile_id),
            (
                select max(p.do_not_disturb_until)
                from public.profiles as p
                where messaging.phone_key(p.phone) = p_phone_key and messaging.phone_key(p.phone) <> ''
            )
        ) end as peace_until,
        case when v_rules.do_not_disturb then (
            select t.until
            from messaging.takeovers as t
            where t.phone_key = p_phone_key and t.agency_id is not distinct from p_agency_id and t.until > p_now
        ) end as takeover_until,
        case when v_rules.quiet_hours then messaging.quiet_until(p_now, p_time_zone) end as quiet_until
    into v_found;

    return case
        when v_found.is_out then ('withdraw', null, 'the person opted out')::messaging.verdict
        when v_found.is_silent then ('withdraw', null, 'the person has not written for ' || v_rules.silence)::messaging.verdict
        when v_found.peace_until > p_now then ('wait', v_found.peace_until, 'do-not-disturb')::messaging.verdict
        when v_found.takeover_until is not null then ('wait', v_found.takeover_until, 'human takeover')::messaging.verdict
        when v_found.quiet_until is not null then ('wait', v_found.quiet_until, 'quiet hours')::messaging.verdict
        else ('go', null, null)::messaging.verdict
    end;
end
$$;
