set local lock_timeout = '5s';

drop function messaging.apply_checkout(
    text, text, timestamptz, text, text, text, text, text, text, text, text, jsonb, text, text
);
drop function messaging.activate_customer(uuid, text, text, text, text, text, text);
drop function messaging.add_customer(text, text, text);
drop function messaging.lock_customer(text);
drop function messaging.tell_customer(uuid, text, text, text, text, text, text);
drop function messaging.plan_sessions(text);
drop function messaging.contact(uuid);
