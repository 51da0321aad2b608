set local lock_timeout = '5s';

select roleta_migrations.drop_created('0082.provider_wait');
-- wait_until goes without a guard: an hour at most, and the slot was moved with it.
alter table messaging.senders drop column wait_until;
