-- Which ad accounts' balances are to be looked at, under whose token, who is told, and when again; and what a manager sets.
-- Locks: SHARE on messaging.outbox while one small partial index is built.
-- depends: 0058.report_settings

set local lock_timeout = '5s';

create index outbox_balance_alerts on messaging.outbox (subject_id, id) where purpose = 'balance_alert';

create function messaging.due_balance_alerts() returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_now timestamptz := messaging.clock();
begin
    return (
        select jsonb_build_object('alerts', coalesce(jsonb_agg(
            jsonb_build_object(
                'alert_id', a.id, 'agency_id', a.agency_id, 'agency_name', g.agency_name,
                'client_id', a.client_id, 'client_label', l.client_label,
                'ad_account_id', a.ad_account_id, 'account_name', n.account_name,
                'threshold', coalesce(a.threshold_value, 0), 'phone', a.recipient_phone,
                'rests', case
                    when a.last_triggered_at > v_now - interval '24 hours' or m.accepted then 'triggered'
                    when m.waiting then 'waiting'
                    when m.refused then 'refused'
                end,
                'dedupe_key', format('balance:%s:%s', a.id, m.earlier),
                'opted_out', messaging.has_opted_out(a.agency_id, 'balance_alert', a.recipient_phone),
                'instance_id', s.instance_id, 'sent_from', s.instance_name, 'spoken_by', s.spoken_by
            ) order by a.agency_id, a.client_id, a.ad_account_id
        ), '[]'))
        from public.account_balance_alerts as a
        left join public.client_manager_links as l on a.client_id = l.client_user_id and a.agency_id = l.manager_id
        left join public.agency_settings as g on a.agency_id = g.agency_id
        left join lateral (
            select max(c.account_name) as account_name
            from public.client_ad_accounts as c
            where c.client_id = a.client_id and c.ad_account_id = a.ad_account_id
        ) as n on true
        cross join lateral (
            select
                count(*) as earlier,
                -- The effect that notes it may still have to be tried again.
                bool_or(o.dispatch_state = 'accepted' and o.changed_at > v_now - interval '24 hours') as accepted,
                -- What nobody settled for a day does not keep the next alert waiting for ever.
                bool_or(
                    o.dispatch_state in ('draft', 'queued', 'held', 'leased', 'sending')
                    or (o.dispatch_state = 'unknown' and o.changed_at > v_now - interval '24 hours')
                ) as waiting,
                -- A phone that the provider refuses is not asked for every hour, unless it was changed.
                bool_or(
                    o.dispatch_state = 'rejected' and o.changed_at > v_now - interval '24 hours'
                    and o.phone_key = any(messaging.written_keys(a.recipient_phone))
                ) as refused
            from messaging.outbox as o
            where o.subject_id = a.id::text and o.purpose = 'balance_alert'
        ) as m
        cross join lateral messaging.choose_speaker(a.agency_id, a.client_id) as s
        where a.is_active and (a.client_id is null or l.client_user_id is not null)
    );
end
$$;
comment on function messaging.due_balance_alerts() is
'{alerts: every active alert of an agency''s own clients}, with who speaks and the key of its next message. rests: why none is due: triggered (in the
last 24 hours), waiting (its earlier message), refused (by the provider, in the last 24 hours).';

create function messaging.meta_tokens() returns table (agency_id uuid, access_token text)
language sql stable security definer set search_path = ''
as $$
    select distinct on (o.manager_id)
        o.manager_id,
        o.access_token::text
    from public.oauth_connections as o
    where
        -- As the table has it: under "meta", where the original looked, there is never one (bug 29).
        o.provider::text = 'meta_ads' and o.connected and coalesce(o.access_token::text, '') <> ''
        and exists (select from public.account_balance_alerts as a where a.agency_id = o.manager_id and a.is_active)
    order by o.manager_id, to_jsonb(o) ->> 'updated_at' desc nulls last
$$;
comment on function messaging.meta_tokens() is 'The ad platform''s token of each agency with an active alert. Credentials: never logged, never shown.';

