-- What people say about being written to: who said stop, with whom one of us talks by hand, and what is then withdrawn.
-- Locks: SHARE on messaging.outbox while one partial index is built.
-- depends: 0021.purposes

set local lock_timeout = '5s';

create table messaging.opt_outs (
    id bigint generated always as identity primary key,
    agency_id uuid,
    phone_key text not null,
    word text,
    opted_out_at timestamptz not null,
    opted_in_at timestamptz,
    constraint opt_outs_in_order check (opted_in_at >= opted_out_at)
);
create unique index opt_outs_in_force on messaging.opt_outs (phone_key, agency_id) nulls not distinct where opted_in_at is null;
comment on table messaging.opt_outs is 'Who said stop, to which tenant, with which word, and when it was undone. Rows stay: they are evidence.';
comment on column messaging.opt_outs.opted_in_at is 'Null: the stop is in force, for every number of the tenant.';

create table messaging.takeovers (
    agency_id uuid,
    phone_key text not null,
    until timestamptz not null,
    constraint takeovers_once unique nulls not distinct (phone_key, agency_id)
);
comment on table messaging.takeovers is 'With whom one of us talks by hand on the phone, and until when the bot keeps quiet.';

alter table messaging.opt_outs enable row level security;
alter table messaging.takeovers enable row level security;
revoke all on table messaging.opt_outs from public, anon, authenticated, service_role;
revoke all on table messaging.takeovers from public, anon, authenticated, service_role;

create index outbox_person_waiting on messaging.outbox (phone_key) where dispatch_state in ('draft', 'queued', 'held', 'leased');

create function messaging.withdraw_messages(p_ids bigint[], p_by text, p_why text) returns bigint[]
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_instances uuid[];
    v_instance uuid;
    v_message messaging.outbox;
    v_freed uuid[] := '{}';
    v_withdrawn bigint[] := '{}';
begin
    v_instances := array(
        select distinct o.instance_id from messaging.outbox as o
        where o.id = any(p_ids) and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        order by o.instance_id
    );
    perform from messaging.senders as s
    where s.instance_id = any(v_instances)
    order by s.instance_id
    for no key update;

    -- Looked at again under the locks: some may have begun meanwhile.
    for v_message in
        select o.* from messaging.outbox as o
        where
            o.id = any(p_ids) and o.instance_id = any(v_instances)
            and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        order by o.id
    loop
        if v_message.dispatch_state = 'leased' then
            perform messaging.move(v_message.id, 'queued', p_by, 'taken back to be withdrawn');
            if v_message.lane <> 'reply' then
                v_freed := v_freed || v_message.instance_id;
            end if;
        end if;
        perform messaging.move(v_message.id, 'withdrawn', p_by, p_why);
        v_withdrawn := v_withdrawn || v_message.id;
    end loop;
    foreach v_instance in array v_instances loop
        perform messaging.wake(v_instance, case when v_instance = any(v_freed) then messaging.clock() end);
    end loop;
    return v_withdrawn;
end
$$;
comment on function messaging.withdraw_messages(bigint[], text, text) is
'draft, queued, held, leased -> withdrawn for these messages, on whatever numbers; answers those that were still waiting.';

create function messaging.opt_out(p_agency_id uuid, p_phone_key text, p_word text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
    v_is_new boolean;
begin
    insert into messaging.opt_outs (agency_id, phone_key, word, opted_out_at)
    values (p_agency_id, p_phone_key, left(p_word, 40), messaging.clock())
    on conflict do nothing;
    v_is_new := found;
    perform messaging.withdraw_messages(
        array(
            select o.id from messaging.outbox as o
            inner join messaging.purposes as p on o.purpose = p.purpose
            where
                o.phone_key = p_phone_key and o.agency_id is not distinct from p_agency_id and p.opt_out
                and o.dispatch_state in ('draft', 'queued', 'held', 'leased')
        ),
        'opt_out', 'the person opted out'
    );
    return v_is_new;
end
$$;
comment on function messaging.opt_out(uuid, text, text) is
'The person wants nothing proactive from any number of the tenant: what waits is withdrawn, what comes will be. False: had said so before.';

create function messaging.opt_in(p_agency_id uuid, p_phone_key text) returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    update messaging.opt_outs as x
    -- Not before it was opted out, though the clock may have been set back meanwhile.
    set opted_in_at = greatest(messaging.clock(), x.opted_out_at)
    where x.phone_key = p_phone_key and x.agency_id is not distinct from p_agency_id and x.opted_in_at is null;
    return found;
end
$$;
comment on function messaging.opt_in(uuid, text) is 'Undoes opt_out. False: there was none in force.';

create function messaging.take_over(p_agency_id uuid, p_phone_key text, p_for_s double precision) returns void
language sql volatile security definer set search_path = ''
as $$
    insert into messaging.takeovers as t (agency_id, phone_key, until)
    values (p_agency_id, p_phone_key, messaging.clock() + make_interval(secs => p_for_s))
    on conflict (phone_key, agency_id) do update set until = greatest(t.until, excluded.until)
$$;
comment on function messaging.take_over(uuid, text, double precision) is
'One of us writes to the person by hand: the bot keeps quiet for so many seconds from now.';

revoke execute on function messaging.withdraw_messages(bigint[], text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.opt_out(uuid, text, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.opt_in(uuid, text) from public, anon, authenticated, service_role;
revoke execute on function messaging.take_over(uuid, text, double precision) from public, anon, authenticated, service_role;
