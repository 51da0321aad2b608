set local lock_timeout = '5s';

drop function messaging.revoke_previous_webhook_token(uuid, text);
select roleta_migrations.drop_created('0074.rights');