create function messaging.due_balance_alert(p_subject_id text) returns text
language sql stable security definer set search_path = ''
as $$
    select case
        when not exists (select from public.account_balance_alerts as a where a.id = p_subject_id::uuid and a.is_active)
            then 'the alert was switched off'
        when exists (
            select from public.account_balance_alerts as a
            where
                a.id = p_subject_id::uuid and a.client_id is not null
                and not exists (
                    select from public.client_manager_links as l where l.client_user_id = a.client_id and l.manager_id = a.agency_id
                )
        ) then 'the client was removed'
    end
$$;
comment on function messaging.due_balance_alert(text) is 'Still due while the alert (the subject) is active, and its client the agency''s.';
update messaging.purposes as p set still_due = 'due_balance_alert' where p.purpose = 'balance_alert';

create function messaging.effect_balance_alert(p_message_id bigint) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
    -- The caller holds the number. Who removes a client holds the alert and then wants its number: this waits for nobody, and is tried again.
    perform from public.account_balance_alerts as a
    where a.id = (select o.subject_id::uuid from messaging.outbox as o where o.id = p_message_id)
    for no key update nowait;
    update public.account_balance_alerts as a
    set last_triggered_at = greatest(a.last_triggered_at, messaging.sent_at(o.id))
    from messaging.outbox as o
    where o.id = p_message_id and a.id = o.subject_id::uuid;
end
$$;
comment on function messaging.effect_balance_alert(bigint) is
'Effect: the alert rests for 24 hours from when it was sent; what was not accepted changes nothing.';

-- What a manager sets and sees.

create function messaging.balance_alerts(p_client_id uuid)
returns table (
    ad_account_id text, account_name text, alert_id uuid, threshold_value numeric, is_active boolean, recipient_phone text, last_triggered_at timestamptz
)
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_agency uuid := messaging.require_client(p_client_id);
begin
    return query
    select
        coalesce(c.ad_account_id, a.ad_account_id)::text, c.account_name::text, a.id, a.threshold_value::numeric, coalesce(a.is_active, false),
        a.recipient_phone::text, a.last_triggered_at
    from (
        select n.ad_account_id, max(n.account_name) as account_name
        from public.client_ad_accounts as n
        where n.client_id = p_client_id and n.provider::text in ('meta_ads', 'meta')
        group by n.ad_account_id
    ) as c
    full join (
        select x.* from public.account_balance_alerts as x
        where x.agency_id = v_agency and x.client_id is not distinct from p_client_id
    ) as a on c.ad_account_id = a.ad_account_id
    order by lower(c.account_name) nulls last, 1;
end
$$;
comment on function messaging.balance_alerts(uuid) is
'A row for each Meta account of one''s own client, with its alert where there is one (alert_id). WP007 for no manager, WP002 for another
agency''s client.';

create function messaging.check_balance_alert(p_alert jsonb) returns void
language plpgsql immutable security invoker set search_path = ''
as $$
declare
    v_unknown text;
begin
    perform messaging.require(jsonb_typeof(p_alert) = 'object', 'alerts: a list of objects is needed');
    select string_agg(left(k.name, 40), ', ' order by k.name) into v_unknown
    from jsonb_object_keys(p_alert) as k (name)
    where k.name not in ('ad_account_id', 'threshold_value', 'is_active', 'recipient_phone');
    perform messaging.require(v_unknown is null, 'alerts: unknown fields: ' || v_unknown);
    perform messaging.require(
        coalesce(p_alert -> 'ad_account_id', 'null')::text ~ '^"[A-Za-z0-9_-]{1,64}"$', 'ad_account_id: the id of an account is needed'
    );
    perform messaging.require(
        case
            when not p_alert ? 'threshold_value' then true
            when jsonb_typeof(p_alert -> 'threshold_value') = 'number'
                then (p_alert ->> 'threshold_value')::numeric between 0 and 999999999999.99
            else false
        end,
        'threshold_value: must be an amount of 0 or more'
    );
    perform messaging.require(jsonb_typeof(coalesce(p_alert -> 'is_active', 'true')) = 'boolean', 'is_active: must be true or false');
    perform messaging.require(
        coalesce(p_alert -> 'recipient_phone', 'null')::text ~ '^(null|""|"[0-9]{10,15}")$',
        'recipient_phone: must be 10 to 15 digits, with area code'
    );
end
$$;
comment on function messaging.check_balance_alert(jsonb) is 'WP003 with the name of the first field that is wrong, a colon, and what it must be.';

