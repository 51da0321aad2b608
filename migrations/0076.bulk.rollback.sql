set local lock_timeout = '5s';

select roleta_migrations.drop_created('0076.bulk');
drop type messaging.new_message;
