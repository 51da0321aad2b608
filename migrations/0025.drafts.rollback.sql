set local lock_timeout = '5s';

-- What a message's effects write into the app stands nowhere else, nor what composes a draft.
-- compose_token, compose_until and compose_count go without a guard: a worker's lease.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.outbox.facts holds %s values' as what, count(*) as amount from messaging.outbox as x where x.facts <> '{}'
        union all
        select 'messaging.outbox.compose holds %s values' as what, count(*) as amount from messaging.outbox as x where x.compose is not null
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

-- What nobody will compose any more goes with its fixed text.
select s.instance_id from messaging.senders as s
order by s.instance_id
for no key update;
update messaging.outbox as o
set dispatch_state = 'queued', changed_by = 'rollback', reason = 'the fixed text stands'
where o.dispatch_state = 'draft';
select messaging.wake(s.instance_id) from messaging.senders as s;

select roleta_migrations.drop_created('0025.drafts');
drop index messaging.outbox_drafts_of_instance;
drop index messaging.outbox_drafts;
alter table messaging.outbox
drop column facts, drop column compose, drop column compose_token, drop column compose_until, drop column compose_count;
