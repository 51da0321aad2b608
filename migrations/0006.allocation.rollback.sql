set local lock_timeout = '5s';

-- pool_slots goes without a guard: the migration fills it from the numbers.

drop function public.allocate_whatsapp_instance(uuid, text);
drop function if exists public.allocate_whatsapp_instance();
-- The original's own function comes back, where there was one.
select roleta_migrations.drop_created('0006.allocation');
drop function messaging.take_seat(uuid, uuid);
drop function messaging.draw_instance(text);
drop function messaging.has_room(public.whatsapp_instances);
drop trigger follow_pool_membership on public.whatsapp_instances;
drop function messaging.follow_pool();
drop function messaging.renumber_pool();
drop table messaging.pool_slots;