create function messaging.save_balance_alerts(p_client_id uuid, p_alerts jsonb)
returns table (
    ad_account_id text, account_name text, alert_id uuid, threshold_value numeric, is_active boolean, recipient_phone text, last_triggered_at timestamptz
)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
    v_agency uuid := messaging.require_client(p_client_id);
    v_given jsonb;
    v_old public.account_balance_alerts;
    v_new public.account_balance_alerts;
begin
    perform messaging.require(
        jsonb_typeof(p_alerts) = 'array' and jsonb_array_length(p_alerts) <= 200, 'alerts: a list of at most 200 is needed'
    );
    perform from public.client_manager_links as l where l.client_user_id = p_client_id and l.manager_id = v_agency for no key update;
    if p_client_id is not null and not found then
        -- Whoever was waited for has removed the client.
        raise exception using errcode = 'WP002', message = 'there is no such client';
    end if;
    for v_given in
        -- In order: the rows that two savers share are locked in one direction.
        select e.value from jsonb_array_elements(p_alerts) as e order by e.value ->> 'ad_account_id'
    loop
        perform messaging.check_balance_alert(v_given);
        select a.* into v_old
        from public.account_balance_alerts as a
        where a.agency_id = v_agency and a.ad_account_id = v_given ->> 'ad_account_id'
        order by a.client_id is distinct from p_client_id
        limit 1
        for no key update;
        if v_old.id is not null and v_old.client_id is distinct from p_client_id then
            raise exception using errcode = 'WP004', message = 'ad_account_id: this account''s alert is another client''s';
        end if;
        perform messaging.require(
            v_old.id is not null or exists (
                select from public.client_ad_accounts as c
                where
                    c.client_id = p_client_id and c.ad_account_id = v_given ->> 'ad_account_id'
                    and c.provider::text in ('meta_ads', 'meta')
            ),
            'ad_account_id: the client has no such account'
        );
        v_new := jsonb_populate_record(v_old, jsonb_build_object('is_active', coalesce(v_old.is_active, true)) || v_given);
        v_new.recipient_phone := nullif(v_new.recipient_phone, '');
        perform messaging.require(v_new.threshold_value is not null, 'threshold_value: must be an amount of 0 or more');
        perform messaging.require(
            not v_new.is_active or v_new.recipient_phone is not null, 'recipient_phone: an alert needs somebody to tell'
        );
        if v_old.id is not null then
            update public.account_balance_alerts as a
            set
                threshold_value = v_new.threshold_value, is_active = v_new.is_active, recipient_phone = v_new.recipient_phone,
                updated_at = messaging.clock()
            where a.id = v_old.id;
        else
            begin
                insert into public.account_balance_alerts (agency_id, client_id, ad_account_id, threshold_value, is_active, recipient_phone)
                values (v_agency, p_client_id, v_given ->> 'ad_account_id', v_new.threshold_value, v_new.is_active, v_new.recipient_phone);
            exception
                -- Somebody was quicker with another client who has the same account.
                when unique_violation then
                    raise exception using errcode = 'WP004', message = 'ad_account_id: this account''s alert is another client''s';
            end;
        end if;
    end loop;
    return query select b.* from messaging.balance_alerts(p_client_id) as b;
end
$$;
comment on function messaging.save_balance_alerts(uuid, jsonb) is
'Saves the alerts given ({ad_account_id, threshold_value, is_active, recipient_phone}), all or none, and keeps the others; answers as balance_alerts.
WP003 names the field; WP004 where the account''s alert is another client''s.';

do $$
declare
    v_function regprocedure;
    v_name text;
begin
    for v_function, v_name in
        select p.oid::regprocedure, p.proname from pg_catalog.pg_proc as p
        where p.pronamespace = 'messaging'::regnamespace
            and p.proname in (
                'due_balance_alerts', 'meta_tokens', 'due_balance_alert', 'effect_balance_alert', 'balance_alerts', 'check_balance_alert',
                'save_balance_alerts'
            )
    loop
        execute format('revoke execute on function %s from public, anon, authenticated, service_role', v_function);
        if v_name in ('balance_alerts', 'save_balance_alerts') then
            execute format('grant execute on function %s to authenticated', v_function);
        elsif v_name in ('due_balance_alerts', 'meta_tokens') then
            execute format('grant execute on function %s to service_role', v_function);
        end if;
    end loop;
end
$$;
