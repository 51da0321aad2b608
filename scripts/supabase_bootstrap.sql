-- What a bare PostgreSQL lacks of Supabase. Run by scripts/embedded.py as a superuser, as one string; repeatable.
-- roleta.default_grants = 'permissive' (default) or 'restrictive' chooses the default privileges in schema public.
-- On a real Supabase project everything here is there already: do not run it there.

-- Roles belong to the whole server: two databases that are bootstrapped at once wait for each other here.
lock table pg_catalog.pg_authid in share row exclusive mode;

do $roles$
declare
    role_name text;
begin
    foreach role_name in array array['anon', 'authenticated', 'service_role', 'authenticator'] loop
        if not exists (select 1 from pg_catalog.pg_roles where rolname = role_name) then
            execute format('create role %I', role_name);
        end if;
    end loop;
end
$roles$;

alter role anon nologin noinherit;
alter role authenticated nologin noinherit;
alter role service_role nologin noinherit bypassrls;
alter role authenticator login noinherit;
grant anon to authenticator;
grant authenticated to authenticator;
grant service_role to authenticator;

create schema if not exists auth;
create schema if not exists extensions;
grant usage on schema auth, extensions, public to anon, authenticated, service_role;

create table if not exists auth.users (
    id uuid primary key default gen_random_uuid(),
    email text unique,
    phone text unique,
    raw_app_meta_data jsonb not null default '{}',
    raw_user_meta_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    last_sign_in_at timestamptz
);
comment on table auth.users is 'People who may sign in; on Supabase this is the table of its auth service.';

-- The caller's verified claims stand in request.jwt.claims for the length of a transaction; empty means none.
create or replace function auth.jwt() returns jsonb
language sql stable
as $$ select nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb $$;

create or replace function auth.uid() returns uuid
language sql stable
as $$ select (auth.jwt() ->> 'sub')::uuid $$;

create or replace function auth.role() returns text
language sql stable
as $$ select auth.jwt() ->> 'role' $$;

create or replace function auth.email() returns text
language sql stable
as $$ select auth.jwt() ->> 'email' $$;

comment on function auth.jwt() is 'All claims of the caller''s token, or null.';
comment on function auth.uid() is 'The caller''s id (claim sub), or null.';
comment on function auth.role() is 'The caller''s role (claim role), or null.';
comment on function auth.email() is 'The caller''s e-mail address (claim email), or null.';

-- Default privileges hold for what the executing role creates later.
do $grants$
declare
    flavour text := coalesce(nullif(current_setting('roleta.default_grants', true), ''), 'permissive');
    kind text;
begin
    if flavour not in ('permissive', 'restrictive') then
        raise exception 'roleta.default_grants is %, it must be permissive or restrictive', flavour;
    end if;
    foreach kind in array array['tables', 'functions', 'sequences'] loop
        execute format(
            'alter default privileges in schema public %s all on %s %s anon, authenticated, service_role',
            case flavour when 'permissive' then 'grant' else 'revoke' end, kind,
            case flavour when 'permissive' then 'to' else 'from' end
        );
    end loop;
    if flavour = 'restrictive' then
        alter default privileges revoke execute on functions from public;
    else
        alter default privileges grant execute on functions to public;
    end if;
end
$grants$;
