-- A run is enqueued in lists side by side: an audience tells each person's number, and what a list is written down as costs once.
-- Locks: SHARE ROW EXCLUSIVE on messaging.outbox (writers wait) for replacing two triggers: milliseconds.
-- depends: 0076.bulk

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0077.side_by_side', 'messaging.due_people(text,uuid)');
create or replace function messaging.due_people(p_function text, p_only uuid default null) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_people jsonb;
begin
    perform messaging.require(
        p_function ~ '^people_[a-z0-9_]+$' and to_regprocedure('messaging.' || p_function || '()') is not null,
        'there is no audience of this name'
    );
    execute format(
        'select coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('
        '    ''instance_id'', (select p.whatsapp_instance_id from public.profiles as p where p.id = d.profile_id)'
        ')), ''[]'') from messaging.%I() as d where $1 is null or d.profile_id = $1', p_function
    ) into v_people using p_only;
    return v_people;
end
$$;
comment on function messaging.due_people(text, uuid) is
'The audience that messaging.<p_function>() chooses now, as one list of messaging.due and the number that is each person''s (PostgREST cuts
rows, not values); of one profile where named.';

-- One statement for a list. The two stay in this order, which is that of their names: a message is told to have come before it is withdrawn.
select roleta_migrations.remember_function('0077.side_by_side', 'messaging.write_first_history()');
create function messaging.write_first_history() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    insert into messaging.history (message_id, from_state, to_state, happened_at, changed_by, reason)
    select e.id, null, e.dispatch_state, e.changed_at, e.changed_by, e.reason
    from entered as e
    order by e.id;
    return null;
end
$$;
revoke execute on function messaging.write_first_history() from public, anon, authenticated, service_role;
comment on function messaging.write_first_history() is 'Trigger on outbox: one history row for each message that came.';

select roleta_migrations.remember_function('0077.side_by_side', 'messaging.withdraw_for_ended()');
create or replace function messaging.withdraw_for_ended() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    -- Its caller holds the sender, as forget_connection does: one of the two sees the other's work.
    perform messaging.move(e.id, 'withdrawn', 'end_connection', 'the number was disconnected on purpose')
    from entered as e
    where
        e.agency_id is not null
        and not exists (select from public.whatsapp_connections as c where c.whatsapp_instance_id = e.instance_id)
        and exists (select from messaging.pairings as p where p.instance_id = e.instance_id)
    order by e.id;
    return null;
end
$$;
comment on function messaging.withdraw_for_ended() is
'Trigger on outbox: what is enqueued for a number whose connection ended a moment before is withdrawn like what waited there.';

create or replace trigger history_insert after insert on messaging.outbox
referencing new table as entered
for each statement execute function messaging.write_first_history();
create or replace trigger withdraw_for_ended after insert on messaging.outbox
referencing new table as entered
for each statement execute function messaging.withdraw_for_ended();
