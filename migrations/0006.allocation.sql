-- The roulette: one number at random among those with room, bound to the profile in the same transaction.
-- depends: 0005.seats

set local lock_timeout = '5s';

-- A dense number per drawable instance: drawing is one index probe however many there are.
create table messaging.pool_slots (
    slot integer primary key,
    instance_id uuid not null unique references public.whatsapp_instances (id) on delete cascade,
    constraint pool_slots_dense check (slot >= 1)
);
alter table messaging.pool_slots enable row level security;
revoke all on table messaging.pool_slots from public, anon, authenticated, service_role;
comment on table messaging.pool_slots is
'Every house number of the roulette at a slot 1..n without holes, whatever its health. Kept by a trigger.';

create function messaging.renumber_pool() returns void
language plpgsql security definer set search_path = ''
as $$
declare
    v_hole integer;
begin
    -- One writer at a time; xact lock, so it holds through a transaction pooler too.
    perform pg_advisory_xact_lock(hashtextextended('roleta.pool_slots', 0));

    delete from messaging.pool_slots as p
    using public.whatsapp_instances as i
    where i.id = p.instance_id and (not i.in_pool or i.agency_id is not null);

    -- The last one moves into each hole, highest hole first, so that the slots stay 1..n.
    for v_hole in
        select h.slot
        from generate_series(1, (select coalesce(max(p.slot), 0) from messaging.pool_slots as p)) as h (slot)
        where not exists (select from messaging.pool_slots as p where p.slot = h.slot)
        order by h.slot desc
    loop
        update messaging.pool_slots as p
        set slot = v_hole
        where p.slot = (select max(m.slot) from messaging.pool_slots as m) and p.slot > v_hole;
    end loop;

    insert into messaging.pool_slots (slot, instance_id)
    select
        (select coalesce(max(m.slot), 0) from messaging.pool_slots as m) + row_number() over (order by i.id),
        i.id
    from public.whatsapp_instances as i
    where
        i.in_pool and i.agency_id is null
        and not exists (select from messaging.pool_slots as p where p.instance_id = i.id);
end
$$;
revoke execute on function messaging.renumber_pool() from public, anon, authenticated, service_role;
comment on function messaging.renumber_pool() is 'Makes pool_slots hold exactly the house numbers in the pool, without holes.';

create function messaging.follow_pool() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    perform messaging.renumber_pool();
    return null;
end
$$;
revoke execute on function messaging.follow_pool() from public, anon, authenticated, service_role;
comment on function messaging.follow_pool() is 'Trigger on whatsapp_instances: keeps pool_slots.';

create trigger follow_pool_membership after insert or delete or update of in_pool, agency_id
on public.whatsapp_instances for each statement execute function messaging.follow_pool();

select messaging.renumber_pool();

create function messaging.has_room(p_instance public.whatsapp_instances) returns boolean
language sql immutable parallel safe security invoker
return (
    p_instance.in_pool and p_instance.agency_id is null and p_instance.status = 'active'
    and p_instance.accepts_new and p_instance.halted_reason is null
    and p_instance.current_users < p_instance.max_users
);
revoke execute on function messaging.has_room(public.whatsapp_instances) from public, anon, authenticated, service_role;
comment on function messaging.has_room(public.whatsapp_instances) is
'Whether the roulette may give this number to one more person.';

create function messaging.draw_instance(p_strategy text) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_last integer;
    v_one integer;
    v_two integer;
    v_id uuid;
begin
    select max(p.slot) into v_last from messaging.pool_slots as p;
    if v_last is null then
        return null;
    end if;

    for v_try in 1..64 loop
        -- Into variables: random() inside a WHERE is evaluated for every row.
        v_one := 1 + floor(random() * v_last)::integer;
        v_two := case when p_strategy = 'balanced' then 1 + floor(random() * v_last)::integer else v_one end;
        select i.id into v_id
        from messaging.pool_slots as p
        inner join public.whatsapp_instances as i on p.instance_id = i.id
        where p.slot in (v_one, v_two) and messaging.has_room(i)
        order by i.current_users::numeric / i.max_users
        limit 1;
        if v_id is not null then
            return v_id;
        end if;
    end loop;

    -- Nearly full: look at all those with room, so that "full" is never said while a seat is free.
    select i.id into v_id
    from public.whatsapp_instances as i
    where messaging.has_room(i)
    order by random()
    limit 1;
    return v_id;
end
$$;
revoke execute on function messaging.draw_instance(text) from public, anon, authenticated, service_role;
comment on function messaging.draw_instance(text) is
'A number with room, uniformly at random (or, balanced, the emptier of two); null when there is none. Takes no lock.';

create function messaging.take_seat(p_profile_id uuid, p_instance_id uuid) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform from public.whatsapp_instances as i
    where i.id = p_instance_id
    for no key update;
    -- A new statement, so a new snapshot: the lock may have waited for whoever took the last seat.
    if not exists (select from public.whatsapp_instances as i where i.id = p_instance_id and messaging.has_room(i)) then
        raise exception using errcode = 'WP004', message = 'the seat is gone';
    end if;
    update public.profiles as p
    set whatsapp_instance_id = p_instance_id
    where p.id = p_profile_id;
    return true;
exception
    -- Leaving the block undoes the row lock: a draw that lost must not hold one number while it waits for another.
    when sqlstate 'WP004' then
        return false;
end
$$;
revoke execute on function messaging.take_seat(uuid, uuid) from public, anon, authenticated, service_role;
comment on function messaging.take_seat(uuid, uuid) is
'Binds the profile to the number if it still has room; false, and nothing locked, if the seat is gone.';

-- The original drew and counted in two steps, open to anybody. Where it exists it now draws and does not count:
-- the trigger on profiles counts.
do $$
begin
    if to_regprocedure('public.allocate_whatsapp_instance()') is not null then
        perform roleta_migrations.remember_function('0006.allocation', 'public.allocate_whatsapp_instance()');
        drop function public.allocate_whatsapp_instance();
        create function public.allocate_whatsapp_instance() returns uuid
        language sql volatile security definer set search_path = ''
        as 'select messaging.draw_instance(''random'')';
        revoke execute on function public.allocate_whatsapp_instance() from public, anon, authenticated;
        grant execute on function public.allocate_whatsapp_instance() to service_role;
        comment on function public.allocate_whatsapp_instance() is
        'For code written before roleta: draws a number with room. Linking the profile takes the seat.';
    end if;
end
$$;

create function public.allocate_whatsapp_instance(p_profile_id uuid, p_strategy text default 'random') returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_linked uuid;
    v_drawn uuid;
begin
    perform messaging.require(
        p_strategy in ('random', 'balanced'), 'the allocation strategy is random or balanced'
    );
    select p.whatsapp_instance_id into v_linked
    from public.profiles as p
    where p.id = p_profile_id
    for no key update;
    if not found then
        raise exception using errcode = 'WP002', message = 'there is no profile with this id';
    end if;
    if v_linked is not null then
        return v_linked;
    end if;

    loop
        v_drawn := messaging.draw_instance(p_strategy);
        if v_drawn is null then
            return null;
        end if;
        if messaging.take_seat(p_profile_id, v_drawn) then
            return v_drawn;
        end if;
    end loop;
end
$$;
revoke execute on function public.allocate_whatsapp_instance(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.allocate_whatsapp_instance(uuid, text) to service_role;
comment on function public.allocate_whatsapp_instance(uuid, text) is
'Binds the profile to one house number with room, at random and uniformly; the same answer when asked twice; null when none has room.';
