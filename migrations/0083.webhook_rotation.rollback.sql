set local lock_timeout = '5s';

-- A secret that the provider may be using is known from here alone.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.webhook_attempts holds %s rows' as what, count(*) as amount from messaging.webhook_attempts
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

-- Secrets of unclear attempts end with this: where there are any, run `roleta instance rotate-webhook` after it.
select roleta_migrations.drop_created('0083.webhook_rotation');
comment on function messaging.set_webhook_token(uuid, bytea, text) is
'Rotates the secret in the webhook path; the one before stays valid until the next rotation.';
drop table messaging.webhook_attempts;
