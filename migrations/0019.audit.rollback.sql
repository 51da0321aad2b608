set local lock_timeout = '5s';

drop function messaging.audit_findings(integer);
drop schema audit cascade;
