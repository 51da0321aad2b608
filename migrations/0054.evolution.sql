-- Numbers of Evolution API send, are asked for their health and are recognised by their webhooks, like those of Z-API.
-- Locks: none; functions only.
-- depends: 0053.pairing

set local lock_timeout = '5s';

-- Its answer gains a column, so it is made anew.
select roleta_migrations.remember_function('0054.evolution', 'messaging.begin_attempt(bigint,uuid,text)');
drop function messaging.begin_attempt(bigint, uuid, text);
create function messaging.begin_attempt(p_message_id bigint, p_lease_token uuid, p_worker text)
returns table (
    attempt_id bigint, refusal text, instance_id uuid, instance_name text, provider text,
    zapi_instance_id text, zapi_token text, zapi_client_token text, evolution_instance_name text,
    phone text, content jsonb, purpose text, write_within_s double precision, send_timeout_s double precision
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_sender messaging.senders;
    v_message messaging.outbox;
    v_verdict messaging.verdict;
    v_still_due text;
    v_why text;
begin
    select s.* into v_sender
    from messaging.senders as s
    where s.instance_id = (select o.instance_id from messaging.outbox as o where o.id = p_message_id)
    for no key update;
    -- After the lock, so that time spent waiting for it counts.
    v_now := messaging.clock();
    select o.* into v_message
    from messaging.outbox as o
    where o.id = p_message_id
    for no key update;
    instance_id := v_message.instance_id;
    purpose := v_message.purpose;

    if v_message.id is null or v_message.dispatch_state <> 'leased'
        or v_message.lease_token is distinct from p_lease_token or v_message.leased_until <= v_now
    then
        refusal := 'the lease is no longer held';
        return next;
        return;
    end if;

    v_verdict := messaging.judge(v_message, v_now);
    select p.still_due into v_still_due from messaging.purposes as p where p.purpose = v_message.purpose;
    if v_verdict.action = 'go' and v_still_due is not null then
        begin
            execute format('select messaging.%I($1)', v_still_due) using v_message.subject_id into v_why;
            if v_why is not null then
                v_verdict := ('withdraw', null, v_why)::messaging.verdict;
            end if;
        exception
            -- Whether it is still due cannot be told now: it steps aside, and what is behind it goes on.
            when others then
                v_verdict := (
                    'wait', v_now + interval '5 minutes', format('%s failed (%s)', v_still_due, sqlstate)
                )::messaging.verdict;
        end;
    end if;
    if exists (select from messaging.control as c where c.paused_at is not null) then
        refusal := 'everything is paused';
    elsif not messaging.can_send(v_message.instance_id) then
        refusal := 'the number may not send now';
    elsif v_verdict.action <> 'go' then
        refusal := v_verdict.why;
    end if;

    if refusal is not null then
        perform messaging.move(p_message_id, 'queued', p_worker, 'not begun: ' || refusal);
        if v_verdict.action <> 'go' then
            perform messaging.set_aside(v_message, v_verdict, 'begin_attempt');
        end if;
        -- Nothing left: the slot that the claim took is free again.
        perform messaging.wake(
            v_message.instance_id, case when v_message.lane <> 'reply' then v_now end
        );
        return next;
        return;
    end if;

    insert into messaging.attempts (
        message_id, instance_id, lane, worker, lease_token, begun_at, gap_min_s
    )
    values (
        p_message_id, v_message.instance_id, v_message.lane, p_worker, p_lease_token, v_now, v_sender.gap_min_s
    )
    returning id into attempt_id;
    update messaging.outbox as o
    set
        dispatch_state = 'sending', leased_until = v_now + messaging.lease_length(v_sender),
        attempt_count = o.attempt_count + 1, changed_by = p_worker, reason = null
    where o.id = p_message_id;
    perform messaging.wake(
        v_message.instance_id,
        case when v_message.lane <> 'reply' then v_now + messaging.lease_length(v_sender) end
    );

    select
        i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token, i.evolution_instance_name
    into instance_name, provider, zapi_instance_id, zapi_token, zapi_client_token, evolution_instance_name
    from public.whatsapp_instances as i
    where i.id = v_message.instance_id;
    phone := v_message.phone;
    content := v_message.content;
    write_within_s := 5;
    send_timeout_s := v_sender.send_timeout_s;
    return next;
end
$$;
comment on function messaging.begin_attempt(bigint, uuid, text) is
'leased -> sending: commits "we are about to send", fenced by the lease. Gives what the send needs, or a refusal and the message back to its queue.';

select roleta_migrations.remember_function('0054.evolution', 'messaging.take_health_checks(double precision,integer)');
drop function messaging.take_health_checks(double precision, integer);
create function messaging.take_health_checks(p_every_s double precision default 60, p_limit integer default 50)
returns table (
    instance_id uuid, instance_name text, provider text, zapi_instance_id text, zapi_token text, zapi_client_token text,
    evolution_instance_name text
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now timestamptz := messaging.clock();
    v_due uuid[];
begin
    -- Who waits longest comes first, and before all who was asked for by an event. What another worker holds is its own to ask: nothing here waits.
    v_due := array(
        select i.id from public.whatsapp_instances as i
        where
            i.status in ('active', 'disconnected')
            and coalesce(i.halted_reason, '') <> 'restricted'
            and coalesce(i.last_health_check, 'epoch') <= v_now - make_interval(secs => p_every_s)
            -- A number of Evolution API is asked about while somebody waits for it: once it was open, or while it is being paired.
            and (
                i.provider <> 'evolution' or i.status = 'active'
                or exists (
                    select from public.whatsapp_connections as c
                    where c.whatsapp_instance_id = i.id and c.first_connected_at is not null
                )
                or exists (
                    select from messaging.pairings as p
                    where p.instance_id = i.id and p.pairing_state in ('connecting', 'waiting_for_scan') and p.limit_at > v_now
                )
            )
        order by i.last_health_check nulls first, i.id
        limit p_limit
        for no key update skip locked
    );
    return query
    update public.whatsapp_instances as i
    set last_health_check = v_now
    where i.id = any(v_due)
    returning i.id, i.name, i.provider, i.zapi_instance_id, i.zapi_token, i.zapi_client_token, i.evolution_instance_name;
end
$$;
comment on function messaging.take_health_checks(double precision, integer) is
'The numbers whose state was not asked for so long, each to one worker only. Paused, banned and restricted ones are left alone.';

select roleta_migrations.remember_function('0054.evolution', 'messaging.record_health(uuid,boolean,text,text)');
create or replace function messaging.record_health(
    p_instance_id uuid, p_connected boolean, p_refusal text default null, p_by text default 'health check'
) returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
    v_lifts boolean;
    v_status text;
begin
    perform messaging.sign_change(p_by, case when p_refusal is null then 'the provider''s state' else p_refusal end);
    v_instance := messaging.lock_instance(p_instance_id);
    if v_instance.provider = 'evolution' and p_connected and (
        not exists (select from public.whatsapp_connections as c where c.whatsapp_instance_id = p_instance_id)
        or (v_instance.status <> 'active' and messaging.is_orphan(p_instance_id))
    ) then
        -- Ended on purpose, whatever the provider still has; begun anew, what it has is still the old one.
        return v_instance.status;
    end if;
    if p_refusal is not null then
        perform messaging.halt_instance(p_instance_id, p_refusal, p_by);
    elsif p_connected is false then
        perform messaging.halt_instance(p_instance_id, 'disconnected', p_by);
    elsif p_connected and v_instance.status in ('active', 'disconnected') then
        -- A good answer also lifts a refusal; except the restriction of a number, which only time and a person lift, and the phone that another
        -- number has. Not at once: a lapsed subscription has been seen to look healthy on /status (zapi contract 3).
        v_lifts := v_instance.halted_reason not in ('restricted', 'phone_in_use')
            and v_instance.halted_at <= messaging.clock() - interval '5 minutes';
        if v_instance.status = 'disconnected' or v_lifts then
            update public.whatsapp_instances as i
            set
                status = 'active',
                halted_reason = case when v_lifts then null else i.halted_reason end,
                halted_at = case when v_lifts then null else i.halted_at end
            where i.id = p_instance_id;
        end if;
        -- Another number may have got its phone while this one was away.
        if v_instance.halted_reason = 'phone_in_use' or v_instance.status = 'disconnected' or v_lifts then
            perform messaging.set_phone_number(p_instance_id, v_instance.phone_number, p_by);
        end if;
    end if;
    select i.status into v_status from public.whatsapp_instances as i where i.id = p_instance_id;
    if v_instance.provider = 'evolution' then
        -- What somebody's lock on the connection kept the trigger from writing, at the time of the change.
        perform from public.whatsapp_connections as c
        where c.whatsapp_instance_id = p_instance_id and (c.status = 'connected') is distinct from (v_status = 'active')
        for no key update skip locked;
        if found then
            perform messaging.mirror_connection(p_instance_id);
        end if;
    end if;
    return v_status;
end
$$;
comment on function messaging.record_health(uuid, boolean, text, text) is
'active -> disconnected or halted, disconnected -> active, by what the provider says; null (could not tell) changes nothing. Never touches paused or
banned, nor opens a number whose connection was ended.';

select roleta_migrations.remember_function('0054.evolution', 'messaging.set_phone_number(uuid,text,text)');
create or replace function messaging.set_phone_number(p_instance_id uuid, p_phone_number text, p_by text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances := messaging.lock_instance(p_instance_id);
    v_is_taken boolean;
begin
    if v_instance.phone_number is distinct from p_phone_number then
        update public.whatsapp_instances as i set phone_number = p_phone_number where i.id = p_instance_id;
        insert into messaging.instance_history (instance_id, happened_at, changed_by, change)
        values (p_instance_id, messaging.clock(), p_by, 'phone number set');
    end if;
    if v_instance.provider <> 'evolution' then
        return;
    end if;
    -- One phone paired twice would be two senders with a pace each: WhatsApp would see one number that sends twice as fast. Two that come at once
    -- are one behind the other.
    perform pg_advisory_xact_lock(hashtextextended('roleta.phone.' || messaging.phone_key(p_phone_number), 0));
    v_is_taken := exists (
        select from public.whatsapp_instances as i
        where
            i.id <> p_instance_id and i.status in ('active', 'paused') and i.halted_reason is distinct from 'phone_in_use'
            -- One that was paused and then disconnected on purpose has no phone any more.
            and (
                i.provider <> 'evolution'
                or exists (select from public.whatsapp_connections as c where c.whatsapp_instance_id = i.id)
            )
            and messaging.phone_key(i.phone_number) = messaging.phone_key(p_phone_number)
            and messaging.phone_key(p_phone_number) <> ''
    );
    if v_is_taken then
        perform messaging.halt_instance(p_instance_id, 'phone_in_use', p_by);
    elsif v_instance.halted_reason = 'phone_in_use' then
        perform messaging.sign_change(p_by, 'another phone, or no other number has it any more');
        update public.whatsapp_instances as i set halted_reason = null, halted_at = null where i.id = p_instance_id;
    end if;
end
$$;
comment on function messaging.set_phone_number(uuid, text, text) is
'The phone that answers on this number, as the provider reports it. A number of Evolution API whose phone another number has is halted (phone_in_use).';

select roleta_migrations.remember_function('0054.evolution', 'messaging.set_instance_status(uuid,text,text,text)');
create or replace function messaging.set_instance_status(p_instance_id uuid, p_status text, p_by text, p_why text default null)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instance public.whatsapp_instances;
    v_status text := p_status;
begin
    perform messaging.require(
        p_status in ('active', 'paused', 'banned', 'disconnected'),
        'a number is active, paused, banned or disconnected'
    );
    perform messaging.sign_change(p_by, p_why);
    v_instance := messaging.lock_instance(p_instance_id);
    -- Nobody's word makes a number open that no phone has ever scanned: it would count as the client's voice from then on.
    if v_instance.provider = 'evolution' and p_status = 'active' and not exists (
        select from public.whatsapp_connections as c
        where c.whatsapp_instance_id = p_instance_id and c.first_connected_at is not null
    ) then
        v_status := 'disconnected';
    end if;
    update public.whatsapp_instances as i
    set
        status = v_status,
        -- To make it active is to say that what halted it is over.
        halted_reason = case when p_status <> 'active' then i.halted_reason end,
        halted_at = case when p_status <> 'active' then i.halted_at end,
        last_health_check = case when i.provider = 'evolution' and p_status = 'active' then null else i.last_health_check end
    where i.id = p_instance_id;
    if p_status = 'active' then
        perform messaging.set_phone_number(p_instance_id, v_instance.phone_number, p_by);
    end if;
    return v_instance.status;
end
$$;
comment on function messaging.set_instance_status(uuid, text, text, text) is
'Any status -> the one given, by a person; active also lifts a halt, but for a phone that another number has, and leaves a number of Evolution API
that was never open disconnected. Returns the status before. Felt by the very next claim and begin.';

create function messaging.webhook_connection(p_token_hash bytea)
returns table (instance_id uuid, instance_name text, evolution_instance_name text, agency_id uuid, phone_number text)
language sql stable security definer set search_path = ''
as $$
    select i.id, i.name, i.evolution_instance_name, i.agency_id, i.phone_number
    from public.whatsapp_instances as i
    where
        i.provider = 'evolution'
        and (i.webhook_token_hash = p_token_hash or i.previous_webhook_token_hash = p_token_hash)
$$;
comment on function messaging.webhook_connection(bytea) is
'Whose webhook this is, by the hash of the secret in its header; two secrets are live, for the time of a rotation.';

do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid::regprocedure from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in ('begin_attempt', 'take_health_checks', 'record_health', 'set_phone_number', 'set_instance_status', 'webhook_connection')
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        execute format('grant execute on function %s to service_role', v_function);
    end loop;
end
$$;
