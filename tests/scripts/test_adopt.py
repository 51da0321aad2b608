"""`roleta adopt --check` finds what an existing project must put right, and nothing where all is well."""

from pathlib import Path

import psycopg

from scripts.migrate import apply_all
from tests.migration.projects import ADOPTED_PROJECT
from tests.scripts.roleta import Roleta


def test_an_adopted_project_is_told_what_to_put_right(bare_database_url: str, tmp_path: Path) -> None:
    """The odd status and the doubled person are found before and after the migration, phones cut."""
    with psycopg.connect(bare_database_url) as connection:
        connection.execute(ADOPTED_PROJECT.read_text())
        connection.execute(
            """
            insert into public.profiles (user_id, phone) values
            (gen_random_uuid(), '5531998765432'), (gen_random_uuid(), '553198765432'),
            (gen_random_uuid(), '31998765433')
            """
        )
    roleta = Roleta(tmp_path, DATABASE_URL=bare_database_url, COLUMNS="200")

    before = roleta("adopt", "--check")
    apply_all(bare_database_url, say=lambda _: None)
    after = roleta("adopt", "--check")

    assert before.exit_code == after.exit_code == 1
    for said in (before.stdout, after.stdout):
        assert "status is none of" in said
        assert "several profiles share" in said
        assert "lack the country code" in said
        assert "5531998765432" not in said


def test_a_new_database_has_nothing_to_put_right(database_url: str, tmp_path: Path) -> None:
    """A migrated and empty database gives one line and exit code 0."""
    assert Roleta(tmp_path, DATABASE_URL=database_url).well("adopt", "--check") == "nothing to put right\n"
