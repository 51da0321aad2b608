set local lock_timeout = '5s';

drop function messaging.save_balance_alerts(uuid, jsonb);
drop function messaging.check_balance_alert(jsonb);
drop function messaging.balance_alerts(uuid);
drop function messaging.effect_balance_alert(bigint);
update messaging.purposes as p set still_due = null where p.purpose = 'balance_alert';
drop function messaging.due_balance_alert(text);
drop function messaging.meta_tokens();
drop function messaging.due_balance_alerts();
drop index messaging.outbox_balance_alerts;
