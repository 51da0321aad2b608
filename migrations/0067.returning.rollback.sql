set local lock_timeout = '5s';

-- The ramp that somebody set, and how much longer it made a gap that was promised, stand nowhere else.
-- The other columns go without a guard: where a number is on its way back (it may go at once, see below), and newest_only, which this
-- migration itself fills.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.attempts.gap_factor holds %s values' as what, count(*) as amount from messaging.attempts as x where x.gap_factor <> 1
        union all
        select 'messaging.senders.ramp_factor holds %s values' as what, count(*) as amount from messaging.senders as x where x.ramp_factor <> 3
        union all
        select 'messaging.senders.ramp_messages holds %s values' as what, count(*) as amount from messaging.senders as x where x.ramp_messages <> 20
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

create or replace view audit.forgotten_senders with (security_invoker = true) as
select s.instance_id
from messaging.senders as s
inner join public.whatsapp_instances as i on s.instance_id = i.id
where
    s.ready_at is null and i.status = 'active' and i.halted_reason is null
    and exists (
        select from messaging.outbox as o where o.instance_id = s.instance_id and o.dispatch_state = 'queued'
    );
select roleta_migrations.drop_created('0067.returning');
drop function messaging.ramp_extra_s(messaging.senders, bigint, timestamptz);
drop function messaging.gap_factor(messaging.senders, timestamptz);
drop function messaging.ramp_left(messaging.senders, timestamptz);
drop function messaging.ramp_span_s(messaging.senders);
drop index messaging.senders_return_due;
alter table messaging.purposes drop column newest_only;
alter table messaging.attempts drop column gap_factor;
alter table messaging.senders
drop column reply_after,
drop column paced_since_return,
drop column return_failure,
drop column return_failures,
drop column return_token,
drop column return_due_at,
drop column returned_at,
drop column down_since,
drop column ramp_messages,
drop column ramp_factor;
-- A number that waited for its return sleeps: it may go now.
do $$
declare
    v_id uuid;
begin
    for v_id in
        select s.instance_id from messaging.senders as s order by s.instance_id for no key update
    loop
        perform messaging.wake(v_id);
    end loop;
end
$$;
