set local lock_timeout = '5s';

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
