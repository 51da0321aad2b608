set local lock_timeout = '5s';

-- Messages, what became of them, and the pace that somebody set are not thrown away by accident.
-- purposes and transitions go without a guard: the migrations fill them.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.outbox holds %s rows' as what, count(*) as amount from messaging.outbox
        union all
        select 'messaging.attempts holds %s rows' as what, count(*) as amount from messaging.attempts
        union all
        select 'messaging.history holds %s rows' as what, count(*) as amount from messaging.history
        union all
        select 'messaging.failed_effects holds %s rows' as what, count(*) as amount from messaging.failed_effects
        union all
        select 'messaging.senders holds %s rows' as what, count(*) as amount from messaging.senders as x
        where (x.gap_min_s, x.gap_max_s, x.reply_gap_s, x.reply_push_max_s) <> (25, 45, 5, 120)
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
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
