set local lock_timeout = '5s';

drop table messaging.control;
drop function messaging.phone_key(text);
drop function messaging.require(boolean, text);
drop function messaging.clock();
drop schema messaging;
