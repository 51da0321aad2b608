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


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_every_file_has_its_counterpart_and_waits_briefly_for_locks(file: Any) -> None:
    """NNNN.subject.sql and NNNN.subject.rollback.sql come in pairs, and neither waits long for a lock."""
    name = file.name
    assert re.fullmatch(r"\d{4}\.[a-z_]+(\.rollback)?\.sql", name)
    other = name.replace(".rollback", "") if ".rollback" in name else name.replace(".sql", ".rollback.sql")
    assert (MIGRATIONS / other).exists()
    assert "set local lock_timeout = '5s';" in file.read_text()


def test_every_function_has_a_comment(connect: Connect) -> None:
    """What a function is for stands in the database, where a person in psql finds it."""
    assert connect().execute(FUNCTIONS + "obj_description(p.oid, 'pg_proc') is null").fetchall() == []


def test_every_function_fixes_its_search_path(connect: Connect) -> None:
    """No definer function of ours looks names up where its caller says."""
    loose = "p.prosecdef and not coalesce('search_path=\"\"' = any(p.proconfig), false)"
    assert connect().execute(FUNCTIONS + loose).fetchall() == []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_api_roles_execute_nothing(connect: Connect, role: str) -> None:
    """Neither a stranger nor a signed-in person may call any function of ours."""
    allowed = f"has_function_privilege('{role}', p.oid, 'execute')"
    assert connect().execute(FUNCTIONS + allowed).fetchall() == []


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_api_roles_see_no_table(connect: Connect, role: str) -> None:
    """Neither a stranger nor a signed-in person has a right on a table or column of ours."""
    allowed = f"(has_table_privilege('{role}', c.oid, 'select, insert, update, delete, truncate, references')"
    allowed += f" or has_any_column_privilege('{role}', c.oid, 'select, insert, update, references'))"
    assert connect().execute(TABLES + allowed).fetchall() == []


def test_service_role_writes_no_table_of_messaging(connect: Connect) -> None:
    """State changes through functions only: not even the service role may write a state table."""
    allowed = (
        "n.nspname = 'messaging' and has_table_privilege('service_role', c.oid, 'insert, update, delete')"
    )
    assert connect().execute(TABLES + allowed).fetchall() == []


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
