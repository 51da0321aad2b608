set local lock_timeout = '5s';

drop trigger follow_fitness on public.whatsapp_instances;
drop function messaging.follow_fitness();
drop function messaging.wake(uuid, timestamptz, timestamptz);
drop function messaging.judge(messaging.outbox, timestamptz);
drop type messaging.verdict;
drop function messaging.lease_length(messaging.senders);
drop function messaging.quiet_until(timestamptz, text);
drop function messaging.can_send(uuid);
