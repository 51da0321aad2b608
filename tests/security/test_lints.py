"""What is wrong with a schema in itself: lints in the spirit of Supabase's splinter (numbers in brackets).

Each is a query that must find nothing but the exceptions, which stand beside it with their reason; one that
is not found any more fails too. Others of the kind are in tests/migration/test_catalog.py.
"""

from collections.abc import Mapping

import pytest

from tests.security.catalog import SCHEMAS
from tests.security.tenants import Tenants

pytestmark = pytest.mark.scoreboard("S8", tier="landing")

NO_DELETES = "nothing is ever deleted on the other side, and a scan of this small table would not hurt"


def found(tenants: Tenants, query: str) -> set[str]:
    """What the query names; $ours in it are our schemas."""
    ours = ", ".join(f"'{name}'::regnamespace" for name in SCHEMAS)
    return {row["name"] for row in tenants.world.rows(query.replace("$ours", f"({ours})"))}


def only(found: set[str], but: Mapping[str, str]) -> bool:
    """Whether exactly the exceptions were found."""
    assert found == set(but), {"not excepted": found - set(but), "not found any more": set(but) - found}
    return True


def test_row_security_is_on_for_every_table(tenants: Tenants) -> None:
    """(0013) A grant by mistake shows nothing. Which schemas the exceptions are in, no role may use."""
    closed = "the schema is closed to every role but the owner's, and yoyo makes these itself"
    names = ("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock", "checksums", "created_objects")
    without = found(
        tenants,
        "select c.oid::regclass::text as name from pg_class as c"
        " where c.relkind in ('r', 'p') and not c.relrowsecurity and c.relnamespace in $ours",
    )
    assert only(without, {f"roleta_migrations.{name}": closed for name in names})


def test_no_table_has_a_policy_that_does_not_count(tenants: Tenants) -> None:
    """(0007) Policies without row security say something that is not so."""
    query = (
        "select c.oid::regclass::text as name from pg_policy as p join pg_class as c on c.oid = p.polrelid"
        " where not c.relrowsecurity"
    )
    assert found(tenants, query) == set()


def test_policies_ask_who_it_is_once_and_not_for_each_row(tenants: Tenants) -> None:
    """(0003) auth.uid(), the claims and our own look-ups stand in a select of their own."""
    bare = (
        r"regexp_replace(coalesce(pg_get_expr(p.polqual, p.polrelid), '')"
        r" || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''),"
        r" '\( SELECT [^()]*\([^()]*\)[^()]*\)', '', 'g')"
    )
    query = (
        "select p.polrelid::regclass::text || ': ' || p.polname as name from pg_policy as p"
        f" where {bare} ~ '(auth\\.|messaging\\.|current_setting)'"
    )
    assert found(tenants, query) == set()


def test_no_table_has_two_permissive_policies_for_one_role_and_verb(tenants: Tenants) -> None:
    """(0006) Each of two would have to be wrong alone for a hole."""
    query = (
        "select p.polrelid::regclass::text as name from pg_policy as p, unnest(p.polroles) as r"
        " where p.polpermissive group by p.polrelid, r, p.polcmd having count(*) > 1"
    )
    assert found(tenants, query) == set()


def test_policies_are_for_people_who_signed_in_and_to_read(tenants: Tenants) -> None:
    """No policy of ours speaks to PUBLIC or anon, and none lets anybody write."""
    query = (
        "select p.polrelid::regclass::text as name from pg_policy as p"
        " where p.polroles <> array['authenticated'::regrole::oid] or p.polcmd <> 'r' or not p.polpermissive"
    )
    assert found(tenants, query) == set()


