-- A webhook secret that the provider may be using stays live, however the attempts to change it ended.
-- Locks: SHARE ROW EXCLUSIVE on whatsapp_instances (writers wait) for one foreign key of an empty table: milliseconds.
-- depends: 0082.provider_wait

set local lock_timeout = '5s';

-- A provider that answers with an error, late or not at all may have taken the new secret all the same, and a second attempt does
-- not tell of the first. So each attempt is written here before the provider hears of it, and is live from then on. How many
-- there may be has no bound: to push one out may be to shut the provider out.
create table messaging.webhook_attempts (
    instance_id uuid not null,
    token_hash bytea not null,
    begun_at timestamptz not null,
    replaces bytea,
    settled_at timestamptz,
    constraint webhook_attempts_pkey primary key (instance_id, token_hash),
    constraint webhook_attempts_instance_id_fkey foreign key (instance_id) references public.whatsapp_instances (id) on delete cascade
);
create index webhook_attempts_token on messaging.webhook_attempts (token_hash);
alter table messaging.webhook_attempts enable row level security;
revoke all on table messaging.webhook_attempts from public, anon, authenticated, service_role;
comment on table messaging.webhook_attempts is
'Webhook secrets of which the provider never said that it took them. Each is accepted like the present one.';
comment on column messaging.webhook_attempts.token_hash is 'sha256 of the secret.';
comment on column messaging.webhook_attempts.replaces is 'The present one''s hash when it was begun: another one at its end means that two were under way.';
comment on column messaging.webhook_attempts.settled_at is
'Since when the provider uses a later secret for certain. What is under way may still bear this one, until the rotation after that.';

