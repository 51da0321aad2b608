"""The embedded server: quick starts, an end with its parent, and clear words for what stands in its way."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts import server_home
from scripts.bound_process import bound_command
from scripts.embedded import EmbeddedPostgres, ServerProblem
from scripts.server_data import reason_in
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys, signal
from pathlib import Path
from scripts.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.port, flush=True)
signal.pause()
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """A clone's folder, open to all as a clone in /srv or /home would be."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def serving_process(root: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs the server of this clone, and its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def processes_in(folder: Path) -> list[int]:
    """The processes whose working folder is this one: a PostgreSQL server works in its data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == folder:
                found.append(int(entry.name))
    return found


def execute(server: EmbeddedPostgres, statement: str) -> list[tuple[object, ...]]:
    """Run one statement on a connection of its own; its rows."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_start_makes_a_database_and_the_next_is_fast(root: Path) -> None:
    """First start under 6 s, warm start under 1.5 s, and what was stored is still there."""
    begun = time.monotonic()
    with EmbeddedPostgres(root) as server:
        assert time.monotonic() - begun < 6
        execute(server, "create table kept as select 42 as answer")
    begun = time.monotonic()
    with EmbeddedPostgres(root) as server:
        assert time.monotonic() - begun < 1.5
        assert execute(server, "select answer from kept") == [(42,)]
    assert processes_in(root / ".roleta" / "postgres") == []


