-- The shape of an audience, and the one way to ask for one by name. The audiences themselves come with their subjects.
-- Locks: none; a type and a function only.
-- depends: 0023.rules

set local lock_timeout = '5s';

create type messaging.due as (
    profile_id uuid, phone text, name text, purpose text, subject_id text, expires_at timestamptz, facts jsonb
);
comment on type messaging.due is
'One person of an audience: who, about what (subject_id), until when it is worth sending (null: the purpose''s own time), and what the text needs.';

create function messaging.due_people(p_function text, p_only uuid default null) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
    v_people jsonb;
begin
    perform messaging.require(
        p_function ~ '^people_[a-z0-9_]+$' and to_regprocedure('messaging.' || p_function || '()') is not null,
        'there is no audience of this name'
    );
    execute format(
        'select coalesce(jsonb_agg(to_jsonb(d)), ''[]'') from messaging.%I() as d where $1 is null or d.profile_id = $1', p_function
    ) into v_people using p_only;
    return v_people;
end
$$;
comment on function messaging.due_people(text, uuid) is
'The audience that messaging.<p_function>() chooses now, as one list of messaging.due (PostgREST cuts rows, not values); of one profile where named.';

revoke execute on function messaging.due_people(text, uuid) from public, anon, authenticated, service_role;
grant execute on function messaging.due_people(text, uuid) to service_role;
