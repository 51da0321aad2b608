-- The schema of what is ours, its clock, and the switch that stops everything. Written by functions only.
-- depends: 0003.instances

set local lock_timeout = '5s';

create schema messaging;
revoke all on schema messaging from public, anon, authenticated;
grant usage on schema messaging to service_role;
comment on schema messaging is
'roleta: the pool, the pace and the outbox. State changes through functions only; service_role may execute, not write.';

create function messaging.clock() returns timestamptz
language sql volatile security invoker
return clock_timestamp();
revoke execute on function messaging.clock() from public, anon, authenticated, service_role;
grant execute on function messaging.clock() to service_role;
comment on function messaging.clock() is
'The one clock of every transition. A simulated run replaces it, in a throw-away database only.';

create function messaging.require(p_condition boolean, p_message text) returns void
language plpgsql immutable security invoker set search_path = ''
as $$
begin
    if p_condition is not true then
        raise exception using errcode = 'WP003', message = p_message;
    end if;
end
$$;
revoke execute on function messaging.require(boolean, text) from public, anon, authenticated, service_role;
comment on function messaging.require(boolean, text) is 'Raises WP003 with the message unless the condition holds.';

create function messaging.phone_key(p_phone text) returns text
language sql immutable strict parallel safe security invoker
return (
    select
        case
            -- Brazil: the ninth digit goes, since providers report both forms. Only before 6-9: mobiles that began with
            -- 1-5 never had eight digits, and without the nine they would be somebody's landline.
            when d.digits ~ '^55[1-9]{2}9[6-9][0-9]{7}$' then left(d.digits, 4) || right(d.digits, 8)
            -- Every other phone as it is. No guess at a missing country code: 51 987654321 is Lima and Porto Alegre.
            else d.digits
        end
    from (select regexp_replace(split_part(p_phone, '@', 1), '[^0-9]', '', 'g') as digits) as d
);
revoke execute on function messaging.phone_key(text) from public, anon, authenticated, service_role;
grant execute on function messaging.phone_key(text) to service_role;
comment on function messaging.phone_key(text) is
'One key per person, from a phone with its country code: the 12- and 13-digit forms of a Brazilian phone give the same.';

create table messaging.control (
    only_row boolean primary key default true,
    paused_at timestamptz,
    paused_by text,
    paused_why text,
    constraint control_one_row check (only_row),
    constraint control_pause_is_whole check ((paused_at is null) = (paused_by is null))
);
insert into messaging.control default values;
alter table messaging.control enable row level security;
revoke all on table messaging.control from public, anon, authenticated, service_role;
comment on table messaging.control is 'One row: whether everything is paused, since when, by whom and why.';
comment on column messaging.control.paused_at is 'Null: running. Otherwise no claim and no begin until resumed.';