select roleta_migrations.remember_function('0083.webhook_rotation', 'messaging.begin_webhook_rotation(uuid,bytea,text)');
create function messaging.begin_webhook_rotation(p_instance_id uuid, p_token_hash bytea, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(length(p_token_hash) = 32, 'the webhook token comes as its sha256');
    perform messaging.lock_instance(p_instance_id);
    insert into messaging.webhook_attempts (instance_id, token_hash, begun_at, replaces)
    select i.id, p_token_hash, messaging.clock(), i.webhook_token_hash
    from public.whatsapp_instances as i
    where i.id = p_instance_id;
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
    values (p_instance_id, messaging.clock(), p_by, 'webhook rotation begun');
end
$$;
comment on function messaging.begin_webhook_rotation(uuid, bytea, text) is
'A new webhook secret is accepted from now on; committed before the provider hears of it. end_webhook_rotation follows its yes, and nothing
follows anything else.';

select roleta_migrations.remember_function('0083.webhook_rotation', 'messaging.end_webhook_rotation(uuid,bytea,text)');
create function messaging.end_webhook_rotation(p_instance_id uuid, p_token_hash bytea, p_by text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_present bytea;
    v_attempt messaging.webhook_attempts;
begin
    perform messaging.require(length(p_token_hash) = 32, 'the webhook token comes as its sha256');
    perform messaging.lock_instance(p_instance_id);
    select i.webhook_token_hash into v_present from public.whatsapp_instances as i where i.id = p_instance_id;
    if v_present = p_token_hash then
        return true;
    end if;
    select a.* into v_attempt
    from messaging.webhook_attempts as a
    where a.instance_id = p_instance_id and a.token_hash = p_token_hash;
    -- Another one ended since this one began, and in which order the provider took the two nobody knows.
    if v_attempt.instance_id is null or v_attempt.replaces is distinct from v_present then
        insert into messaging.webhook_attempts as a (instance_id, token_hash, begun_at, replaces)
        values (p_instance_id, p_token_hash, messaging.clock(), v_present)
        on conflict (instance_id, token_hash) do update set settled_at = null;
        return false;
    end if;
    delete from messaging.webhook_attempts as a
    where a.instance_id = p_instance_id and (a.token_hash = p_token_hash or a.settled_at is not null);
    update messaging.webhook_attempts as a set settled_at = messaging.clock() where a.instance_id = p_instance_id;
    update public.whatsapp_instances as i
    set previous_webhook_token_hash = i.webhook_token_hash, webhook_token_hash = p_token_hash
    where i.id = p_instance_id;
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
    values (p_instance_id, messaging.clock(), p_by, 'new webhook token');
    return true;
end
$$;
comment on function messaging.end_webhook_rotation(uuid, bytea, text) is
'The provider said that it uses this secret. The one before and those of unclear attempts stay valid until the next end, or until revoked.
False where another rotation ended meanwhile: then all stay live, and it is to be done again.';

select roleta_migrations.remember_function('0083.webhook_rotation', 'messaging.revoke_previous_webhook_token(uuid,text)');
create or replace function messaging.revoke_previous_webhook_token(p_instance_id uuid, p_by text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_was_live boolean;
begin
    perform messaging.lock_instance(p_instance_id);
    if exists (select from messaging.webhook_attempts as a where a.instance_id = p_instance_id and a.settled_at is null) then
        raise exception using
            errcode = 'WP004',
            message = 'nothing revoked: the provider did not confirm the last new webhook secret, so which one it uses is not known';
    end if;
    select
        i.previous_webhook_token_hash is not null
        or exists (select from messaging.webhook_attempts as a where a.instance_id = p_instance_id)
        into v_was_live
    from public.whatsapp_instances as i where i.id = p_instance_id;
    if v_was_live then
        update public.whatsapp_instances as i set previous_webhook_token_hash = null where i.id = p_instance_id;
        delete from messaging.webhook_attempts as a where a.instance_id = p_instance_id;
        insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
        values (p_instance_id, messaging.clock(), p_by, 'previous webhook token revoked');
    end if;
    return coalesce(v_was_live, false);
end
$$;
comment on function messaging.revoke_previous_webhook_token(uuid, text) is
'Ends at once what all secrets but the present one are still good for; false where none was. WP004 while an attempt is unclear: the provider
may be using any of them.';

comment on function messaging.set_webhook_token(uuid, bytea, text) is
'Rotates the secret where the provider is told by other means, in one step; the one before stays valid until the next rotation. Whoever tells
the provider uses begin_webhook_rotation.';

select roleta_migrations.remember_function('0083.webhook_rotation', 'messaging.webhook_connection(bytea)');
create or replace function messaging.webhook_connection(p_token_hash bytea) returns table (
    instance_id uuid, instance_name text, evolution_instance_name text, agency_id uuid, phone_number text
)
language sql stable security definer set search_path = ''
as $$
    select i.id, i.name, i.evolution_instance_name, i.agency_id, i.phone_number
    from public.whatsapp_instances as i
    where
        i.provider = 'evolution'
        and (
            i.webhook_token_hash = p_token_hash
            or i.previous_webhook_token_hash = p_token_hash
            or i.id = any(array(select a.instance_id from messaging.webhook_attempts as a where a.token_hash = p_token_hash))
        )
$$;
comment on function messaging.webhook_connection(bytea) is
'Whose webhook this is, by the hash of the secret in its header; two secrets are live, for the time of a rotation, and those of unclear
attempts.';

select roleta_migrations.remember_function('0083.webhook_rotation', 'messaging.webhook_instance(bytea,text)');
create or replace function messaging.webhook_instance(
    p_token_hash bytea default null, p_zapi_instance_id text default null
) returns table (instance_id uuid, instance_name text, zapi_instance_id text, zapi_token text, phone_number text)
language sql stable security definer set search_path = ''
as $$
    select i.id, i.name, i.zapi_instance_id, i.zapi_token, i.phone_number
    from public.whatsapp_instances as i
    where
        i.provider = 'zapi'
        and case
            when p_token_hash is not null
                then
                    i.webhook_token_hash = p_token_hash
                    or i.previous_webhook_token_hash = p_token_hash
                    or i.id = any(array(select a.instance_id from messaging.webhook_attempts as a where a.token_hash = p_token_hash))
            else i.zapi_instance_id = p_zapi_instance_id
        end
    order by i.created_at
$$;

revoke execute on function messaging.begin_webhook_rotation(uuid, bytea, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.end_webhook_rotation(uuid, bytea, text) from public, anon, authenticated, service_role;
grant execute on function messaging.begin_webhook_rotation(uuid, bytea, text) to service_role;
grant execute on function messaging.end_webhook_rotation(uuid, bytea, text) to service_role;
