"""Schedulers for tests: what ran, and a worker's own scheduler over any database."""

import threading

from shared import log
from shared.db import Calls
from shared.scheduler import Run, Scheduler

SAO_PAULO = "America/Sao_Paulo"
OFTEN = ("session-reminder", "*/5 * * * *")
DAILY = ("scheduled-checkin", "0 11 * * *")
WEEKLY = ("weekly-report", "0 19 * * 0")


class Runs:
    """What ran: (slug, run id) in order, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done: list[tuple[str, str]] = []

    def __call__(self, slug: str, run_id: str) -> dict[str, object]:
        with self._lock:
            self.done.append((slug, run_id))
        return {"status": "success"}

    @property
    def ids(self) -> list[str]:
        """The run ids alone."""
        return [run_id for _, run_id in self.done]


def scheduler(db: Calls, run: Run, *entries: tuple[str, str], zone: str = SAO_PAULO) -> Scheduler:
    """A worker's own scheduler."""
    return Scheduler(entries, time_zone=zone, db=db, run=run, log=log.get())
