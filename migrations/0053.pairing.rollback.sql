set local lock_timeout = '5s';

drop function messaging.note_connecting(uuid);
drop function messaging.ask_health_soon(uuid, double precision);
drop function messaging.orphan_removed(uuid);
drop function messaging.is_orphan(uuid);
drop function messaging.take_orphans(integer);
drop function messaging.pairing_stopped(uuid);
drop function messaging.take_stale_pairings(double precision, integer);
drop function messaging.give_lifecycle(uuid, uuid);
drop function messaging.take_lifecycle(uuid, text, double precision);
drop function messaging.take_qr_renewal(uuid, double precision);
drop function messaging.set_pairing(uuid, text, text);
drop function messaging.show_qr(uuid, text, text, timestamptz);
drop function messaging.pairing_view(uuid);
drop function messaging.code_life();
