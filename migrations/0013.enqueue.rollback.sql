set local lock_timeout = '5s';

drop function messaging.sign_up(text, text, text, text, text, text, text);
drop function messaging.enqueue(jsonb);
drop function messaging.enqueue_many(jsonb);
drop function messaging.resolve_instance(uuid, text, uuid);
drop function messaging.default_instance();
drop function messaging.profile_of_user(uuid);
drop function messaging.find_profile(text);

-- A purpose that messages refer to stays with them.
delete from messaging.purposes as p
where not exists (select from messaging.outbox as o where o.purpose = p.purpose);
