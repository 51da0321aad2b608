set local lock_timeout = '5s';

drop function messaging.end_connection(uuid);
drop function messaging.own_connection(uuid);
drop function messaging.connection_status(text);
drop function messaging.begin_connection(uuid);
