set local lock_timeout = '5s';

select roleta_migrations.drop_created('0087.sent_after_all');
-- Where it was used the move stays legal: what was told of a message is not made untrue.
delete from messaging.transitions as t
where
    t.from_state = 'expired' and t.to_state = 'accepted'
    and not exists (select from messaging.history as h where h.from_state = 'expired' and h.to_state = 'accepted');
