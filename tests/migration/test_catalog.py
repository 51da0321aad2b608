"""What holds for every migration file and for every object that they make."""

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from scripts.migrate import MIGRATIONS, apply_all
from scripts.migrate_snapshot import SCHEMAS, drift
from scripts.schema_text import schema_text
from tests.migration.projects import project, silent

Connect = Callable[[], psycopg.Connection[tuple[Any, ...]]]
FILES = sorted(MIGRATIONS.glob("*.sql"))
OURS = "n.nspname in ('public', 'messaging', 'audit', 'roleta_migrations')"
FUNCTIONS = f"""
    select p.oid::regprocedure::text from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
    where {OURS} and """
TABLES = f"""
    select c.oid::regclass::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where {OURS} and c.relkind in ('r', 'p', 'v', 'm') and """


@pytest.mark.scoreboard("R15", tier="commit")
@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_every_file_has_its_counterpart_and_waits_briefly_for_locks(file: Any) -> None:
    """NNNN.subject.sql and NNNN.subject.rollback.sql come in pairs, and neither waits long for a lock."""
    name = file.name
    assert re.fullmatch(r"\d{4}\.[a-z_]+(\.rollback)?\.sql", name)
    other = name.replace(".rollback", "") if ".rollback" in name else name.replace(".sql", ".rollback.sql")
    assert (MIGRATIONS / other).exists()
    assert "set local lock_timeout = '5s';" in file.read_text()


@pytest.mark.scoreboard("S8", tier="commit")
def test_every_function_has_a_comment(connect: Connect) -> None:
    """What a function is for stands in the database, where a person in psql finds it."""
    assert connect().execute(FUNCTIONS + "obj_description(p.oid, 'pg_proc') is null").fetchall() == []


@pytest.mark.scoreboard("S8", tier="commit")
def test_every_function_fixes_its_search_path(connect: Connect) -> None:
    """No definer function of ours looks names up where its caller says."""
    loose = "p.prosecdef and not coalesce('search_path=\"\"' = any(p.proconfig), false)"
    assert connect().execute(FUNCTIONS + loose).fetchall() == []


def test_every_view_looks_with_its_caller_s_rights(connect: Connect) -> None:
    """No view of ours shows somebody what only its owner may see."""
    owners = "c.relkind in ('v', 'm') and not coalesce('security_invoker=true' = any(c.reloptions), false)"
    assert connect().execute(TABLES + owners).fetchall() == []


@pytest.mark.scoreboard("S8", tier="commit")
def test_a_stranger_executes_nothing(connect: Connect) -> None:
    """Nobody who is not signed in may call any function of ours."""
    allowed = "has_function_privilege('anon', p.oid, 'execute')"
    assert connect().execute(FUNCTIONS + allowed).fetchall() == []


@pytest.mark.scoreboard("S8", tier="commit")
def test_what_a_signed_in_person_executes_asks_first_who_that_is(connect: Connect) -> None:
    """Each function granted to people asks for the manager, by itself or through one that does."""
    asks = "require_manager|require_client|own_connection|messaging.caller|request.jwt.claims"
    unasked = f"has_function_privilege('authenticated', p.oid, 'execute') and p.prosrc !~ '{asks}'"
    assert connect().execute(FUNCTIONS + unasked).fetchall() == []


def test_a_stranger_sees_no_table(connect: Connect) -> None:
    """Nobody who is not signed in has a right on a table or column of ours."""
    assert connect().execute(TABLES + _any_right("anon")).fetchall() == []


def test_a_signed_in_person_reads_what_a_policy_shows_and_writes_nothing(connect: Connect) -> None:
    """Only tables with row security and our policy, only to read; nothing at all in messaging and audit."""
    may_read = "has_table_privilege('authenticated', c.oid, 'select')"
    shown = (
        "exists (select from pg_policy as y where y.polrelid = c.oid and y.polname = 'roleta_sees_own'"
        " and y.polcmd = 'r') and c.relrowsecurity and n.nspname = 'public'"
    )
    assert connect().execute(TABLES + f"{may_read} and not ({shown})").fetchall() == []
    writes = (
        "(has_table_privilege('authenticated', c.oid,"
        " 'insert, update, delete, truncate, references, trigger')"
        " or has_any_column_privilege('authenticated', c.oid, 'insert, update, references'))"
    )
    assert connect().execute(TABLES + writes).fetchall() == []


def _any_right(role: str) -> str:
    return (
        f"(has_table_privilege('{role}', c.oid, 'select, insert, update, delete, truncate, references')"
        f" or has_any_column_privilege('{role}', c.oid, 'select, insert, update, references'))"
    )


@pytest.mark.scoreboard("S9", tier="commit")
def test_service_role_writes_no_table_of_messaging(connect: Connect) -> None:
    """State changes through functions only: not even the service role may write a state table."""
    allowed = (
        "n.nspname = 'messaging' and has_table_privilege('service_role', c.oid, 'insert, update, delete')"
    )
    assert connect().execute(TABLES + allowed).fetchall() == []


@pytest.mark.scoreboard("S8", tier="commit")
def test_every_table_of_ours_has_row_security(connect: Connect) -> None:
    """A grant given by mistake still shows no row."""
    without = "c.relkind in ('r', 'p') and not c.relrowsecurity and n.nspname <> 'roleta_migrations'"
    assert connect().execute(TABLES + without).fetchall() == []


def test_snapshot_text_is_the_same_on_every_server_version(each_server_url: str, database_url: str) -> None:
    """PostgreSQL 15 and 18 print the same schema, but for the aliases that 15 repeats in views."""
    with project(each_server_url) as found:
        apply_all(found.url, silent)
        assert _without_aliases(schema_text(found.url, SCHEMAS)) == _without_aliases(
            schema_text(database_url, SCHEMAS)
        )


def test_snapshot_shows_a_change(connect: Connect, database_url: str) -> None:
    """A column, a grant and a function body that change, change the text."""
    before = schema_text(database_url, SCHEMAS)
    connect().execute("alter table messaging.outbox add column extra integer default 3")
    connect().execute("grant select (extra) on messaging.outbox to anon")
    connect().execute("comment on column messaging.outbox.extra is 'It''s new.'")
    changed = drift(schema_text(database_url, SCHEMAS), before)
    for line in (
        "+    extra integer default 3",
        "+grant select (extra) on table",
        "+comment on column",
        "It''s new",
    ):
        assert line.casefold() in changed.casefold()


def _without_aliases(text: str) -> str:
    views = re.compile(r"^create view .*?;$", re.MULTILINE | re.DOTALL)
    return views.sub(lambda view: re.sub(r"\b[a-z]\w*\.(?=[a-z])", "", view[0]), text)
