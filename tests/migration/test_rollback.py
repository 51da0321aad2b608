"""`roleta migrate rollback`: never data without being told so, all or nothing."""

from pathlib import Path

import pytest

from scripts.migrate import apply_all, rollback, status
from shared.errors import MigrationRefused, WouldDiscardData
from tests.migration.projects import Project, copy_of_migrations, silent


def test_table_with_rows__refused_and_nothing_changes(empty_project: Project) -> None:
    """The refusal names table and count, and every migration is still applied."""
    apply_all(empty_project.url, silent)
    with empty_project.connect() as connection:
        connection.execute(
            "insert into public.profiles (user_id) values (gen_random_uuid()), (gen_random_uuid())"
        )
    head = empty_project.dump()
    with pytest.raises(WouldDiscardData, match=r"table public\.profiles \(2 rows\)"):
        rollback(empty_project.url, "all", say=silent)
    assert empty_project.dump() == head
    assert {each.state for each in status(empty_project.url)} == {"applied"}


def test_discard_data__is_obeyed(empty_project: Project) -> None:
    """Told to, the rollback drops what it made, rows included."""
    before = empty_project.dump()
    apply_all(empty_project.url, silent)
    with empty_project.connect() as connection:
        connection.execute("insert into public.profiles (user_id) values (gen_random_uuid())")
    rollback(empty_project.url, "all", discard_data=True, say=silent)
    assert empty_project.dump() == before


def test_rollback_to_a_migration__keeps_it_and_all_before(empty_project: Project, tmp_path: Path) -> None:
    """A name or its beginning says what stays; a name that is none is refused."""
    folder = copy_of_migrations(tmp_path, upto="0004")
    names = apply_all(empty_project.url, silent, folder)
    assert rollback(empty_project.url, "0002", say=silent, folder=folder) == names[:2:-1]
    assert [each.name for each in status(empty_project.url, folder) if each.state == "applied"] == names[:3]
    with pytest.raises(MigrationRefused, match="no applied migrations"):
        rollback(empty_project.url, "0004", say=silent, folder=folder)
    with pytest.raises(MigrationRefused, match="several applied migrations"):
        rollback(empty_project.url, "000", say=silent, folder=folder)


def test_migration_without_rollback_file__refused(empty_project: Project, tmp_path: Path) -> None:
    """What cannot be undone is not undone by halves."""
    folder = copy_of_migrations(tmp_path, upto="0001")
    (folder / "9990.forever.sql").write_text("create table public.forever (id integer);")
    apply_all(empty_project.url, silent, folder)
    with pytest.raises(MigrationRefused, match=r"9990\.forever has no rollback file"):
        rollback(empty_project.url, "all", say=silent, folder=folder)


def test_who_is_behind_a_lid__is_not_forgotten_by_accident(empty_project: Project) -> None:
    """Nothing but the next event that carries both tells it again; told to, it goes."""
    apply_all(empty_project.url, silent)
    with empty_project.connect() as connection:
        connection.execute(
            "insert into messaging.person_lids (lid, phone, phone_key, seen_at)"
            " values ('1@lid', '5511987654321', '551187654321', now())"
        )
    with pytest.raises(WouldDiscardData, match="person_lids holds 1 rows"):
        rollback(empty_project.url, "0029", say=silent)
    rollback(empty_project.url, "0029", discard_data=True, say=silent)
    apply_all(empty_project.url, silent)