def test_every_function_fixes_its_search_path(tenants: Tenants) -> None:
    """(0011) All but short SQL functions with the caller's rights, which the planner could not inline then; a
    definer function always does."""
    loose = (
        "select p.oid::regproc::text as name from pg_proc as p join pg_language as l on l.oid = p.prolang"
        " where p.pronamespace in $ours and not coalesce('search_path=\"\"' = any (p.proconfig), false)"
        " and (p.prosecdef or l.lanname <> 'sql' or length(p.prosrc) > 1500)"
    )
    called_within = (
        "only definer functions call it, which have fixed theirs; it is called for each row of a list"
    )
    assert only(found(tenants, loose), {"messaging.by_day": called_within})


def test_what_has_no_fixed_search_path_names_schemas_itself(tenants: Tenants) -> None:
    """Such a function reads tables and calls functions of ours by their full names only."""
    tables = "select c.relname from pg_class as c where c.relnamespace in $ours and c.relkind in ('r', 'v')"
    query = (
        "select p.oid::regproc::text as name from pg_proc as p"
        " where p.pronamespace in $ours and not coalesce('search_path=\"\"' = any (p.proconfig), false)"
        f" and exists (select from ({tables}) as t"
        r" where p.prosrc ~ ('(from|join)\s+' || t.relname || '\y'))"
    )
    assert found(tenants, query) == set()


