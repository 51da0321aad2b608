set local lock_timeout = '5s';

delete from public.plan_configs as p
using (values ('essencial', 0), ('direcao', 4), ('transformacao', 8)) as c (plan, sessions)
where
    roleta_migrations.is_ours('public.plan_configs'::regclass)
    and (p.plan, p.sessions_per_month, p.session_duration_minutes) = (c.plan, c.sessions, 45);

select roleta_migrations.drop_created('0020.app');
