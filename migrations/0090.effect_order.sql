-- What an accepted message means to a person is written while its number is held; who changes the person (a payment, an erasure) may want that number.
-- Nobody waits for the other: where the person is held, the effect is tried again by a worker, which holds no number.
-- Locks: none; one function only.
-- depends: 0089.sweep_order

set local lock_timeout = '5s';

select roleta_migrations.remember_function('0090.effect_order', 'messaging.run_effect(bigint)');
create or replace function messaging.run_effect(p_message_id bigint) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_effect text;
    v_lock_timeout text;
begin
    select case o.dispatch_state when 'rejected' then p.on_rejected else p.on_accepted end into v_effect
    from messaging.outbox as o
    inner join messaging.purposes as p on o.purpose = p.purpose
    where o.id = p_message_id;
    if v_effect is null then
        return true;
    end if;
    v_lock_timeout := current_setting('lock_timeout');
    begin
        -- An app table that somebody locks must not keep the outcome from being recorded.
        perform set_config('lock_timeout', '1s', true);
        -- Who holds the person may want the number, which the caller holds: an effect that writes more than history waits for nobody.
        if v_effect <> 'effect_history' then
            perform from public.profiles as p
            where p.id = (select o.profile_id from messaging.outbox as o where o.id = p_message_id)
            for no key update nowait;
        end if;
        execute format('select messaging.%I($1)', v_effect) using p_message_id;
        perform set_config('lock_timeout', v_lock_timeout, true);
    exception
        -- A broken app table must not turn an accepted message into an unknown one: it was sent.
        when others then
            insert into messaging.failed_effects (message_id, effect, failed_at, error)
            values (p_message_id, v_effect, messaging.clock(), sqlstate || ' ' || left(sqlerrm, 200));
            return false;
    end;
    return true;
end
$$;
