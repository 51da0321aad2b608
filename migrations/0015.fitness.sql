-- Whether a number may send: by a person's word, by its provider's state; and whose webhook a request is.
-- depends: 0014.numbers

set local lock_timeout = '5s';

create function messaging.set_instance_status(p_instance_id uuid, p_status text, p_by text, p_why text default null)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
begin
    perform messaging.require(
        p_status in ('active', 'paused', 'banned', 'disconnected'),
        'a number is active, paused, banned or disconnected'
    );
    perform messaging.sign_change(p_by, p_why);
    v_instance := messaging.lock_instance(p_instance_id);
    update public.whatsapp_instances as i
    set
        status = p_status,
        -- To make it active is to say that what halted it is over.
        halted_reason = case when p_status <> 'active' then i.halted_reason end,
        halted_at = case when p_status <> 'active' then i.halted_at end
    where i.id = p_instance_id;
    return v_instance.status;
end
$$;
comment on function messaging.set_instance_status(uuid, text, text, text) is
'Any status -> the one given, by a person; active also lifts a halt. Returns the status before. Felt by the very next claim and begin.';

create function messaging.set_webhook_token(p_instance_id uuid, p_token_hash bytea, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.require(length(p_token_hash) = 32, 'the webhook token comes as its sha256');
    perform messaging.lock_instance(p_instance_id);
    update public.whatsapp_instances as i
    set previous_webhook_token_hash = i.webhook_token_hash, webhook_token_hash = p_token_hash
    where i.id = p_instance_id;
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
    values (p_instance_id, messaging.clock(), p_by, 'new webhook token');
end
$$;
comment on function messaging.set_webhook_token(uuid, bytea, text) is
'Rotates the secret in the webhook path; the one before stays valid until the next rotation.';

create function messaging.set_phone_number(p_instance_id uuid, p_phone_number text, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    perform messaging.lock_instance(p_instance_id);
    update public.whatsapp_instances as i set phone_number = p_phone_number where i.id = p_instance_id;
    insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
    values (p_instance_id, messaging.clock(), p_by, 'phone number set');
end
$$;
comment on function messaging.set_phone_number(uuid, text, text) is 'The phone that answers on this number, as the provider reports it.';

create function messaging.webhook_instance(
    p_token_hash bytea default null, p_zapi_instance_id text default null
)
returns table (instance_id uuid, instance_name text, zapi_instance_id text, zapi_token text, phone_number text)
language sql stable security definer set search_path = ''
as $$
    select i.id, i.name, i.zapi_instance_id, i.zapi_token, i.phone_number
    from public.whatsapp_instances as i
    where
        i.provider = 'zapi'
        and case
            when p_token_hash is not null
                then i.webhook_token_hash = p_token_hash or i.previous_webhook_token_hash = p_token_hash
            else i.zapi_instance_id = p_zapi_instance_id
        end
    order by i.created_at
$$;
comment on function messaging.webhook_instance(bytea, text) is
'Whose webhook this is, by the hash of the secret in its path, else by the id that the payload names (then the caller compares the token).';

create function messaging.take_health_checks(p_every_s double precision default 60, p_limit integer default 50)
returns table (
    instance_id uuid, instance_name text, provider text, zapi_instance_id text, zapi_token text, zapi_client_token text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_due uuid[];
begin
    -- Locked in the order of everybody else; what another worker holds is its own to ask.
    v_due := array(
        select i.id from public.whatsapp_instances as i
        where
            i.status in ('active', 'disconnected') and i.provider = 'zapi'
            and coalesce(i.halted_reason, '') <> 'restricted'
            and coalesce(i.last_health_check, 'epoch') <= messaging.clock() - make_interval(secs => p_every_s)
        order by i.id
        limit p_limit
        for no key update skip locked
    );
    return query
    update public.whatsapp_instances as i
    set last_health_check = messaging.clock()
    where i.id = any(v_due)
    returning i.id, i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token;
end
$$;
comment on function messaging.take_health_checks(double precision, integer) is
'The numbers whose state was not asked for so long, each to one worker only. Paused, banned and restricted ones are left alone.';

create function messaging.record_health(
    p_instance_id uuid, p_connected boolean, p_refusal text default null, p_by text default 'health check'
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
    v_lifts boolean;
begin
    perform messaging.sign_change(p_by, case when p_refusal is null then 'the provider''s state' else p_refusal end);
    v_instance := messaging.lock_instance(p_instance_id);
    if p_refusal is not null then
        perform messaging.halt_instance(p_instance_id, p_refusal, p_by);
    elsif p_connected is false then
        perform messaging.halt_instance(p_instance_id, 'disconnected', p_by);
    elsif p_connected and v_instance.status in ('active', 'disconnected') then
        -- A good answer also lifts a refusal; except the restriction of a number, which only time and a person lift,
        -- and not at once: a lapsed subscription has been seen to look healthy on /status (zapi contract 3).
        v_lifts := v_instance.halted_reason <> 'restricted'
            and v_instance.halted_at <= messaging.clock() - interval '5 minutes';
        if v_instance.status = 'disconnected' or v_lifts then
            update public.whatsapp_instances as i
            set
                status = 'active',
                halted_reason = case when v_lifts then null else i.halted_reason end,
                halted_at = case when v_lifts then null else i.halted_at end
            where i.id = p_instance_id;
        end if;
    end if;
    return (select i.status from public.whatsapp_instances as i where i.id = p_instance_id);
end
$$;
comment on function messaging.record_health(uuid, boolean, text, text) is
'active -> disconnected or halted, disconnected -> active, by what the provider says; null (could not tell) changes nothing. Never touches paused or banned.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'set_instance_status', 'set_webhook_token', 'set_phone_number', 'webhook_instance',
                'take_health_checks', 'record_health'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        execute format('grant execute on function %s to service_role', v_function);
    end loop;
end
$$;
