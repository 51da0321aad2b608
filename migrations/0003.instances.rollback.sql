set local lock_timeout = '5s';

drop trigger if exists refuse_odd_status on public.whatsapp_instances;
drop function if exists public.refuse_odd_instance_status();
select roleta_migrations.drop_created('0003.instances');
