-- What an operator does to a number: adds it, gives it seats and gaps and a role. Each change leaves its trace.
-- depends: 0013.enqueue

set local lock_timeout = '5s';

create table messaging.instance_history (
    id bigint generated always as identity primary key,
    instance_id uuid not null references public.whatsapp_instances (id) on delete cascade,
    happened_at timestamptz not null,
    changed_by text not null,
    change text not null,
    why text
);
create index instance_history_instance on messaging.instance_history (instance_id, id);
alter table messaging.instance_history enable row level security;
revoke all on table messaging.instance_history from public, anon, authenticated, service_role;
comment on table messaging.instance_history is
'Every change of a number''s fitness, seats, gaps and role: by whom and why. Changes made by other hands say so.';

create function messaging.write_instance_history() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change, why)
    values (
        new.id, messaging.clock(),
        -- Set by our functions for their own transaction; empty when the row was written directly.
        -- Whose hand: the role that was set, not the owner that this function runs as.
        coalesce(
            nullif(current_setting('roleta.changed_by', true), ''),
            coalesce(nullif(current_setting('role', true), 'none'), session_user) || ' (directly)'
        ),
        concat_ws(
            ', ',
            case when old.status is distinct from new.status then old.status || ' -> ' || new.status end,
            case
                when old.halted_reason is distinct from new.halted_reason
                    then coalesce('halted: ' || new.halted_reason, 'halt lifted')
            end,
            case
                when old.accepts_new is distinct from new.accepts_new
                    then case when new.accepts_new then 'accepts new people' else 'accepts no new people' end
            end,
            case
                when old.max_users is distinct from new.max_users
                    then format('seats %s -> %s', old.max_users, new.max_users)
            end,
            case
                when old.is_default is distinct from new.is_default
                    then case when new.is_default then 'is the default' else 'is no longer the default' end
            end
        ),
        nullif(current_setting('roleta.changed_why', true), '')
    );
    return null;
end
$$;
comment on function messaging.write_instance_history() is 'Trigger on whatsapp_instances: one row per change that matters.';
create trigger instance_history after update of status, halted_reason, accepts_new, max_users, is_default
on public.whatsapp_instances for each row
when (
    (old.status, old.halted_reason, old.accepts_new, old.max_users, old.is_default)
    is distinct from (new.status, new.halted_reason, new.accepts_new, new.max_users, new.is_default)
) execute function messaging.write_instance_history();

