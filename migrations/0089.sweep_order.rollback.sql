set local lock_timeout = '5s';

select roleta_migrations.drop_created('0089.sweep_order');
