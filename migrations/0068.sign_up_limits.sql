-- How often strangers may sign up: by phone, by the address they call from, and in all, so that nobody drains the seats.
-- Locks: none; one function is made anew.
-- depends: 0067.retention

set local lock_timeout = '5s';

-- A bucket leaks: each call fills it by an hour's n-th part, and a call that would make it hold more than an hour's worth is refused. A row a
-- bucket, no windows: at most n at once, and n an hour after that.
create table messaging.sign_up_buckets (
    bucket text primary key,
    empty_at timestamptz not null
);
create index sign_up_buckets_empty_at on messaging.sign_up_buckets (empty_at);
comment on table messaging.sign_up_buckets is
'How much each phone and each address has asked of start-trial of late, and strangers together. No phone and no address: keyed hashes; gone within a day.';
comment on column messaging.sign_up_buckets.bucket is 'phone:… or address:… with a keyed hash, or seats: what strangers together took of the pool.';
comment on column messaging.sign_up_buckets.empty_at is 'When all that was asked has leaked away. An hour ahead: full.';

create table messaging.bucket_key (
    only_row boolean primary key default true,
    key bytea not null,
    constraint bucket_key_one_row check (only_row)
);
comment on table messaging.bucket_key is 'One row: the key of the hashes that name buckets. Drawn here, never shown.';
insert into messaging.bucket_key (key)
values (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

alter table messaging.sign_up_buckets enable row level security;
alter table messaging.bucket_key enable row level security;
revoke all on table messaging.sign_up_buckets from public, anon, authenticated, service_role;
revoke all on table messaging.bucket_key from public, anon, authenticated, service_role;

create function messaging.bucket_name(p_kind text, p_of text) returns text
language sql stable security definer set search_path = ''
as $$
    -- Hashed twice with the key: an outer hash that nobody can go on from.
    select p_kind || ':' || encode(sha256(k.key || sha256(k.key || convert_to(p_kind || ':' || p_of, 'UTF8'))), 'hex')
    from messaging.bucket_key as k
$$;
comment on function messaging.bucket_name(text, text) is 'The bucket of a phone or an address: a keyed hash, from which neither can be read.';

create function messaging.fill_bucket(p_bucket text, p_per_hour numeric) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_drop interval := make_interval(secs => (3600 / greatest(p_per_hour, 1))::double precision);
    v_full timestamptz := v_now + interval '1 hour';
    v_empty_at timestamptz;
begin
    -- Whoever calls in vain is told so from a read: a flood of refusals writes nothing and waits for nobody.
    select b.empty_at into v_empty_at from messaging.sign_up_buckets as b where b.bucket = p_bucket;
    if v_empty_at is null or v_empty_at + v_drop <= v_full then
        insert into messaging.sign_up_buckets as b (bucket, empty_at)
        values (p_bucket, v_now + v_drop)
        on conflict (bucket) do update
        set empty_at = greatest(b.empty_at, v_now) + v_drop
        where greatest(b.empty_at, v_now) + v_drop <= v_full;
        if found then
            return null;
        end if;
        select b.empty_at into v_empty_at from messaging.sign_up_buckets as b where b.bucket = p_bucket;
    end if;
    return greatest(1, ceil(extract(epoch from v_empty_at + v_drop - v_full)))::integer;
end
$$;
comment on function messaging.fill_bucket(text, numeric) is
'Null: there was room in the bucket, and one more is in it. Else how many seconds until there is room; nothing is written then.';

create function messaging.seats_for_strangers(p_percent numeric) returns numeric
language sql stable security definer set search_path = ''
as $$
    -- Of what is free now, so that a nearly full pool is guarded too. Where nothing is free nobody takes a seat: then a share of all seats
    -- bounds the profiles and welcomes.
    select floor(greatest(1, p_percent / 100 * case when s.free > 0 then s.free else greatest(s.seats, 100) end))
    from (
        select
            coalesce(sum(greatest(i.max_users - i.current_users, 0)) filter (where messaging.has_room(i)), 0) as free,
            coalesce(sum(i.max_users), 0) as seats
        from public.whatsapp_instances as i
        where i.in_pool and i.agency_id is null
    ) as s
$$;
comment on function messaging.seats_for_strangers(numeric) is
'How many sign-ups an hour strangers together may make: this share of the free seats, at least one.';

create function messaging.forget_buckets(p_limit integer default 500) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_done integer;
begin
    with leaked as (
        select b.bucket from messaging.sign_up_buckets as b
        where b.empty_at < messaging.clock()
        order by b.empty_at
        limit p_limit
        for update skip locked
    )
    delete from messaging.sign_up_buckets as b using leaked where leaked.bucket = b.bucket;
    get diagnostics v_done = row_count;
    return v_done;
end
$$;
comment on function messaging.forget_buckets(integer) is 'Deletes a batch of the buckets from which all has leaked; answers how many.';

select roleta_migrations.remember_function('0068.sign_up_limits', 'messaging.sign_up(text,text,text,text,text,text,text)');
drop function messaging.sign_up(text, text, text, text, text, text, text);

create function messaging.sign_up(
    p_name text, p_phone text, p_email text, p_welcome_text text, p_enqueued_by text,
    p_strategy text default 'random', p_run_id text default null,
    p_address text default null, p_per_phone integer default 0, p_per_address integer default 0, p_seat_percent numeric default 0
)
returns table (
    profile_id uuid, already_exists boolean, instance_id uuid, no_room boolean, message_id bigint, refused_by text, retry_after_s integer
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
    perform messaging.require(coalesce(btrim(p_name), '') <> '', 'a sign-up needs a name');
    perform messaging.require(messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$', 'a sign-up needs a phone');
    perform messaging.require(coalesce(p_welcome_text, '') <> '', 'a sign-up needs a welcome');
    -- Both forms of one phone wait for each other here, also where an adopted table could have no unique index.
    perform pg_advisory_xact_lock(hashtextextended('roleta.sign_up.' || messaging.phone_key(p_phone), 0));

    -- A refusal is an answer and no error, which would undo what was counted. Known phones count too, or the answer would tell quickly who
    -- is with us.
    if p_address is not null and p_per_address > 0 then
        retry_after_s := messaging.fill_bucket(messaging.bucket_name('address', p_address), p_per_address);
        refused_by := case when retry_after_s is not null then 'address' end;
    end if;
    if refused_by is null and p_per_phone > 0 then
        retry_after_s := messaging.fill_bucket(messaging.bucket_name('phone', messaging.phone_key(p_phone)), p_per_phone);
        refused_by := case when retry_after_s is not null then 'phone' end;
    end if;
    profile_id := messaging.find_profile(p_phone);
    already_exists := profile_id is not null;
    if refused_by is null and p_address is not null and p_seat_percent > 0 and not already_exists then
        retry_after_s := messaging.fill_bucket('seats', messaging.seats_for_strangers(p_seat_percent));
        refused_by := case when retry_after_s is not null then 'seats' end;
    end if;
    if refused_by is not null then
        profile_id := null;
        already_exists := false;
        no_room := false;
        return next;
        return;
    end if;

    if not already_exists then
        insert into public.profiles (
            user_id, name, phone, email, plan, status, trial_started_at, trial_conversations_count
        )
        values (gen_random_uuid(), p_name, p_phone, p_email, null, 'trial', messaging.clock(), 0)
        on conflict do nothing
        returning id into profile_id;
        -- The app itself may have inserted this phone meanwhile, past our lock.
        if profile_id is null then
            profile_id := messaging.find_profile(p_phone);
            already_exists := true;
            if profile_id is null and p_address is not null then
                refused_by := 'taken';
                already_exists := false;
                no_room := false;
                return next;
                return;
            end if;
            if profile_id is null then
                raise exception using
                    errcode = 'WP004', message = 'another profile already has something of this sign-up, such as its e-mail';
            end if;
        end if;
    end if;

    -- Also for somebody known who never got a number: there may be room now.
    instance_id := public.allocate_whatsapp_instance(profile_id, p_strategy);
    no_room := instance_id is null;
    if already_exists then
        return next;
        return;
    end if;

    -- No room: the default number speaks. Not even that: the profile stands, and the answer says so.
    if coalesce(instance_id, messaging.default_instance()) is not null then
        select e.message_id into message_id
        from messaging.enqueue(jsonb_build_object(
            'purpose', 'welcome', 'phone', p_phone, 'profile_id', profile_id,
            'content', jsonb_build_object('kind', 'text', 'text', p_welcome_text),
            'dedupe_key', 'welcome:' || profile_id, 'enqueued_by', p_enqueued_by, 'run_id', p_run_id
        )) as e;
    end if;
    return next;
end
$$;
comment on function messaging.sign_up(text, text, text, text, text, text, text, text, integer, integer, numeric) is
'Profile, seat and welcome in one transaction; one profile per phone in any form. no_room: all numbers are full, the default one serves. p_address: whence a
stranger asks; null for whoever we trust. The three limits are per hour, 0 is none; refused_by phone, address or seats: nothing was stored, ask again after
retry_after_s; taken: another profile has something of this sign-up.';

revoke execute on function messaging.bucket_name(text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.fill_bucket(text, numeric) from public, anon, authenticated, service_role;
revoke execute on function messaging.seats_for_strangers(numeric) from public, anon, authenticated, service_role;
revoke execute on function messaging.forget_buckets(integer) from public, anon, authenticated, service_role;
grant execute on function messaging.forget_buckets(integer) to service_role;
revoke execute on function messaging.sign_up(text, text, text, text, text, text, text, text, integer, integer, numeric)
from public, anon, authenticated, service_role;
grant execute on function messaging.sign_up(text, text, text, text, text, text, text, text, integer, integer, numeric) to service_role;
