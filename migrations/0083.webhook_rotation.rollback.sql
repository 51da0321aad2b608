set local lock_timeout = '5s';

-- Secrets of unclear attempts end with this: where there are any, run `roleta instance rotate-webhook` after it.
select roleta_migrations.drop_created('0083.webhook_rotation');
comment on function messaging.set_webhook_token(uuid, bytea, text) is
'Rotates the secret in the webhook path; the one before stays valid until the next rotation.';
drop table messaging.webhook_attempts;
