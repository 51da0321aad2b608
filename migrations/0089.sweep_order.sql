-- Two more functions keep the order of locks. The sweep took numbers whose leases had run out and then waited for others, of lower ids too; what was
-- withdrawn from a provider's queue lost its sighting before its number was held, while an erasure goes the other way.
-- Locks: none; functions only.
-- depends: 0088.late_wait

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0089.sweep_order', f.name)
from (
    values
    ('messaging.expire_due(integer)'),
    ('messaging.note_withdrawn(bigint)')
) as f (name);

create or replace function messaging.expire_due(p_limit integer default 1000) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
    v_instances uuid[];
    v_instance uuid;
    v_moved integer := 0;
    v_message messaging.outbox;
begin
    -- Into an array first: a limited subquery beside a lock may be run again by the planner and lock more.
    v_instances := array(
        select distinct d.instance_id
        from (
            select o.instance_id from messaging.outbox as o
            where
                o.expires_at <= v_now
                and (
                    o.dispatch_state in ('draft', 'queued', 'held')
                    or (o.dispatch_state = 'unknown' and o.on_unknown = 'drop')
                )
            order by o.expires_at
            limit p_limit
        ) as d
        union
        select o.instance_id from messaging.outbox as o
        where o.dispatch_state in ('leased', 'sending') and o.leased_until <= v_now and o.expires_at <= v_now
    );
    for v_instance in
        select s.instance_id from messaging.senders as s
        where s.instance_id = any(v_instances)
        order by s.instance_id
        for no key update
    loop
        -- What a lost worker had taken may be over too.
        perform messaging.settle_expired(v_instance, v_now);
        for v_message in
            select o.* from messaging.outbox as o
            where
                o.instance_id = v_instance and o.expires_at <= v_now
                and (
                    o.dispatch_state in ('draft', 'queued', 'held')
                    or (o.dispatch_state = 'unknown' and o.on_unknown = 'drop')
                )
            order by o.id
            limit p_limit
        loop
            if v_message.dispatch_state = 'unknown' then
                perform messaging.move(
                    v_message.id, 'withdrawn', 'expire_due', 'still unknown at its end; its rule says to let it go'
                );
            else
                perform messaging.move(v_message.id, 'expired', 'expire_due', 'its time was over');
            end if;
            v_moved := v_moved + 1;
        end loop;
        perform messaging.wake(v_instance);
    end loop;

    -- Leases that ran out are settled by the claim; here they are while everything is paused and nothing claims. Last, and waiting for nobody.
    for v_instance in
        select s.instance_id from messaging.senders as s
        where s.instance_id = any(array(
            select distinct o.instance_id from messaging.outbox as o
            where o.dispatch_state in ('leased', 'sending') and o.leased_until <= v_now
        ))
        order by s.instance_id
        for no key update skip locked
    loop
        perform messaging.settle_expired(v_instance, v_now);
        perform messaging.wake(v_instance);
    end loop;
    return v_moved;
end
$$;

create or replace function messaging.note_withdrawn(p_attempt_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_attempt messaging.attempts;
begin
    select a.* into v_attempt from messaging.attempts as a where a.id = p_attempt_id;
    if v_attempt.id is null then
        raise exception using errcode = 'WP002', message = 'there is no attempt with this id';
    end if;
    perform from messaging.senders as s
    where s.instance_id = v_attempt.instance_id
    for no key update;
    -- It was seen waiting and does not wait any more; should the queue still hold it, it will be seen again.
    delete from messaging.sightings as s
    where s.instance_id = v_attempt.instance_id and s.provider_message_id = v_attempt.provider_message_id and s.is_waiting;
    perform messaging.note_evidence(v_attempt, 'provider_queue', 'not_sent', null, 'withdrawn from the provider''s queue');
end
$$;
