"""The same rights in a project that was there before us, migrated by its plain owner.

What we add has the rights of rights.txt; of what was there nobody gets more than the file says or the project
had given.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from scripts.migrate import apply_all
from tests.migration.projects import project, silent
from tests.security import catalog, rights
from tests.security.catalog import API_ROLES, Connection

pytestmark = [pytest.mark.scoreboard("S6", tier="landing"), pytest.mark.scoreboard("S7", tier="landing")]

Granted = dict[tuple[str, str], dict[str, str]]


def every_right(connection: Connection) -> Granted:
    """What the roles of PostgREST may do, by kind and name."""
    return {
        (item.kind, item.name): {role: catalog.granted(connection, item, role) for role in API_ROLES}
        for item in catalog.items(connection)
    }


@dataclass(frozen=True)
class Adopted:
    """What the project granted before, and sessions of its owner and of a superuser on what became of it."""

    before: Granted
    owner: Connection
    superuser: Connection


@pytest.fixture(scope="module")
def adopted(server_url: str) -> Iterator[Adopted]:
    """The project, migrated."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        with found.connect() as connection:
            before = every_right(connection)
        apply_all(found.url, silent)
        with found.connect() as owner, psycopg.connect(found.superuser_url, autocommit=True) as superuser:
            yield Adopted(before, owner, superuser)


def expected_of(kind: str, name: str) -> dict[str, str] | None:
    """The file's line for it, as the three roles."""
    for line in rights.expected():
        if (line.catalog_kind, line.name) == (kind, name):
            return {
                "anon": line.right("anon"),
                "authenticated": line.right("manager"),
                "service_role": line.right("service_role"),
            }
    return None


def test_what_we_added_has_the_rights_of_the_file(adopted: Adopted) -> None:
    """Whoever owns the project, and whatever its default grants are."""
    # What stands for a check while old rows offend it, in an adopted project alone.
    now, known = every_right(adopted.owner), {("function", "public.refuse_odd_instance_status")}
    for key, granted in now.items():
        if key not in adopted.before and key not in known:
            assert granted == expected_of(*key), key
    assert now["function", "public.refuse_odd_instance_status"] == dict.fromkeys(API_ROLES, "-")


def test_what_was_there_is_open_to_nobody_new(adopted: Adopted) -> None:
    """Each right on an adopted object stands in the file, or was the project's own."""
    before, now = adopted.before, every_right(adopted.owner)
    for key in before.keys() & now.keys():
        expected = expected_of(*key) or dict.fromkeys(API_ROLES, "-")
        for role in API_ROLES:
            more = set(now[key][role]) - set(expected[role]) - set(before[key][role])
            assert not more, (key, role, more)


def test_nobody_writes_who_is_a_manager(adopted: Adopted) -> None:
    """An adopted user_roles without row security, under permissive grants: whoever signed in could have made
    themselves one, and our functions would have believed it."""
    assert adopted.before["table", "public.user_roles"]["authenticated"] == "crud"
    adopted.superuser.execute("set role authenticated")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        adopted.superuser.execute(
            "insert into public.user_roles (user_id, role) values (gen_random_uuid(), 'admin')"
        )
    adopted.superuser.execute("reset role")


def test_no_trigger_and_no_truncate_on_a_table_that_our_functions_write(adopted: Adopted) -> None:
    """Supabase's default grants gave both to the page's key."""
    ours = [line.name for line in rights.expected() if line.kind == "table"]
    rows = adopted.owner.execute(
        "select t.name, r.role from unnest(%s::text[]) as t (name), unnest(%s::text[]) as r (role)"
        " where has_table_privilege(r.role, t.name, 'truncate, references, trigger')",
        [ours, list(API_ROLES)],
    ).fetchall()
    assert rows == []


def test_the_plain_owner_is_held_back_by_nothing(adopted: Adopted) -> None:
    """No table forces row security on its owner: migrations, psql and pg_dump see every row."""
    tables = [item for item in catalog.items(adopted.owner) if item.kind == "table"]
    for item in tables:
        row = adopted.owner.execute(
            "select pg_has_role(c.relowner, 'usage'), c.relforcerowsecurity"
            " from pg_class as c where c.oid = %s",
            [item.oid],
        ).fetchone()
        assert row == (True, False), item.name
    assert adopted.owner.execute("select count(*) > 3 from public.profiles").fetchone() == (True,)
