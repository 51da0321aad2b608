set local lock_timeout = '5s';

create or replace trigger history_insert after insert on messaging.outbox
for each row execute function messaging.write_history();
create or replace trigger withdraw_for_ended after insert on messaging.outbox
for each row when (new.agency_id is not null) execute function messaging.withdraw_for_ended();
select roleta_migrations.drop_created('0077.side_by_side');
