set local lock_timeout = '5s';

update messaging.purposes as p set still_due = null where p.purpose in ('payment', 'farewell');
drop function messaging.due_farewell(text);
drop function messaging.due_payment(text);
drop function messaging.apply_subscription(text, text, timestamptz, text, text, text, text, jsonb, text, text);
