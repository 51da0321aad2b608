"""The scheduler over a real database: several workers, one run a slot. Failures: test_scheduler_deaths.py."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest

from shared.db import Database
from shared.rest import RestDatabase
from shared.scheduler import latest_runs
from tests.contract.postgrest_server import SERVICE_KEY, postgrest_server
from tests.database.scheduling import DAILY, OFTEN, WEEKLY, Runs, scheduler
from tests.database.world import BentClock


@pytest.fixture
def runs() -> Runs:
    """Nothing has run."""
    return Runs()


@pytest.fixture
def databases(database_url: str) -> Iterator[Callable[[], Database]]:
    """Call it for one more pool over the same database."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Database(database_url, max_size=2))


def test_four_workers_run_each_slot_once(
    databases: Callable[[], Database], bent_clock: BentClock, runs: Runs
) -> None:
    """Released together at each of 24 moments: every slot of two functions has one run, all told 24."""
    workers = [scheduler(databases(), runs, OFTEN, ("periodic-content", "*/10 * * * *")) for _ in range(4)]
    for worker in workers:
        worker.tick("first look")
    took = 0
    with ThreadPoolExecutor(4) as pool:
        for _ in range(16):
            bent_clock.forward(300)
            took += sum(pool.map(lambda worker: worker.tick("w"), workers))
    assert took == len(runs.done) == len(set(runs.done)) == 24


def test_a_first_installation_runs_no_past_slot(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """At 12:00 the slot of 11:00 is not made up for; the next day's runs, a minute late or not."""
    worker = scheduler(db, runs, DAILY, WEEKLY)
    assert worker.tick("w1") == 0
    bent_clock.move_to("2025-06-11 11:01:00-03")
    assert worker.tick("w1") == 1
    assert runs.done == [("scheduled-checkin", "scheduled-checkin:2025-06-11T14:00Z")]


def test_a_weekly_function_runs_in_its_first_week(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """It is noted when the worker starts, not when its first slot comes (which would then be missed)."""
    worker = scheduler(db, runs, WEEKLY)
    worker.tick("w1")
    bent_clock.move_to("2025-06-15 19:00:03-03")
    assert scheduler(db, runs, WEEKLY).tick("w2") == 1
    assert runs.ids == ["weekly-report:2025-06-15T22:00Z"]


def test_three_days_away_are_one_run_each(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """The newest slot of each function, if it is less than a day old; nothing for Sunday's on Tuesday."""
    before = scheduler(db, runs, OFTEN, DAILY, WEEKLY)
    before.tick("w1")
    bent_clock.move_to("2025-06-14 23:58:00-03")
    before.tick("w1")
    runs.done.clear()
    bent_clock.move_to("2025-06-17 23:58:00-03")
    for worker in (before, scheduler(db, runs, OFTEN, DAILY, WEEKLY)):
        worker.tick("w")
        worker.tick("w")
    assert runs.ids == ["session-reminder:2025-06-18T02:55Z", "scheduled-checkin:2025-06-17T14:00Z"]


def test_two_functions_at_one_moment_both_run(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """One after the other in one worker, in the order of the file."""
    worker = scheduler(db, runs, DAILY, OFTEN)
    worker.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    assert worker.tick("w1") == 2
    assert [slug for slug, _ in runs.done] == ["scheduled-checkin", "session-reminder"]


def test_a_run_of_one_worker_does_not_hold_up_another_function(
    databases: Callable[[], Database], bent_clock: BentClock, runs: Runs
) -> None:
    """While one worker is at a long run, a second one takes the rest."""
    begun, go_on = threading.Event(), threading.Event()

    def long_run(slug: str, run_id: str) -> dict[str, object]:
        begun.set()
        assert go_on.wait(20)
        return runs(slug, run_id)

    busy, free = scheduler(databases(), long_run, DAILY, OFTEN), scheduler(databases(), runs, DAILY, OFTEN)
    busy.tick("w1")
    bent_clock.move_to("2025-06-11 11:00:00-03")
    with ThreadPoolExecutor(1) as pool:
        ticking = pool.submit(busy.tick, "w1")
        assert begun.wait(20)
        assert free.tick("w2") == 1
        assert runs.done == [("session-reminder", "session-reminder:2025-06-11T14:00Z")]
        go_on.set()
        assert ticking.result(20) == 1


def test_a_worker_that_is_told_to_stop_begins_no_more(
    db: Database, bent_clock: BentClock, runs: Runs
) -> None:
    """It ends the run that it is at; the rest is left to others."""
    stop = threading.Event()

    def run(slug: str, run_id: str) -> dict[str, object]:
        stop.set()
        return runs(slug, run_id)

    worker = scheduler(db, run, DAILY, OFTEN)
    worker.tick("w1", stop.is_set)
    bent_clock.move_to("2025-06-11 11:00:00-03")
    assert worker.tick("w1", stop.is_set) == 1
    assert scheduler(db, runs, DAILY, OFTEN).tick("w2") == 1
    assert [slug for slug, _ in runs.done] == ["scheduled-checkin", "session-reminder"]


def test_a_clock_that_goes_back_makes_no_second_run(db: Database, bent_clock: BentClock, runs: Runs) -> None:
    """In a zone that turns its clock back 01:30 runs once that night, whichever worker looks."""
    bent_clock.move_to("2025-11-01 12:00:00-04")
    zone = "America/New_York"
    worker = scheduler(db, runs, ("weekly-report", "30 1 * * *"), zone=zone)
    worker.tick("w1")
    bent_clock.move_to("2025-11-02 00:29:30-05")
    for _ in range(8):
        bent_clock.forward(600)
        worker.tick("w1")
        scheduler(db, runs, ("weekly-report", "30 1 * * *"), zone=zone).tick("w2")
    assert runs.ids == ["weekly-report:2025-11-02T05:30Z"]


@pytest.mark.xdist_group("rest")  # one process alone pays for importing supabase
def test_the_scheduler_runs_over_postgrest(database_url: str, bent_clock: BentClock, runs: Runs) -> None:
    """With the service key alone: takes, records and tells as over a connection."""
    with postgrest_server(database_url) as url:
        rest = RestDatabase(url, SERVICE_KEY)
        worker = scheduler(rest, runs, DAILY)
        assert worker.tick("w1") == 0
        bent_clock.move_to("2025-06-11 11:00:00-03")
        assert [worker.tick("w1"), worker.tick("w1")] == [1, 0]
        last = latest_runs(rest)["scheduled-checkin"]
        rest.close()
    assert (last.run_state, last.answer, last.run_id) == ("done", {"status": "success"}, runs.ids[0])
    assert last.slot_at is not None
    assert last.finished_at is not None
    assert last.finished_at - last.slot_at == timedelta()
