"""Worker processes of the product (`roleta work`): start, kill, stop, freeze, drain. None outlives us."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg

from scripts.bound_process import bound_command
from scripts.soak.surroundings import own_environment
from scripts.soak.waiting import eventually
from shared.errors import RoletaError

ROOT = Path(__file__).resolve().parents[2]
READY_S = 30.0
# A worker must not need more rights than Supabase's service_role has.
AS_SERVICE_ROLE = "?options=-c%20role%3Dservice_role"


class Process(Protocol):
    """What a fleet needs of a worker's process: subprocess.Popen has it."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class RunningWorker:
    """One life of one worker; its name is never used again."""

    name: str
    process: Process
    log: Path

    def said(self) -> str:
        """Everything it has logged so far."""
        return self.log.read_text(errors="replace")


class WorkerEnded(RoletaError):
    """A worker ended that should be at work."""


class Fleet:
    """`with Fleet(database_url, provider_url) as fleet`: what still runs at the end is killed. From the main
    thread: a worker dies with the thread that started it."""

    def __init__(
        self,
        database_url: str,
        provider_url: str,
        settings: Mapping[str, str] | None = None,
        *,
        cut_off_after_ms: int = 0,
    ) -> None:
        """`settings`: further variables of the workers' environment, such as ROLETA_MAX_IN_FLIGHT.
        `cut_off_after_ms`: their statement timeout, as hosted databases have one; 0 is none."""
        self._database_url = database_url
        self._environment = {
            **own_environment(),
            "DATABASE_URL": database_url
            + AS_SERVICE_ROLE
            + f"%20-c%20statement_timeout%3D{cut_off_after_ms}",
            "ROLETA_ZAPI_BASE_URL": provider_url,
            **(settings or {}),
        }
        self._folder = tempfile.TemporaryDirectory(prefix="roleta-fleet-")
        self._lives = 0
        self._begun: set[str] = set()
        self.running: list[RunningWorker] = []
        self.ended: list[RunningWorker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.running:
            worker.process.kill()
            worker.process.wait()
        if isinstance(error, Exception):
            for worker in [*self.ended, *self.running]:
                print(f"--- {worker.name}, its last lines\n{worker.said()[-1500:]}")
        self._folder.cleanup()

    def start(self, how_many: int = 1) -> list[RunningWorker]:
        """Start workers without waiting for them."""
        return [self._start_one() for _ in range(how_many)]

    def started(self, how_many: int) -> list[RunningWorker]:
        """Start workers and wait until each is at work."""
        workers = self.start(how_many)
        for worker in workers:
            eventually(partial(self.is_at_work, worker), READY_S, f"{worker.name} at work")
        return workers

    def is_at_work(self, worker: RunningWorker) -> bool:
        """Whether it has begun to claim; fails at once where it has ended."""
        if worker.process.poll() is not None:
            raise WorkerEnded(f"{worker.name} ended: {worker.said()[-1500:]}")
        if worker.name not in self._begun and '"started"' in worker.said():
            self._begun.add(worker.name)
        return worker.name in self._begun

    def at_work(self) -> list[RunningWorker]:
        """Those that have begun to claim."""
        return [worker for worker in self.running if self.is_at_work(worker)]

    def kill(self, worker: RunningWorker) -> list[int]:
        """kill -9. The messages of the attempts that it had begun and not recorded, as the database has them.

        What it had asked of the server before it died still happens: counted when its connections are gone.
        """
        worker.process.kill()
        worker.process.wait()
        self._retire(worker)
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            eventually(
                lambda: not _connections(connection, worker), 30, f"the connections of {worker.name} gone"
            )
            left = connection.execute(
                "select a.message_id from messaging.attempts as a where a.worker = %s and a.outcome is null",
                [worker.name],
            )
            return [message_id for (message_id,) in left.fetchall()]

    def ask_to_stop(self, worker: RunningWorker) -> None:
        """SIGTERM, without waiting."""
        worker.process.send_signal(signal.SIGTERM)

    def wait_for_end(self, worker: RunningWorker, timeout: float) -> int:
        """Its exit code; subprocess.TimeoutExpired where it takes longer."""
        code = worker.process.wait(timeout)
        self._retire(worker)
        return code

    def freeze(self, worker: RunningWorker) -> None:
        """SIGSTOP: as a virtual machine that is paused."""
        worker.process.send_signal(signal.SIGSTOP)

    def thaw(self, worker: RunningWorker) -> None:
        """SIGCONT: it goes on where it was, knowing nothing."""
        worker.process.send_signal(signal.SIGCONT)

    def said(self) -> str:
        """What all workers, ended ones too, have logged."""
        return "".join(worker.said() for worker in [*self.ended, *self.running])

    def _start_one(self) -> RunningWorker:
        self._lives += 1
        name = f"worker-{self._lives}"
        log = Path(self._folder.name, f"{name}.log")
        log.touch()
        worker = RunningWorker(name, self._begin(["work", "--name", name], log), log)
        self.running.append(worker)
        return worker

    def _begin(self, words: Sequence[str], log: Path) -> Process:
        """A process that runs `roleta` with these words, and dies with us."""
        with log.open("ab") as output:
            return subprocess.Popen(
                bound_command([sys.executable, "-P", "-m", "scripts.cli", *words], signal.SIGKILL),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for whoever started them
            )

    def _retire(self, worker: RunningWorker) -> None:
        self.running.remove(worker)
        self.ended.append(worker)


def _connections(connection: psycopg.Connection[Any], worker: RunningWorker) -> int:
    row = connection.execute(
        "select count(*) from pg_catalog.pg_stat_activity where application_name = %s",
        [f"roleta work {worker.name}"],
    ).fetchone()
    return int(row[0]) if row else 0
