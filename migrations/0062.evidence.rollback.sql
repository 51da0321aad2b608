set local lock_timeout = '5s';

-- Without what speaks for it, a message that was sent might be called unsent.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.evidence holds %s rows' as what, count(*) as amount from messaging.evidence
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

select roleta_migrations.drop_created('0062.evidence');
drop function messaging.confirm_sent(messaging.attempts, text, text);
drop function messaging.note_evidence(messaging.attempts, text, text, timestamptz, text);
drop function messaging.is_unsettled(messaging.attempts);
drop table messaging.evidence;
