set local lock_timeout = '5s';

drop function messaging.recent_moves(bigint, integer);
drop function messaging.pool_overview();
drop function messaging.explain(bigint);
drop function messaging.forecast(bigint);
drop function messaging.by_day(timestamptz, interval, text);
drop function messaging.mean_gap_s(uuid);
