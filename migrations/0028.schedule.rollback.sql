set local lock_timeout = '5s';

-- Which runs were done, and what came of them, stands nowhere else.
-- schedules goes without a guard: a scheduler that starts writes it.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.schedule_runs holds %s rows' as what, count(*) as amount from messaging.schedule_runs
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.recent_runs(integer);
drop function messaging.finish_run(text, timestamptz, uuid, jsonb, text);
drop function messaging.take_run(text, timestamptz, text, double precision);
drop function messaging.see_schedules(text[]);
drop table messaging.schedule_runs;
drop table messaging.schedules;
