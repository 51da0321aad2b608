-- A project as the first original left it, with people in it: what `roleta migrate` must be able to adopt.
-- In our own words; names and types as the seed and reference describe them. Run as the owner of the database.

create type public.session_status as enum ('scheduled', 'in_progress', 'completed', 'cancelled', 'no_show');
create type public.app_role as enum ('admin', 'user');

create table public.whatsapp_instances (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    phone_number text,
    zapi_instance_id text not null,
    zapi_token text not null,
    zapi_client_token text not null,
    max_users integer not null default 250,
    current_users integer not null default 0,
    status text not null default 'active',
    created_at timestamptz not null default now()
);
alter table public.whatsapp_instances enable row level security;
create policy only_the_service_role on public.whatsapp_instances
for all to public using (auth.role() = 'service_role') with check (auth.role() = 'service_role');
grant select (id, name, status) on public.whatsapp_instances to authenticated;
comment on column public.whatsapp_instances.status is 'active / paused / banned / disconnected';

create table public.sessions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    session_type text not null default 'livre',
    scheduled_at timestamptz not null,
    status public.session_status not null default 'scheduled',
    duration_minutes integer not null default 45
);

create table public.profiles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique,
    name text,
    phone text unique,
    plan text default 'essencial',
    status text default 'active',
    favourite_colour text,
    current_session_id uuid references public.sessions (id),
    whatsapp_instance_id uuid references public.whatsapp_instances (id),
    created_at timestamptz not null default now()
);
alter table public.profiles enable row level security;
create policy people_see_themselves on public.profiles for select to authenticated using (auth.uid() = user_id);
create index profiles_by_status on public.profiles (status);

create table public.messages (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    role text not null,
    content text not null,
    created_at timestamptz not null default now()
);
revoke all on public.messages from anon;

create table public.user_roles (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    role public.app_role not null,
    unique (user_id, role)
);

create table public.zapi_message_dedup (
    message_id text primary key,
    phone text,
    created_at timestamptz not null default now()
);

-- The seed's roulette: takes a seat without a lock, and answers who sits there.
create function public.allocate_whatsapp_instance() returns uuid
language plpgsql security definer set search_path = public
as $$
declare
    chosen uuid;
begin
    select id into chosen from whatsapp_instances
    where status = 'active' and current_users < max_users order by random() limit 1;
    update whatsapp_instances set current_users = current_users + 1 where id = chosen;
    return chosen;
end
$$;
comment on function public.allocate_whatsapp_instance() is 'The old roulette.';

insert into public.whatsapp_instances
(id, name, phone_number, zapi_instance_id, zapi_token, zapi_client_token, max_users, current_users, status)
values
('00000000-0000-4000-8000-000000000001', 'Aura #1', '5511900000001', 'A1', 'token-1', 'client', 250, 3, 'active'),
('00000000-0000-4000-8000-000000000002', 'Aura #2', null, 'A2', 'token-2', 'client', 1, 7, 'warming'),
('00000000-0000-4000-8000-000000000003', 'Aura #3', '5511900000003', 'A3', 'token-3', 'client', 250, 0, 'paused');

insert into public.profiles (user_id, name, phone, plan, status, favourite_colour, whatsapp_instance_id, created_at)
values
('10000000-0000-4000-8000-000000000001', 'Ana', '5511987654321', 'direcao', 'active', 'blue',
 '00000000-0000-4000-8000-000000000001', '2026-01-10 10:00+00'),
-- The same person, written down without the ninth digit.
('10000000-0000-4000-8000-000000000002', 'Ana P.', '551187654321', 'essencial', 'trial', null,
 '00000000-0000-4000-8000-000000000001', '2026-01-11 10:00+00'),
('10000000-0000-4000-8000-000000000003', 'Bruno', '5521912345678', null, 'canceled', 'red',
 '00000000-0000-4000-8000-000000000002', '2026-01-12 10:00+00'),
('10000000-0000-4000-8000-000000000004', 'Chris', '14155550123', 'mensal', 'active', null, null,
 '2026-01-13 10:00+00'),
('10000000-0000-4000-8000-000000000005', null, null, 'essencial', null, null, null, '2026-01-14 10:00+00');

insert into public.sessions (user_id, scheduled_at, status)
select
    user_id,
    created_at + interval '7 days' as scheduled_at,
    'completed'::public.session_status as status
from public.profiles
where name is not null;

insert into public.messages (user_id, role, content, created_at)
select
    p.user_id,
    r.role,
    'text ' || n.n as content,
    p.created_at + n.n * interval '1 minute' as created_at
from public.profiles as p
cross join (values ('user'), ('assistant')) as r (role)
cross join generate_series(1, 20) as n (n);

insert into public.user_roles (user_id, role) values ('10000000-0000-4000-8000-000000000001', 'admin');
insert into public.zapi_message_dedup (message_id, phone) values ('3EB0AA', '5511987654321');

-- The other original, the agency's: its connections as they stood before and after its own change (functions 4.1), with rows in them.
create table public.client_manager_links (
    id uuid primary key default gen_random_uuid(),
    client_user_id uuid not null unique,
    manager_id uuid not null,
    client_label text,
    is_demo boolean default false,
    created_at timestamptz default now()
);
create table public.whatsapp_connections (
    id uuid primary key default gen_random_uuid(),
    agency_id uuid not null,
    client_id uuid references auth.users (id),
    provider text not null default 'evolution',
    instance_name text,
    instance_id text,
    status text default 'pending',
    connected_at timestamptz default now(),
    updated_at timestamptz default now(),
    access_token text,
    constraint whatsapp_connections_agency_id_key unique (agency_id)
);
alter table public.whatsapp_connections enable row level security;
create policy managers_see_their_own on public.whatsapp_connections for all to authenticated using (auth.uid() = agency_id);
create unique index whatsapp_connections_agency_client
on public.whatsapp_connections (agency_id, coalesce(client_id, '00000000-0000-0000-0000-000000000000'));
insert into public.client_manager_links (client_user_id, manager_id, client_label)
values ('c0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'Padaria');
insert into public.whatsapp_connections (agency_id, instance_name, status)
values
('a0000000-0000-4000-8000-000000000001', 'adscape_a000000000004000', 'connected'),
('a0000000-0000-4000-8000-000000000002', 'adscape_a000000000005000', 'pending');
