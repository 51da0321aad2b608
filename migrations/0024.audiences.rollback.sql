set local lock_timeout = '5s';

drop function messaging.due_people(text, uuid);
drop type messaging.due;
