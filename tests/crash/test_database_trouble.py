"""The database answers, but cuts statements off (timeouts, deadlocks): that costs time, never a worker or an
outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import comes, eventually

pytestmark = pytest.mark.slow


def test_a_worker_outlives_claims_that_the_database_cuts_off(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """While a migration holds the senders, every claim runs into the statement timeout; the worker stays,
    asks again, and sends when the lock is gone."""
    texts = soak.texts_of(10)
    with SimulatorProcess(log=tmp_path / "log", instances=2) as simulator:
        instances = soak.add_numbers(database_url, simulator)
        with Fleet(database_url, simulator.base_url, cut_off_after_ms=300) as fleet:
            (worker,) = fleet.started(1)
            with _locked(database_url, "messaging.senders") as waiters:
                eventually(lambda: waiters.seen("messaging.claim") >= 3, 20, "claims, each cut off")
            soak.enqueue_texts(db, instances, texts)
            soak.wait_until_ended(database_url, 20)
            assert fleet.is_at_work(worker)
        verdict = soak.judge(database_url, simulator, texts)
    assert verdict.states == {"accepted": len(texts)}
    verdict.check()


def test_an_outcome_is_recorded_although_the_database_cut_off_the_first_try(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """The provider accepted, and the statement that records it is cut off: the worker asks again, and the
    message is accepted, not unknown."""
    texts = soak.texts_of(2)
    with SimulatorProcess(log=tmp_path / "log", instances=2) as simulator:
        simulator.control("slow", seconds=1.5)
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=10)
        with Fleet(database_url, simulator.base_url, cut_off_after_ms=300) as fleet:
            fleet.started(1)
            soak.enqueue_texts(db, instances, texts)
            eventually(partial(soak.has_accepted, simulator, len(texts)), 20, "both accepted")
            with _locked(database_url, "messaging.senders") as waiters:
                again = len(texts) + 1
                assert comes(lambda: waiters.seen("messaging.record_attempt") >= again, within_s=8)
            soak.wait_until_ended(database_url, 30)
        verdict = soak.judge(database_url, simulator, texts)
    assert verdict.states == {"accepted": len(texts)}
    verdict.check()


class Waiters:
    """The statements that were seen waiting for a lock."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._seen: set[tuple[Any, ...]] = set()

    def seen(self, function: str) -> int:
        """How many different calls of this one function have waited so far; call it often."""
        quoted = ".".join(f'"{part}"' for part in function.split("."))
        waiting = self._connection.execute(
            "select pid, query_start from pg_catalog.pg_stat_activity"
            " where wait_event_type = 'Lock' and strpos(query, %s) > 0",
            [quoted],
        )
        self._seen.update(waiting.fetchall())
        return len(self._seen)


@contextmanager
def _locked(database_url: str, table: str) -> Iterator[Waiters]:
    """Holds the table as a migration would; who waits for it is counted meanwhile."""
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url, autocommit=True) as watcher:
        holder.execute(f"lock table {table} in access exclusive mode".encode())
        yield Waiters(watcher)
