-- How often strangers may sign up: by phone, by the address they call from, and in all, so that nobody drains the seats.
-- Locks: none; functions and two tables of their own.
-- depends: 0072.erasure

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

create function messaging.sign_up_within_limits(
    p_name text, p_phone text, p_email text, p_welcome_text text, p_enqueued_by text,
    p_address text, p_per_phone integer, p_per_address integer, p_seat_percent numeric,
    p_strategy text default 'random', p_run_id text default null
)
returns table (
    profile_id uuid, already_exists boolean, instance_id uuid, no_room boolean, message_id bigint, refused_by text, retry_after_s integer
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
    perform messaging.require(messaging.phone_key(p_phone) ~ '^[0-9]{8,15}$', 'a sign-up needs a phone');
    -- As sign_up does: both forms of one phone wait for each other.
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
    if refused_by is null and p_address is not null and p_seat_percent > 0 and messaging.find_profile(p_phone) is null then
        retry_after_s := messaging.fill_bucket('seats', messaging.seats_for_strangers(p_seat_percent));
        refused_by := case when retry_after_s is not null then 'seats' end;
    end if;

    if refused_by is null then
        begin
            select u.profile_id, u.already_exists, u.instance_id, u.no_room, u.message_id
            into profile_id, already_exists, instance_id, no_room, message_id
            from messaging.sign_up(p_name, p_phone, p_email, p_welcome_text, p_enqueued_by, p_strategy, p_run_id) as u;
        exception
            -- What was counted stays counted.
            when sqlstate 'WP004' then
                refused_by := 'taken';
        end;
    end if;
    return next;
end
$$;
comment on function messaging.sign_up_within_limits(
    text, text, text, text, text, text, integer, integer, numeric, text, text
) is
'sign_up, unless this phone, this address or strangers together asked too often (limits per hour, 0 is none): refused_by phone, address or seats, nothing was
stored, ask again after retry_after_s; taken: another profile has something of this sign-up. p_address: whence a stranger asks; null for whoever we trust.';

revoke execute on function messaging.bucket_name(text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.fill_bucket(text, numeric) from public, anon, authenticated, service_role;
revoke execute on function messaging.seats_for_strangers(numeric) from public, anon, authenticated, service_role;
revoke execute on function messaging.forget_buckets(integer) from public, anon, authenticated, service_role;
grant execute on function messaging.forget_buckets(integer) to service_role;
revoke execute on function messaging.sign_up_within_limits(
    text, text, text, text, text, text, integer, integer, numeric, text, text
) from public, anon, authenticated, service_role;
grant execute on function messaging.sign_up_within_limits(
    text, text, text, text, text, text, integer, integer, numeric, text, text
) to service_role;
