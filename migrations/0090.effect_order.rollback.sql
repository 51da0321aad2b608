set local lock_timeout = '5s';

select roleta_migrations.drop_created('0090.effect_order');
