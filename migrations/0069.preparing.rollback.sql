set local lock_timeout = '5s';

drop function messaging.return_notes(bigint);
drop function messaging.returns();
drop function messaging.finish_return(uuid, uuid, integer, text, text);
drop function messaging.thin_out(uuid, timestamptz);
drop function messaging.note_queue(uuid, uuid, jsonb);
drop function messaging.take_returns(integer, double precision);
drop table messaging.purged;
