"""`roleta migrate apply`: what it refuses, and what it survives."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from scripts.migrate import MIGRATIONS, apply_all, plan, refuse_pooler, rollback, status
from shared.clock import monotonic
from shared.errors import DatabaseUnavailable, MigrationRefused, SettingsError, SetupMissing
from tests.migration.projects import Project, copy_of_migrations, silent
from tests.servers import database_server
from tests.waiting import eventually

BLOCKED = "select pg_advisory_xact_lock(4711); create table public.slowly_made (id integer);"
WAITERS = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"


def test_plan_and_status_read_only__nothing_is_made(empty_project: Project) -> None:
    """A database that was never migrated stays untouched, and everything is pending."""
    before = empty_project.dump()
    planned = plan(empty_project.url)
    assert [each.name for each in planned.pending] == [each.name for each in status(empty_project.url)]
    assert planned.refusals == []
    assert empty_project.dump() == before
    with empty_project.connect() as connection:
        assert connection.execute("select to_regnamespace('roleta_migrations')").fetchone() == (None,)


def test_apply_twice__the_second_does_nothing_and_quickly(empty_project: Project) -> None:
    """Nothing pending: nothing applied, in less than 0.3 s."""
    assert apply_all(empty_project.url, silent) == [each.name for each in status(empty_project.url)]
    started = monotonic()
    assert apply_all(empty_project.url, silent) == []
    assert monotonic() - started < 0.3
    assert {each.state for each in status(empty_project.url)} == {"applied"}


def test_search_path_of_a_migration_is_the_role_s_own(empty_project: Project, tmp_path: Path) -> None:
    """Where yoyo keeps its tables does not change where a migration's names are looked up."""
    folder = copy_of_migrations(tmp_path, upto="0001")
    (folder / "9990.path.sql").write_text(
        "create table public.seen as select current_setting('search_path') as path;"
    )
    apply_all(empty_project.url, silent, folder)
    with empty_project.connect() as connection:
        usual = connection.execute("show search_path").fetchone()
        assert connection.execute("select path from public.seen").fetchone() == usual


@pytest.mark.scoreboard("R15", tier="commit")
def test_applied_file_that_was_edited__refused_by_name(empty_project: Project, tmp_path: Path) -> None:
    """An edit of an applied file would never run: it is refused, and named; other line ends are no edit."""
    folder = copy_of_migrations(tmp_path, upto="0002")
    apply_all(empty_project.url, silent, folder)
    file = folder / "0002.baseline.sql"
    text = file.read_text()
    file.write_text(text + "\n-- a thought\n")
    with pytest.raises(MigrationRefused, match=r"0002\.baseline\.sql was edited"):
        apply_all(empty_project.url, silent, folder)
    assert plan(empty_project.url, folder).refusals != []
    file.write_bytes(text.replace("\n", "\r\n").encode())
    assert apply_all(empty_project.url, silent, folder) == []


def test_database_newer_than_the_code__refused(empty_project: Project, tmp_path: Path) -> None:
    """An applied migration that is not among the files is named, and nothing is done."""
    folder = copy_of_migrations(tmp_path, upto="0002")
    apply_all(empty_project.url, silent, folder)
    (folder / "0002.baseline.sql").unlink()
    (folder / "0002.baseline.rollback.sql").unlink()
    with pytest.raises(MigrationRefused, match=r"newer than this code: it has 0002\.baseline"):
        apply_all(empty_project.url, silent, folder)
    with pytest.raises(MigrationRefused, match=r"0002\.baseline"):
        rollback(empty_project.url, "all", say=silent, folder=folder)


def test_failing_file__named_with_its_line_and_undone(empty_project: Project, tmp_path: Path) -> None:
    """The files before it stay applied, nothing of it remains, and the next run goes on from there."""
    folder = copy_of_migrations(tmp_path, upto="0001")
    file = folder / "9990.broken.sql"
    file.write_text(
        "create table public.half (id integer);\n\ninsert into public.half values (1);\nselect nothing_here;"
    )
    with pytest.raises(MigrationRefused, match=r"9990\.broken, line 4: .*nothing_here"):
        apply_all(empty_project.url, silent, folder)
    with empty_project.connect() as connection:
        assert connection.execute("select to_regclass('public.half')").fetchone() == (None,)
    file.write_text("create table public.half (id integer);")
    assert apply_all(empty_project.url, silent, folder) == ["9990.broken"]


