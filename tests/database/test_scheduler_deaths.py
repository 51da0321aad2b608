"""Runs that fail, whose worker is killed, or whose database goes away: recorded, and run again."""

import multiprocessing
import threading
from multiprocessing.connection import Connection
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.db import Database
from shared.errors import DatabaseUnavailable, InvalidInput
from shared.scheduler import LEASE_S, latest_runs
from tests.database.scheduling import DAILY, OFTEN, Runs, scheduler
from tests.database.world import BentClock


@pytest.fixture
def runs() -> Runs:
    """Nothing has run."""
    return Runs()


def _tick_and_hang(database_url: str, told: Connection) -> None:
    def hang(_slug: str, run_id: str) -> dict[str, object]:
        told.send(run_id)
        threading.Event().wait()
        return {}

    with Database(database_url) as db:
        scheduler(db, hang, DAILY).tick("a worker that dies")


def test_a_run_whose_worker_is_killed_is_run_by_another(
    db: Database, database_url: str, bent_clock: BentClock, runs: Runs
) -> None:
    """kill -9 in the middle of a run: not before the lease's end, then once, under the same run id."""
    worker = scheduler(db, runs, DAILY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_tick_and_hang, args=(database_url, its))
    process.start()
    try:
        assert ours.poll(60), "the other process took no run"
        run_id = ours.recv()
        assert worker.tick("w1") == 0
    finally:
        process.kill()
        process.join(20)
    bent_clock.forward(LEASE_S - 1)
    assert worker.tick("w1") == 0
    bent_clock.forward(61)
    assert [worker.tick("w1"), worker.tick("w1")] == [1, 0]
    assert runs.ids == [run_id]
    last = latest_runs(db)["scheduled-checkin"]
    assert (last.run_state, last.worker, last.taken_count) == ("done", "w1", 2)


def test_a_run_that_fails_is_recorded_and_tried_again(
    db: Database, bent_clock: BentClock, runs: Runs
) -> None:
    """The error that a person can read is kept; the second try, a lease later, ends it well."""
    fails = [True]

    def run(slug: str, run_id: str) -> dict[str, object]:
        if fails.pop() if fails else False:
            raise InvalidInput("there is no number: add one")
        return runs(slug, run_id)

    worker = scheduler(db, run, DAILY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    assert worker.tick("w1") == 1
    last = latest_runs(db)["scheduled-checkin"]
    assert (last.run_state, last.error) == ("waiting", "there is no number: add one")
    bent_clock.forward(LEASE_S)
    assert worker.tick("w1") == 1
    assert latest_runs(db)["scheduled-checkin"].run_state == "done"


def test_a_defect_of_one_function_stops_no_other(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """Its kind is kept, its text, which may hold a person's words, only in the worker's log."""

    def run(slug: str, run_id: str) -> dict[str, object]:
        if slug == "scheduled-checkin":
            raise KeyError("Ana disse que está triste")
        return runs(slug, run_id)

    worker = scheduler(db, run, DAILY, OFTEN)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    with capture_logs() as logged:
        assert worker.tick("w1") == 2
    assert [slug for slug, _ in runs.done] == ["session-reminder"]
    error = latest_runs(db)["scheduled-checkin"].error or ""
    assert error.startswith("KeyError")
    assert "Ana" not in error
    assert [each["event"] for each in logged if each["log_level"] == "error"] == ["run.failed"]


@pytest.mark.parametrize("answer", [{"at": object()}, {"mean": float("nan")}, 3])
def test_an_answer_that_is_no_json_is_a_failure(db: Database, bent_clock: BentClock, answer: Any) -> None:
    """As it would be for an HTTP caller."""
    worker = scheduler(db, lambda _slug, _run_id: answer, DAILY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    with capture_logs():
        assert worker.tick("w1") == 1
    assert latest_runs(db)["scheduled-checkin"].run_state == "waiting"


def test_a_database_that_goes_away_during_a_run_leaves_it_to_be_taken_again(
    db: Database, database_url: str, bent_clock: BentClock, runs: Runs
) -> None:
    """The end cannot be recorded: the worker says so, and after the lease another one runs it again."""
    gone = Database(database_url)

    def run(_slug: str, _run_id: str) -> dict[str, object]:
        gone.close()
        return {}

    worker, other = scheduler(gone, run, DAILY), scheduler(db, runs, DAILY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    with pytest.raises(DatabaseUnavailable):
        worker.tick("w1")
    assert other.tick("w2") == 0
    bent_clock.forward(LEASE_S)
    assert other.tick("w2") == 1


def test_a_run_that_outlives_its_lease_is_told_that_it_was_lost(
    db: Database, database_url: str, bent_clock: BentClock, runs: Runs
) -> None:
    """Another worker has run the slot meanwhile; the late end changes nothing and is logged."""
    other = scheduler(db, runs, DAILY)

    def run(_slug: str, _run_id: str) -> dict[str, object]:
        bent_clock.forward(LEASE_S)
        assert other.tick("w2") == 1
        raise InvalidInput("too late to matter")

    worker = scheduler(db, run, DAILY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    with capture_logs() as logged:
        worker.tick("w1")
    assert "run.lost" in [each["event"] for each in logged]
    last = latest_runs(db)["scheduled-checkin"]
    assert (last.run_state, last.error, last.worker) == ("done", None, "w2")
