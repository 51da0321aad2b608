set local lock_timeout = '5s';

-- When words were removed stands nowhere else.
do $$
declare
    v_lost text;
begin
    select string_agg(format(l.what, l.amount), ', ') into v_lost
    from (
        select 'messaging.outbox.text_removed_at holds %s values' as what, count(*) as amount from messaging.outbox as x where x.text_removed_at is not null
        union all
        select 'messaging.inbound_events.raw_removed_at holds %s values' as what, count(*) as amount from messaging.inbound_events as x where x.raw_removed_at is not null
        union all
        select 'messaging.inbound_events.text_removed_at holds %s values' as what, count(*) as amount from messaging.inbound_events as x where x.text_removed_at is not null
    ) as l
    where l.amount > 0;
    if v_lost is not null and coalesce(current_setting('roleta.discard_data', true), '') <> 'on' then
        raise exception using errcode = 'WP005', message = v_lost || '; roll back with --discard-data to lose them';
    end if;
end
$$;

drop function messaging.forget(text, integer, integer);
drop function messaging.forgettable(text, integer);
drop function messaging.removed_content(jsonb, text);
drop function messaging.kept_facts(jsonb);
drop index messaging.inbound_events_text_kept;
drop index messaging.inbound_events_raw_kept;
alter table messaging.inbound_events drop column raw_removed_at, drop column text_removed_at;
drop index messaging.outbox_texts_kept;
alter table messaging.outbox drop column text_removed_at;
