set local lock_timeout = '5s';

drop trigger history_insert on messaging.outbox;
create trigger history_insert after insert on messaging.outbox
for each row execute function messaging.write_history();
drop function messaging.write_first_history();
select roleta_migrations.drop_created('0076.bulk');
drop type messaging.new_message;