@pytest.mark.slow
def test_nobody_gets_in_without_the_password(root: Path) -> None:
    """Other accounts of the machine reach the port, not the database; data and password are private."""
    with EmbeddedPostgres(root) as server:
        for stranger in ("", ":guess"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(f"postgresql://postgres{stranger}@127.0.0.1:{server.port}/postgres")
    for name, mode in (("postgres", 0o700), ("postgres.password", 0o600), ("postgres.log", 0o600)):
        assert stat.S_IMODE((root / ".roleta" / name).stat().st_mode) == mode
    assert server.password not in repr(server)


def test_it_ends_when_its_parent_is_killed(root: Path) -> None:
    """kill -9 of the parent leaves no process, and the next start finds everything that was committed."""
    data = root / ".roleta" / "postgres"
    with serving_process(root) as (process, port):
        password = (root / ".roleta" / "postgres.password").read_text()
        with psycopg.connect(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres") as connection:
            connection.execute("create table kept as select 1")
        assert processes_in(data)
        process.send_signal(signal.SIGKILL)
        process.wait()
    eventually(lambda: not processes_in(data), what="the server has ended")
    with EmbeddedPostgres(root) as server:
        assert execute(server, "select * from kept") == [(1,)]


@pytest.mark.slow
def test_a_start_right_after_a_kill_waits_for_the_old_server(root: Path) -> None:
    """No pause is needed between kill -9 and the next start."""
    with serving_process(root) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with EmbeddedPostgres(root, say=lambda _: None) as server:
            assert execute(server, "select 1") == [(1,)]


@pytest.mark.slow
def test_a_second_start_on_the_same_data_is_refused(root: Path) -> None:
    """The second gets one line; the first goes on undisturbed."""
    with EmbeddedPostgres(root) as first:
        with pytest.raises(ServerProblem, match="already running"):
            EmbeddedPostgres(root).start()
        assert execute(first, "select 1") == [(1,)]


@pytest.mark.slow
def test_a_pid_file_of_a_dead_server_is_no_obstacle(root: Path) -> None:
    """Not even when its number belongs to another living process of the same account."""
    with EmbeddedPostgres(root):
        pass
    account = server_home.server_account()
    sleeper = bound_command(["/bin/sleep", "60"], signal.SIGKILL, account.pw_name if account else None)
    with subprocess.Popen(sleeper) as process:
        pid_file = root / ".roleta" / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{process.pid}\n{pid_file.parent}\n1\n5432\n\n127.0.0.1\n\nready\n")
        with EmbeddedPostgres(root) as server:
            assert execute(server, "select 1") == [(1,)]
        process.kill()


@pytest.mark.slow
def test_a_first_start_that_broke_off_is_no_obstacle(root: Path) -> None:
    """What a killed initdb left behind is thrown away; nobody had stored anything in it."""
    with EmbeddedPostgres(root):
        pass
    home = root / ".roleta"
    (home / "postgres" / "global" / "pg_control").unlink()
    (home / "postgres").rename(home / "postgres.draft")
    (home / "postgres.password.initdb").write_text("old")
    with EmbeddedPostgres(root) as server:
        assert execute(server, "select 1") == [(1,)]


@pytest.mark.slow
def test_a_port_in_use_is_named(root: Path) -> None:
    """A given port that somebody listens on is one clear line, not a start without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerProblem, match=f"port {port} .* in use"):
            EmbeddedPostgres(root, port=port).start()
    with EmbeddedPostgres(root, port=port) as server:
        assert server.port == port


@pytest.mark.slow
def test_data_of_another_version_is_refused_and_kept(root: Path) -> None:
    """A server never touches data that another major version made."""
    with EmbeddedPostgres(root):
        pass
    version = root / ".roleta" / "postgres" / "PG_VERSION"
    mine = version.read_text()
    version.write_text("14\n")
    with pytest.raises(ServerProblem, match="made by PostgreSQL 14"):
        EmbeddedPostgres(root).start()
    version.write_text(mine)
    with EmbeddedPostgres(root) as server:
        assert execute(server, "select 1") == [(1,)]


@pytest.mark.slow
def test_a_lost_password_file_loses_no_data(root: Path) -> None:
    """Without the file the start says what is missing and makes no new database over the old one."""
    with EmbeddedPostgres(root) as server:
        execute(server, "create table kept ()")
    file = root / ".roleta" / "postgres.password"
    password = file.read_text()
    file.unlink()
    with pytest.raises(ServerProblem, match=r"postgres\.password is missing"):
        EmbeddedPostgres(root).start()
    file.write_text("another")
    with pytest.raises(ServerProblem, match="is not the password"):
        EmbeddedPostgres(root).start()
    file.write_text(password)
    with EmbeddedPostgres(root) as server:
        assert execute(server, "select count(*) from kept") == [(0,)]


@pytest.mark.slow
def test_a_setting_that_is_wrong_is_told_in_postgres_own_words(root: Path) -> None:
    """A server that does not come up shows the line of its log that says why."""
    with pytest.raises(ServerProblem, match="shared_buffers"):
        EmbeddedPostgres(root, settings={"shared_buffers": "many"}).start()
    assert processes_in(root / ".roleta" / "postgres") == []


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line(root: Path) -> None:
    """PostgreSQL's words for a full disk become one line that names the folder."""
    said = 'FATAL:  could not write to file "pg_wal/x": No space left on device\nchild process exited\n'
    assert reason_in(said, root) == f"no space left in {root}: free some and run this again"


@pytest.mark.slow
def test_a_clone_closed_to_others_works_and_stays_closed(root: Path) -> None:
    """Under a folder that only we may enter the server runs all the same, and no folder is opened for it."""
    clone = root / "clone"
    clone.mkdir()
    root.chmod(0o700)
    said: list[str] = []
    outside = server_home._outside(clone)
    try:
        for _ in range(2):
            with EmbeddedPostgres(clone, say=said.append) as server:
                assert execute(server, "select 1") == [(1,)]
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        if os.geteuid() == 0:  # the server is nobody and cannot pass
            assert outside.is_dir() and len(said) == 2 and str(outside) in said[0]
        else:
            assert (clone / ".roleta" / "postgres").is_dir() and said == []
    finally:
        shutil.rmtree(outside, ignore_errors=True)


@pytest.mark.slow
def test_a_folder_that_others_may_write_is_not_used(root: Path) -> None:
    """Data is never put where another account could exchange it."""
    (root / ".roleta").mkdir()
    (root / ".roleta").chmod(0o777)
    with pytest.raises(ServerProblem, match="only you may write"):
        EmbeddedPostgres(root).start()


@pytest.mark.slow
def test_a_folder_made_under_a_loose_umask_is_tightened(root: Path) -> None:
    """A `.roleta` that our group may write (umask 002) is taken, and closed to the group."""
    (root / ".roleta").mkdir()
    (root / ".roleta").chmod(0o775)
    with EmbeddedPostgres(root) as server:
        assert execute(server, "select 1") == [(1,)]
    assert stat.S_IMODE((root / ".roleta").stat().st_mode) == 0o755


@pytest.mark.slow
def test_copied_programs_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package's own folder is closed, a copy of its programs is as good."""
    monkeypatch.setattr(server_home, "OUTSIDE", root)
    programs = server_home._copied_programs(server_home._bundled_programs().resolve())
    assert root in programs.parents
    with EmbeddedPostgres(root, binaries=programs) as server:
        assert execute(server, "select 1") == [(1,)]
    assert server_home._copied_programs(server_home._bundled_programs().resolve()) == programs