def test_table_in_use__says_to_run_again(empty_project: Project, tmp_path: Path) -> None:
    """A lock that is not free in time is told as such, with the file's name."""
    folder = copy_of_migrations(tmp_path, upto="0002")
    apply_all(empty_project.url, silent, folder)
    (folder / "9990.locking.sql").write_text("set local lock_timeout = '50ms'; lock table public.profiles;")
    with psycopg.connect(empty_project.url) as other:
        other.execute("lock table public.profiles in share mode")
        with pytest.raises(MigrationRefused, match=r"9990\.locking: .*run it again"):
            apply_all(empty_project.url, silent, folder)


def test_killed_while_a_file_runs__the_next_run_completes(empty_project: Project, tmp_path: Path) -> None:
    """After kill -9 nothing of the running file remains, the stale lock row is cleared, apply works again."""
    folder = copy_of_migrations(tmp_path)
    (folder / "9990.slow.sql").write_text(BLOCKED)
    script = "import sys; from pathlib import Path; from scripts.migrate import apply_all;"
    script += "apply_all(sys.argv[1], folder=Path(sys.argv[2]))"
    with empty_project.connect() as holder:
        holder.execute("select pg_advisory_lock(4711)")
        command = [sys.executable, "-c", script, empty_project.url, str(folder)]
        run = subprocess.Popen(command, cwd=MIGRATIONS.parent, stdout=subprocess.DEVNULL)
        try:
            eventually(lambda: holder.execute(WAITERS).fetchone() == (1,), 30, "the slow file at work")
        finally:
            run.send_signal(signal.SIGKILL)
            run.wait()
        left = holder.execute("select count(*) from roleta_migrations.yoyo_lock").fetchone()
        assert left == (1,)
        holder.execute("select pg_advisory_unlock(4711)")
        assert apply_all(empty_project.url, silent, folder) == ["9990.slow"]
        assert holder.execute("select count(*) from roleta_migrations.yoyo_lock").fetchone() == (0,)
    assert {each.state for each in status(empty_project.url, folder)} == {"applied"}


def test_second_run_waits_for_the_first__and_says_so(empty_project: Project) -> None:
    """While another run holds the database a run waits with a message, and then does its work."""
    said: list[str] = []
    with empty_project.connect() as first, ThreadPoolExecutor(1) as pool:
        first.execute("select pg_advisory_lock(hashtextextended('roleta.migrate', 0))")
        second = pool.submit(apply_all, empty_project.url, said.append)
        eventually(lambda: any("waiting" in line for line in said), 10, "the second run waiting")
        assert not second.done()
        first.execute("select pg_advisory_unlock_all()")
        assert len(second.result(30)) > 0


def test_two_runs_at_once__both_succeed_and_each_file_is_applied_once(empty_project: Project) -> None:
    """One of two simultaneous runs applies everything, the other nothing."""
    together = threading.Barrier(2)

    def run() -> list[str]:
        together.wait(10)
        return apply_all(empty_project.url, silent)

    with ThreadPoolExecutor(2) as pool:
        done = [each.result(60) for each in (pool.submit(run), pool.submit(run))]
    assert sorted(map(len, done)) == [0, len(status(empty_project.url))]


def test_transaction_pooler__refused() -> None:
    """The pooler's port is refused before any connection is made."""
    for work in (apply_all, plan, status):
        with pytest.raises(MigrationRefused, match="transaction pooler"):
            work("postgresql://someone:secret@127.0.0.1:6543/postgres")


def test_two_connections_on_one_server_process__refused(empty_project: Project) -> None:
    """A pooler on another port shows by serving two connections with one process."""
    with empty_project.connect() as one, empty_project.connect() as other:
        refuse_pooler(one, other)
        with pytest.raises(MigrationRefused, match="transaction pooler"):
            refuse_pooler(one, one)


def test_address_that_is_none__refused_without_repeating_it() -> None:
    """A wrong address is told without the password that it may hold."""
    with pytest.raises(SettingsError) as caught:
        apply_all("postgres:secret@somewhere", silent)
    assert "secret" not in str(caught.value)
    with pytest.raises(DatabaseUnavailable) as refused:
        apply_all("postgresql://someone:secret@127.0.0.1:1/none", silent)
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_server_without_supabase_s_roles__says_what_to_run() -> None:
    """A bare server is refused with the name of the script that makes it fit."""
    with database_server() as bare, pytest.raises(SetupMissing, match=r"run scripts/supabase_bootstrap\.sql"):
        apply_all(bare.url, silent)
