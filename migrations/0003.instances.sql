-- Numbers (instances), and the profile's binding to one.
-- Locks: ACCESS EXCLUSIVE on whatsapp_instances and profiles for the time of adding empty columns (no rewrite:
-- every default is a constant); the foreign key and the checks are validated in the same transaction.
-- depends: 0002.baseline

set local lock_timeout = '5s';

select roleta_migrations.ensure_table('0003.instances', 'public.whatsapp_instances', $ddl$
    id uuid primary key default gen_random_uuid(),
    name text not null,
    phone_number text,
    zapi_instance_id text,
    zapi_token text,
    zapi_client_token text,
    max_users integer not null default 250,
    current_users integer not null default 0,
    status text not null default 'active',
    created_at timestamptz not null default now()
$ddl$);

-- Credentials belong to Z-API only: an adopted table demands them of every number.
select roleta_migrations.relax_not_null('0003.instances', 'public.whatsapp_instances', c.name)
from (values ('zapi_instance_id'), ('zapi_token'), ('zapi_client_token')) as c (name);

select roleta_migrations.ensure_column('0003.instances', 'public.whatsapp_instances', c.name, c.definition)
from (values
    ('provider', $$text not null default 'zapi'$$),
    ('agency_id', 'uuid'),
    ('in_pool', 'boolean not null default true'),
    ('accepts_new', 'boolean not null default true'),
    ('is_default', 'boolean not null default false'),
    ('halted_reason', 'text'),
    ('halted_at', 'timestamptz'),
    ('webhook_token_hash', 'bytea'),
    ('previous_webhook_token_hash', 'bytea'),
    ('last_health_check', 'timestamptz'),
    ('last_disconnected_at', 'timestamptz')
) as c (name, definition);

select roleta_migrations.ensure_constraint('0003.instances', 'public.whatsapp_instances', c.name, c.definition)
from (values
    ('whatsapp_instances_provider_known', $$check (provider in ('zapi', 'evolution'))$$),
    ('whatsapp_instances_seats', 'check (max_users >= 0 and current_users >= 0)'),
    (
        'whatsapp_instances_zapi_credentials',
        $$check (provider <> 'zapi' or (zapi_instance_id is not null and zapi_token is not null
            and zapi_client_token is not null))$$
    ),
    ('whatsapp_instances_default_is_house', 'check (not is_default or (agency_id is null and in_pool))'),
    ('whatsapp_instances_halt_has_time', 'check ((halted_reason is null) = (halted_at is null))')
) as c (name, definition);

-- The four values of status. An adopted table may hold others: a check, even one not validated, would refuse every
-- later change of such a row, its counter included. There a trigger refuses new odd values only, until somebody has
-- corrected the old ones (`roleta adopt --check` lists them) and put the check in its place.
do $$
begin
    if exists (
        select from public.whatsapp_instances as i
        where i.status is null or i.status not in ('active', 'paused', 'banned', 'disconnected')
    ) then
        create function public.refuse_odd_instance_status() returns trigger
        language plpgsql set search_path = ''
        as $body$
        begin
            if new.status is null or new.status not in ('active', 'paused', 'banned', 'disconnected') then
                raise exception 'whatsapp_instances.status is active, paused, banned or disconnected'
                    using errcode = 'check_violation';
            end if;
            return new;
        end
        $body$;
        comment on function public.refuse_odd_instance_status() is
        'Trigger: stands in for the check on status while older rows hold other values.';
        revoke all on function public.refuse_odd_instance_status() from public, anon, authenticated, service_role;
        create trigger refuse_odd_status before insert or update of status on public.whatsapp_instances
        for each row execute function public.refuse_odd_instance_status();
    else
        perform roleta_migrations.ensure_constraint(
            '0003.instances', 'public.whatsapp_instances', 'whatsapp_instances_status_known',
            $body$check (status in ('active', 'paused', 'banned', 'disconnected'))$body$
        );
    end if;
end
$$;