def test_no_definer_function_is_anon_s(tenants: Tenants) -> None:
    """(0028) And of people who signed in only those of rights.txt, each of which looks who asks."""
    query = (
        "select p.oid::regproc::text as name from pg_proc as p where p.prosecdef"
        " and has_function_privilege('anon', p.oid, 'execute')"
        " and p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    )
    assert found(tenants, query) == set()


def test_no_trigger_function_is_anybody_s_to_call(tenants: Tenants) -> None:
    """It is for its table: a role that could put it on a table of its own would have its rights."""
    query = (
        "select p.oid::regproc::text as name from pg_proc as p, unnest(array['anon', 'authenticated',"
        " 'service_role']) as r where p.prorettype = 'trigger'::regtype and p.pronamespace in $ours"
        " and has_function_privilege(r, p.oid, 'execute')"
    )
    assert found(tenants, query) == set()


def test_views_run_with_the_rights_of_who_asks(tenants: Tenants) -> None:
    """(0010) A view of the owner would show what row security hides."""
    query = (
        "select c.oid::regclass::text as name from pg_class as c where c.relkind in ('v', 'm')"
        " and c.relnamespace in $ours and not coalesce('security_invoker=true' = any (c.reloptions), false)"
    )
    assert found(tenants, query) == set()


def test_no_secret_is_in_a_column_that_people_may_read(tenants: Tenants) -> None:
    """(0023) Nothing named like a credential, and no text of a message: functions show what may be shown."""
    query = (
        "select distinct a.attrelid::regclass || '.' || a.attname as name from pg_attribute as a"
        " join pg_class as c on c.oid = a.attrelid, unnest(array['anon', 'authenticated']) as r"
        " where c.relkind in ('r', 'v', 'm') and c.relnamespace in $ours and a.attnum > 0"
        " and not a.attisdropped and has_column_privilege(r, c.oid, a.attnum, 'select') and a.attname ~"
        " '(token|secret|password|hash|api_?key|qr|pairing_code|credential|content|payload|^text$)'"
    )
    assert found(tenants, query) == set()


def test_columns_about_a_person_that_people_may_read_are_known(tenants: Tenants) -> None:
    """A phone or an e-mail address of the own agency's clients, where the pages need it."""
    query = (
        "select a.attrelid::regclass || '.' || a.attname as name from pg_attribute as a"
        " join pg_class as c on c.oid = a.attrelid where c.relkind in ('r', 'v', 'm')"
        " and c.relnamespace in $ours and a.attnum > 0"
        " and has_column_privilege('authenticated', c.oid, a.attnum, 'select')"
        " and a.attname ~ '(phone|email|address)'"
    )
    assert only(
        found(tenants, query),
        {
            "account_balance_alerts.recipient_phone": "whom the manager told to be alerted",
            "client_manager_links.client_email": "the manager typed it; a client sees its own",
            "whatsapp_report_settings.phone_number": "where the manager has the reports sent",
        },
    )


def test_foreign_keys_are_indexed(tenants: Tenants) -> None:
    """(0001) Else deleting on the other side reads the whole table."""
    query = (
        "select k.conrelid::regclass || '.' || a.attname as name from pg_constraint as k"
        " join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]"
        " where k.contype = 'f' and k.connamespace in $ours and not exists (select from pg_index as i"
        " where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1] and i.indpred is null)"
    )
    few = "a handful of rows, written by people"
    assert only(
        found(tenants, query),
        {
            "content_journeys.next_journey_id": few,
            "meditation_audios.meditation_id": few,
            "profiles.current_session_id": "we delete no session, and the index would cost every turn",
            "profiles.current_journey_id": few,
            "commitments.session_id": NO_DELETES,
            "user_meditation_history.meditation_id": NO_DELETES,
            "messaging.outbox.instance_id": "numbers are never deleted; the claim has partial indexes",
            "messaging.outbox.purpose": "a purpose is a line of a migration, referred to by millions",
        },
    )


def test_every_table_has_a_key(tenants: Tenants) -> None:
    """(0004) A primary key, or a unique index that does as much."""
    query = (
        "select c.oid::regclass::text as name from pg_class as c where c.relkind in ('r', 'p')"
        " and c.relnamespace in $ours and not exists (select from pg_index as i where i.indrelid = c.oid"
        " and i.indisunique and i.indpred is null)"
    )
    assert found(tenants, query) == set()


def test_no_index_is_there_twice(tenants: Tenants) -> None:
    """(0009) It costs each write and helps none."""
    query = (
        "select i.indrelid::regclass::text as name from pg_index as i"
        " join pg_class as c on c.oid = i.indrelid where c.relnamespace in $ours"
        " group by i.indrelid, i.indkey::text, i.indclass::text,"
        " coalesce(pg_get_expr(i.indexprs, i.indrelid), ''), coalesce(pg_get_expr(i.indpred, i.indrelid), '')"
        " having count(*) > 1"
    )
    assert found(tenants, query) == set()


def test_schema_public_gets_no_function_but_the_seed_s(tenants: Tenants) -> None:
    """PostgREST offers whatever stands there to the page's key."""
    query = "select p.proname::text as name from pg_proc as p where p.pronamespace = 'public'::regnamespace"
    assert only(
        found(tenants, query),
        {
            "allocate_whatsapp_instance": "the seed's name, in the seed's place",
            "touch_updated_at": "the original's trigger, which other tables of a project may use",
        },
    )


def test_every_function_table_and_state_column_says_what_it_means(tenants: Tenants) -> None:
    """In the database itself, where a person in psql looks; adopted and yoyo's own tables apart."""
    objects = (
        "select p.oid::regproc::text as name from pg_proc as p"
        " where p.pronamespace in $ours and obj_description(p.oid, 'pg_proc') is null"
        " union all select c.oid::regclass::text from pg_class as c where c.relkind in ('r', 'v')"
        " and c.relnamespace in ('messaging'::regnamespace, 'audit'::regnamespace)"
        " and obj_description(c.oid, 'pg_class') is null"
    )
    assert found(tenants, objects) == set()
    columns = (
        "select a.attrelid::regclass || '.' || a.attname as name from pg_attribute as a"
        " join pg_class as c on c.oid = a.attrelid where c.relkind = 'r' and a.attnum > 0"
        " and not a.attisdropped and a.attname ~ '(state|status|outcome|decision|delivery)$'"
        " and c.relnamespace = 'messaging'::regnamespace and col_description(c.oid, a.attnum) is null"
    )
    plain = "said by the table's own comment"
    assert only(
        found(tenants, columns),
        dict.fromkeys(
            (
                "messaging.attempts.http_status",
                "messaging.transitions.from_state",
                "messaging.transitions.to_state",
                "messaging.history.from_state",
                "messaging.history.to_state",
                "messaging.stripe_events.outcome",
            ),
            plain,
        ),
    )