create function messaging.sign_change(p_by text, p_why text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a change says who makes it');
    perform set_config('roleta.changed_by', p_by, true);
    perform set_config('roleta.changed_why', coalesce(p_why, ''), true);
end
$$;
comment on function messaging.sign_change(text, text) is
'Says, for the rest of this transaction, who changes a number and why. Transaction-local, so safe behind a pooler.';

create function messaging.lock_instance(p_instance_id uuid) returns public.whatsapp_instances
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
begin
    select i.* into v_instance from public.whatsapp_instances as i where i.id = p_instance_id for no key update;
    if v_instance.id is null then
        raise exception using errcode = 'WP002', message = 'there is no number with this id';
    end if;
    return v_instance;
end
$$;
comment on function messaging.lock_instance(uuid) is 'The number, locked for this transaction; WP002 when there is none.';

create function messaging.add_instance(
    p_name text, p_zapi_instance_id text, p_zapi_token text, p_zapi_client_token text, p_by text,
    p_phone_number text default null, p_max_users integer default 250, p_webhook_token_hash bytea default null
) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_id uuid;
begin
    perform messaging.sign_change(p_by, 'added');
    -- One writer at a time: names and provider ids stay single, and one number is the first, which is the default.
    perform pg_advisory_xact_lock(hashtextextended('roleta.default_instance', 0));
    perform messaging.require(coalesce(btrim(p_name), '') <> '', 'a number needs a name');
    perform messaging.require(p_max_users >= 0, 'seats are 0 or more');
    perform messaging.require(
        not exists (select from public.whatsapp_instances as i where i.name = btrim(p_name)),
        'a number of this name exists already'
    );
    perform messaging.require(
        not exists (select from public.whatsapp_instances as i where i.zapi_instance_id = p_zapi_instance_id),
        'a number with this Z-API instance id exists already'
    );
    insert into public.whatsapp_instances (
        name, phone_number, zapi_instance_id, zapi_token, zapi_client_token, max_users, webhook_token_hash, is_default
    )
    values (
        btrim(p_name), p_phone_number, p_zapi_instance_id, p_zapi_token, p_zapi_client_token, p_max_users,
        p_webhook_token_hash, messaging.default_instance() is null
    )
    returning id into v_id;
    return v_id;
end
$$;
comment on function messaging.add_instance(text, text, text, text, text, text, integer, bytea) is
'A new Z-API number in the pool, active; the first one becomes the default.';

create function messaging.import_env_instance(
    p_zapi_instance_id text, p_zapi_token text, p_zapi_client_token text, p_by text
)
returns table (instance_id uuid, created boolean, updated boolean, is_default boolean)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_instance public.whatsapp_instances;
begin
    perform messaging.sign_change(p_by, 'imported from the environment');
    perform pg_advisory_xact_lock(hashtextextended('roleta.default_instance', 0));
    select i.* into v_instance
    from public.whatsapp_instances as i
    where i.provider = 'zapi' and i.zapi_instance_id = p_zapi_instance_id
    order by i.created_at
    limit 1
    for no key update;

    created := v_instance.id is null;
    updated := false;
    if created then
        instance_id := messaging.add_instance(
            (
                select 'Aura #' || n.number
                from generate_series(1, (select count(*) + 1 from public.whatsapp_instances)) as n (number)
                where not exists (
                    select from public.whatsapp_instances as i where i.name = 'Aura #' || n.number
                )
                order by n.number
                limit 1
            ),
            p_zapi_instance_id, p_zapi_token, p_zapi_client_token, p_by
        );
    else
        instance_id := v_instance.id;
        if (v_instance.zapi_token, v_instance.zapi_client_token)
            is distinct from (p_zapi_token, p_zapi_client_token)
        then
            update public.whatsapp_instances as i
            set zapi_token = p_zapi_token, zapi_client_token = p_zapi_client_token
            where i.id = v_instance.id;
            updated := true;
        end if;
        if messaging.default_instance() is null and v_instance.in_pool and v_instance.agency_id is null then
            update public.whatsapp_instances as i set is_default = true where i.id = v_instance.id;
        end if;
    end if;
    select i.is_default into is_default from public.whatsapp_instances as i where i.id = instance_id;
    return next;
end
$$;
comment on function messaging.import_env_instance(text, text, text, text) is
'The number of the ZAPI_* variables as a row: made, or its token renewed. The default where there is none yet. Safe to repeat.';

create function messaging.link_profiles(p_instance_id uuid, p_limit integer default 1000) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_linked integer;
begin
    if not exists (select from public.whatsapp_instances as i where i.id = p_instance_id) then
        raise exception using errcode = 'WP002', message = 'there is no number with this id';
    end if;
    with unbound as (
        select p.id from public.profiles as p
        where p.whatsapp_instance_id is null
        order by p.id
        limit p_limit
        for no key update
    )

    update public.profiles as p
    set whatsapp_instance_id = p_instance_id
    from unbound as u
    where p.id = u.id;
    get diagnostics v_linked = row_count;
    return v_linked;
end
$$;
comment on function messaging.link_profiles(uuid, integer) is
'Binds up to p_limit profiles without a number to this one, whatever its seats (adoption); returns how many. Repeat until 0.';

create function messaging.set_seats(p_instance_id uuid, p_max_users integer, p_by text) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
begin
    perform messaging.require(p_max_users >= 0, 'seats are 0 or more');
    perform messaging.sign_change(p_by, null);
    v_instance := messaging.lock_instance(p_instance_id);
    update public.whatsapp_instances as i set max_users = p_max_users where i.id = p_instance_id;
    return v_instance.current_users;
end
$$;
comment on function messaging.set_seats(uuid, integer, text) is
'Sets the seats; returns the people on the number now. Fewer seats than people moves nobody.';

create function messaging.set_gaps(
    p_instance_id uuid, p_gap_min_s numeric, p_gap_max_s numeric, p_by text,
    p_reply_gap_s numeric default null, p_reply_push_max_s numeric default null
) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(
        p_gap_min_s >= 0 and p_gap_min_s <= p_gap_max_s and p_gap_max_s <= 3600,
        'gaps are seconds, 0 <= smallest <= largest <= 3600'
    );
    perform messaging.require(
        coalesce(p_reply_gap_s, 0) >= 0 and coalesce(p_reply_push_max_s, 0) >= 0,
        'what a reply pushes is 0 seconds or more'
    );
    perform messaging.require(coalesce(btrim(p_by), '') <> '', 'a change says who makes it');
    perform messaging.lock_instance(p_instance_id);
    perform from messaging.senders as s where s.instance_id = p_instance_id for no key update;
    update messaging.senders as s
    set
        gap_min_s = p_gap_min_s, gap_max_s = p_gap_max_s,
        reply_gap_s = coalesce(p_reply_gap_s, s.reply_gap_s),
        reply_push_max_s = coalesce(p_reply_push_max_s, s.reply_push_max_s)
    where s.instance_id = p_instance_id;
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
    values (p_instance_id, messaging.clock(), p_by, format('gaps %s-%s s', p_gap_min_s, p_gap_max_s));
end
$$;
comment on function messaging.set_gaps(uuid, numeric, numeric, text, numeric, numeric) is
'Seconds between two paced messages of the number, from the next attempt on; those already promised hold.';

create function messaging.set_default_instance(p_instance_id uuid, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.sign_change(p_by, null);
    perform pg_advisory_xact_lock(hashtextextended('roleta.default_instance', 0));
    perform from public.whatsapp_instances as i
    where i.is_default or i.id = p_instance_id
    order by i.id
    for no key update;
    perform messaging.require(
        exists (
            select from public.whatsapp_instances as i
            where i.id = p_instance_id and i.in_pool and i.agency_id is null
        ),
        'the default is a number of the house, in the pool'
    );
    update public.whatsapp_instances as i set is_default = false where i.is_default and i.id <> p_instance_id;
    update public.whatsapp_instances as i set is_default = true where i.id = p_instance_id and not i.is_default;
end
$$;
comment on function messaging.set_default_instance(uuid, text) is
'Makes this the one default number. Moves nobody who has a number.';

create function messaging.set_accepts_new(p_instance_id uuid, p_accepts_new boolean, p_by text, p_why text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(p_accepts_new is not null, 'a number accepts new people or it does not');
    perform messaging.sign_change(p_by, p_why);
    perform messaging.lock_instance(p_instance_id);
    update public.whatsapp_instances as i set accepts_new = p_accepts_new where i.id = p_instance_id;
end
$$;
comment on function messaging.set_accepts_new(uuid, boolean, text, text) is
'Whether the roulette may give this number to new people; its own people stay.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'write_instance_history', 'sign_change', 'lock_instance', 'add_instance',
                'import_env_instance', 'link_profiles', 'set_seats', 'set_gaps', 'set_default_instance',
                'set_accepts_new'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_function::text !~ '(write_instance_history|sign_change|lock_instance)' then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
