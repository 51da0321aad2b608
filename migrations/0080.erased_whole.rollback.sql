set local lock_timeout = '5s';

select roleta_migrations.drop_created('0080.erased_whole');
alter table messaging.erasures drop column open_keys, drop column open_profiles;
