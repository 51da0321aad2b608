set local lock_timeout = '5s';

update messaging.purposes as p set on_rejected = null where p.purpose in ('answer', 'direct');
drop function messaging.fallback_to_words(bigint);
select roleta_migrations.drop_created('0027.effects');
drop function messaging.sent_at(bigint);
