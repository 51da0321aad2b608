"""`roleta migrate` and `roleta import-env-instance` on a database of the test's own."""

import psycopg
import pytest

from scripts.migrate import MIGRATIONS
from tests.scripts.roleta import Roleta

FILES = len([each for each in MIGRATIONS.glob("*.sql") if not each.name.endswith(".rollback.sql")])
NUMBER = {
    "ZAPI_INSTANCE_ID": "CANARY-ID-0001",
    "ZAPI_TOKEN": "canary-token-0001",
    "ZAPI_CLIENT_TOKEN": "canary-client-0001",
}


@pytest.fixture
def unmigrated(bare_roleta: Roleta, bare_database_url: str) -> Roleta:
    """The command over a database that has what Supabase has, and nothing of ours."""
    return Roleta(bare_roleta.home, DATABASE_URL=bare_database_url)


def test_plan_shows_what_apply_would_do_and_changes_nothing(unmigrated: Roleta) -> None:
    """The DBA reads every file's notes, with its locks, before anything happens; twice the same."""
    said = unmigrated.well("migrate", "plan")

    assert "0003.instances" in said
    assert "ACCESS EXCLUSIVE" in said
    assert unmigrated.well("migrate", "plan") == said


def test_apply_then_status_then_rollback(unmigrated: Roleta) -> None:
    """Apply tells each file; status shows them applied; rollback undoes them all when told to."""
    assert f"{FILES} applied" in unmigrated.well("migrate", "apply")
    assert "nothing to apply" in unmigrated.well("migrate", "apply")
    assert "pending" not in unmigrated.well("migrate", "status")
    assert f"{FILES} rolled back" in unmigrated.well("migrate", "rollback", "--all", "--yes")
    assert "applied" not in unmigrated.well("migrate", "status").replace("applied ", "", 1)


def test_rollback_asks_first__refused(roleta: Roleta) -> None:
    """Without a terminal and without --yes nothing is undone."""
    assert "nothing rolled back" in roleta.refused("migrate", "rollback", "--all")
    assert "pending" not in roleta.well("migrate", "status")


def test_rollback_wants_one_aim__refused(roleta: Roleta) -> None:
    """--to and --all exclude each other, and one is needed."""
    assert roleta("migrate", "rollback", "--yes").exit_code == 2
    assert roleta("migrate", "rollback", "--all", "--to", "0004", "--yes").exit_code == 2


def test_apply_ends_with_the_number_of_the_environment(unmigrated: Roleta, bare_database_url: str) -> None:
    """Where ZAPI_* are set, the number becomes the default row, and everybody without one is linked to it."""
    unmigrated.well("migrate", "apply")
    with psycopg.connect(bare_database_url) as connection:
        connection.execute(
            "insert into public.profiles (user_id, name, phone, status)"
            " select gen_random_uuid(), 'P' || n, '55119' || (80000000 + n), 'active'"
            " from generate_series(1, 2500) as n"
        )
    said = unmigrated.well("migrate", "apply", **NUMBER)

    assert "is now Aura #1" in said
    assert "linked 1000 people" in said
    assert "linked 2500 people" in said
    assert "canary" not in said.lower()
    [number] = unmigrated.told("instance", "list", "--json")
    assert (number["is_default"], number["people"], number["seats"]) == (True, 2500, 250)


def test_importing_again_changes_nothing_and_a_new_token_is_taken_over(roleta: Roleta) -> None:
    """The same id with the same secrets: silence. With a new token: the row has it."""
    assert "Aura #1" in roleta.well("import-env-instance", **NUMBER)
    assert roleta.well("import-env-instance", **NUMBER) == ""
    assert "new credentials" in roleta.well("import-env-instance", **{**NUMBER, "ZAPI_TOKEN": "canary-2"})
    assert len(roleta.told("instance", "list", "--json")) == 1


def test_another_id_makes_a_second_number_and_moves_nobody(roleta: Roleta, database_url: str) -> None:
    """A second number from the environment joins the pool; it is not the default, and links no one."""
    roleta.well("import-env-instance", **NUMBER)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into public.profiles (user_id, name, phone, status)"
            " values (gen_random_uuid(), 'Ana', '5511980000001', 'active')"
        )
    said = roleta.well("import-env-instance", **{**NUMBER, "ZAPI_INSTANCE_ID": "CANARY-ID-0002"})

    assert "nobody was moved" in said
    numbers = roleta.told("instance", "list", "--json")
    assert [(each["name"], each["is_default"], each["people"]) for each in numbers] == [
        ("Aura #1", True, 0),
        ("Aura #2", False, 0),
    ]


def test_importing_without_a_number_says_what_to_set__refused(roleta: Roleta) -> None:
    """The command that makes ZAPI_* a row needs ZAPI_*."""
    assert "ZAPI_INSTANCE_ID" in roleta.refused("import-env-instance")