select roleta_migrations.ensure_index(
    '0003.instances', 'public.whatsapp_instances_one_default',
    'create unique index whatsapp_instances_one_default on public.whatsapp_instances (is_default) where is_default'
);
select roleta_migrations.ensure_index(
    '0003.instances', 'public.whatsapp_instances_zapi_instance_id',
    'create index whatsapp_instances_zapi_instance_id on public.whatsapp_instances (zapi_instance_id)'
);
select roleta_migrations.ensure_index(
    '0003.instances', 'public.whatsapp_instances_webhook_token',
    'create index whatsapp_instances_webhook_token on public.whatsapp_instances (webhook_token_hash)'
);
select roleta_migrations.ensure_index(
    '0003.instances', 'public.whatsapp_instances_previous_webhook_token',
    'create index whatsapp_instances_previous_webhook_token
        on public.whatsapp_instances (previous_webhook_token_hash) where previous_webhook_token_hash is not null'
);

select roleta_migrations.ensure_column('0003.instances', 'public.profiles', 'whatsapp_instance_id', 'uuid');
select roleta_migrations.ensure_constraint(
    '0003.instances', 'public.profiles', 'profiles_whatsapp_instance_id_fkey',
    'foreign key (whatsapp_instance_id) references public.whatsapp_instances (id)'
);
select roleta_migrations.ensure_index(
    '0003.instances', 'public.profiles_whatsapp_instance_id',
    'create index profiles_whatsapp_instance_id on public.profiles (whatsapp_instance_id)'
);

-- Section: who may see a number. RLS without a policy: nobody but the owner and service_role (which bypasses it).
select roleta_migrations.ensure_row_security('0003.instances', 'public.whatsapp_instances');
select roleta_migrations.remember_grants('0003.instances', 'public.whatsapp_instances');

revoke all on table public.whatsapp_instances from public, anon, authenticated, service_role;
grant select on table public.whatsapp_instances to service_role;

-- Everything but the counter, which belongs to the trigger on profiles.
do $$
begin
    execute (
        select format(
            'grant update (%s) on table public.whatsapp_instances to service_role',
            string_agg(quote_ident(a.attname), ', ' order by a.attnum)
        )
        from pg_catalog.pg_attribute as a
        where
            a.attrelid = 'public.whatsapp_instances'::regclass and a.attnum > 0
            and not a.attisdropped and a.attgenerated = '' and a.attname not in ('id', 'current_users')
    );
end
$$;

-- Comments go only on what this migration made: an adopted table's own comments are not ours to change.
do $$
declare
    v_column text;
    v_text text;
begin
    for v_column, v_text in
        select c.name, c.meaning
        from (values
            ('status', 'active, paused (by a person), banned (by WhatsApp), disconnected (by event or poll).'),
            ('current_users', 'Profiles bound to this number. Written by the trigger on profiles alone.'),
            ('max_users', 'Seats. Binds the allocation only: an adopted number may already be over it.'),
            ('provider', 'zapi or evolution.'),
            ('agency_id', 'The tenant; null is the house.'),
            ('in_pool', 'Whether the roulette may draw it. False for a number that a client connected.'),
            ('accepts_new', 'False: keeps its people, gets no new ones.'),
            ('is_default', 'The one number that serves profiles without a number of their own.'),
            ('halted_reason', 'Why the provider refuses the account or the number. Nothing is sent while set.'),
            ('halted_at', 'Since when the number is halted.'),
            ('webhook_token_hash', 'sha256 of the secret in the path of this number''s webhook.'),
            ('previous_webhook_token_hash', 'The secret before the last rotation, accepted until cleared.'),
            ('last_health_check', 'When the provider was last asked for the state of this number.'),
            ('last_disconnected_at', 'When this number was last seen to lose its phone.')
        ) as c (name, meaning)
        where exists (
            select from roleta_migrations.created_objects as o
            where o.kind in ('table', 'column')
                and o.identity in ('public.whatsapp_instances', 'public.whatsapp_instances.' || c.name)
        )
    loop
        execute format('comment on column public.whatsapp_instances.%I is %L', v_column, v_text);
    end loop;
end
$$;
