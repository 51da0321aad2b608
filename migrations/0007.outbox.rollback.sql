set local lock_timeout = '5s';

-- Messages are not thrown away by accident.
do $$
declare
    v_messages bigint;
begin
    select count(*) into v_messages from messaging.outbox;
    if v_messages > 0 and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using
            errcode = 'WP005',
            message = format('messaging.outbox holds %s messages; roll back with --discard-data to lose them', v_messages);
    end if;
end
$$;

drop trigger follow_instances on public.whatsapp_instances;
drop function messaging.follow_instances();
drop table messaging.failed_effects;
drop table messaging.history;
drop table messaging.attempts;
drop table messaging.outbox;
drop table messaging.transitions;
drop table messaging.senders;
drop table messaging.purposes;
drop function messaging.write_history();
drop function messaging.guard_transition();
