-- The counter of people per number, and one profile per phone.
-- Locks: SHARE ROW EXCLUSIVE on profiles while the triggers are made; the counters are set right once, number by number.
-- depends: 0004.messaging

set local lock_timeout = '5s';

create function messaging.follow_seats() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    -- Three branches and not one: a transition table exists only for its own kind of event.
    if tg_op = 'INSERT' then
        perform messaging.move_seats(
            array(select whatsapp_instance_id from entered where whatsapp_instance_id is not null), array[]::uuid[]
        );
    elsif tg_op = 'DELETE' then
        perform messaging.move_seats(
            array[]::uuid[], array(select whatsapp_instance_id from vacated where whatsapp_instance_id is not null)
        );
    else
        perform messaging.move_seats(
            array(select whatsapp_instance_id from entered where whatsapp_instance_id is not null),
            array(select whatsapp_instance_id from vacated where whatsapp_instance_id is not null)
        );
    end if;
    return null;
end
$$;

create function messaging.move_seats(p_entered uuid[], p_vacated uuid[]) returns void
language plpgsql security definer set search_path = ''
as $$
declare
    v_change record;
begin
    -- In id order: two statements that move many people must not wait for each other in a circle.
    for v_change in
        select
            m.instance_id,
            sum(m.seats)::integer as seats
        from (
            select
                unnest(p_entered) as instance_id,
                1 as seats
            union all
            select
                unnest(p_vacated) as instance_id,
                -1 as seats
        ) as m
        group by m.instance_id
        having sum(m.seats) <> 0
        order by m.instance_id
    loop
        update public.whatsapp_instances as i
        set current_users = greatest(i.current_users + v_change.seats, 0)
        where i.id = v_change.instance_id;
    end loop;
end
$$;

create function messaging.empty_seats() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    perform from public.whatsapp_instances as i order by i.id for no key update;
    update public.whatsapp_instances as i set current_users = 0 where i.current_users <> 0;
    return null;
end
$$;
comment on function messaging.empty_seats() is 'Trigger on profiles: truncate leaves nobody on any number.';
revoke execute on function messaging.empty_seats() from public, anon, authenticated, service_role;
revoke execute on function messaging.follow_seats() from public, anon, authenticated, service_role;
revoke execute on function messaging.move_seats(uuid[], uuid[]) from public, anon, authenticated, service_role;
comment on function messaging.follow_seats() is
'Trigger on profiles: the only writer of whatsapp_instances.current_users.';
comment on function messaging.move_seats(uuid[], uuid[]) is
'Adds who entered and takes off who left, number by number in id order.';

-- The original lowered the counter by a trigger of its own when a profile was deleted: two would count twice.
do $$
declare
    v_trigger record;
begin
    for v_trigger in
        select
            t.tgname,
            t.tgenabled
        from pg_catalog.pg_trigger as t
        where
            t.tgrelid = 'public.profiles'::regclass and not t.tgisinternal and t.tgenabled <> 'D'
            and pg_get_functiondef(t.tgfoid) ~ 'current_users'
    loop
        execute format('alter table public.profiles disable trigger %I', v_trigger.tgname);
        insert into roleta_migrations.created_objects (migration, kind, identity, previous)
        values ('0005.seats', 'disabled_trigger', v_trigger.tgname, v_trigger.tgenabled);
        raise notice 'trigger % on profiles also counts people; it is switched off', v_trigger.tgname;
    end loop;
end
$$;

-- The update trigger has no column list: transition tables do not allow one.
create trigger follow_seats_insert after insert on public.profiles
referencing new table as entered for each statement execute function messaging.follow_seats();
create trigger follow_seats_update after update on public.profiles
referencing old table as vacated new table as entered for each statement execute function messaging.follow_seats();
create trigger follow_seats_truncate after truncate on public.profiles
for each statement execute function messaging.empty_seats();
create trigger follow_seats_delete after delete on public.profiles
referencing old table as vacated for each statement execute function messaging.follow_seats();

-- An adopted counter may have drifted: from here on it is the truth, so it starts as the truth. What was added or
-- taken off is remembered, and the rollback undoes it.
with corrected as (
    update public.whatsapp_instances as i
    set current_users = c.people
    from (
        select
            i2.id,
            i2.current_users as counted,
            count(p.id)::integer as people
        from public.whatsapp_instances as i2
        left join public.profiles as p on i2.id = p.whatsapp_instance_id
        group by i2.id
    ) as c
    where i.id = c.id and i.current_users <> c.people
    returning i.id, c.counted - c.people as drift
)

insert into roleta_migrations.created_objects (migration, kind, identity, previous)
select
    '0005.seats' as migration,
    'corrected_seats' as kind,
    c.id::text as identity,
    c.drift::text as previous
from corrected as c;

-- One person, one profile. Where an adopted table already holds both forms of a phone, the index cannot be unique:
-- it is made plain, sign_up still serialises on the phone, and `roleta adopt --check` lists the pairs.
do $$
begin
    if exists (
        select from public.profiles as p where messaging.phone_key(p.phone) <> ''
        group by messaging.phone_key(p.phone) having count(*) > 1
    ) then
        raise notice 'profiles holds several rows for one phone; the phone index is not unique';
        create index profiles_phone_canonical on public.profiles (messaging.phone_key(phone));
    else
        create unique index profiles_phone_canonical on public.profiles (messaging.phone_key(phone))
        where messaging.phone_key(phone) <> '';
    end if;
end
$$;
