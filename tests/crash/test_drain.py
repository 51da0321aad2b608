"""SIGTERM: what is in flight ends and is recorded, nothing more is taken, the process goes."""

import time
from functools import partial
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet, RunningWorker
from tests.waiting import eventually

pytestmark = pytest.mark.slow

EXIT_LIMIT_S = 10.0
PEOPLE = 3_000
_PEOPLE = """
    insert into public.profiles (user_id, name, phone, status)
    select gen_random_uuid(), 'Person ' || n, '55119' || lpad(n::text, 8, '0'), 'active'
    from generate_series(1, %(people)s::integer) as n
"""
_THEY_WRITE = """
    select count(e.event_id) from public.profiles as p
    cross join lateral messaging.accept_event(
        %(instance)s, 'event ' || p.phone, 'message', '{}'::jsonb, p.phone, 'oi', 'text', p_debounce_s => 0
    ) as e
"""


def test_sigterm_lets_sends_end_and_leaves_nothing_unknown(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """Workers stopped while every send takes 1 s: each exits with 0 within 10 s, with no attempt of theirs
    open, no lease left and nothing unknown; what they had not taken goes out by the next worker, once."""
    texts = soak.texts_of(80)
    with SimulatorProcess(log=tmp_path / "log", instances=20) as simulator:
        simulator.control("slow", seconds=1.0)
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=5)
        with Fleet(database_url, simulator.base_url) as fleet:
            workers = fleet.started(2)
            soak.enqueue_texts(db, instances, texts)
            for worker in workers:
                eventually(partial(_begun, database_url, worker), what="sends in flight")
            for worker in workers:
                fleet.ask_to_stop(worker)
            asked_at = time.monotonic()
            codes = [fleet.wait_for_end(worker, EXIT_LIMIT_S) for worker in workers]
            took_s = time.monotonic() - asked_at
            after_stop = soak.states(database_url)
            simulator.control("slow", seconds=0)
            fleet.start()
            soak.wait_until_ended(database_url, 60)
        verdict = soak.judge(database_url, simulator, texts)
    print(f"stopped after {took_s:.1f} s with {dict(after_stop)}")
    assert codes == [0, 0]
    assert took_s <= EXIT_LIMIT_S
    assert set(after_stop) == {"accepted", "queued"}
    assert verdict.states == {"accepted": len(texts)}
    verdict.check()


@pytest.mark.parametrize(
    ("deployments", "at_once"),
    [
        pytest.param(4, 1, id="4-drains"),
        pytest.param(25, 2, id="50-drains", marks=pytest.mark.scoreboard("R19", tier="landing")),
    ],
)
def test_workers_replaced_in_deployments_leave_nothing_unknown(
    *, db: Database, database_url: str, tmp_path: Path, deployments: int, at_once: int
) -> None:
    """In each, so many of four workers are told to stop with sends in flight, and others take their places.
    Every one exits with 0 within 10 s, and nothing is unknown, left leased, lost or doubled."""
    texts: list[str] = []
    took_s: list[float] = []
    with SimulatorProcess(log=tmp_path / "log", instances=60) as simulator:
        simulator.control("slow", seconds=1.0)
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=8)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.started(4)
            for deployment in range(deployments):
                more = soak.texts_of(40 * at_once, f"deployment {deployment}")
                soak.enqueue_texts(db, instances, more, first_phone=len(texts))
                texts += more
                workers = eventually(
                    partial(_with_work, database_url, fleet, at_once), 60, "workers with sends in flight"
                )
                for worker in workers:
                    fleet.ask_to_stop(worker)
                asked_at = time.monotonic()
                fleet.start(at_once)
                for worker in workers:
                    assert fleet.wait_for_end(worker, EXIT_LIMIT_S) == 0
                    assert _begun(database_url, worker) == _held(database_url, worker) == 0
                took_s.append(time.monotonic() - asked_at)
            simulator.control("slow", seconds=0)
            soak.wait_until_ended(database_url, 120)
        verdict = soak.judge(database_url, simulator, texts)
    print(f"{deployments * at_once} drains, the longest {max(took_s):.1f} s")
    assert max(took_s) <= EXIT_LIMIT_S
    assert verdict.states == {"accepted": len(texts)}
    verdict.check()


def test_sigterm_does_not_wait_for_everybody_to_be_answered(*, database_url: str, tmp_path: Path) -> None:
    """3,000 people wait for an answer when a worker is stopped: it ends the turn in hand and goes in 10 s;
    the others wait for the next worker, none is lost."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator:
        (instance,) = soak.add_numbers(database_url, simulator)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(_PEOPLE, {"people": PEOPLE})
            connection.execute(_THEY_WRITE, {"instance": instance})
            with Fleet(database_url, simulator.base_url) as fleet:
                (worker,) = fleet.started(1)
                fleet.ask_to_stop(worker)
                assert fleet.wait_for_end(worker, EXIT_LIMIT_S) == 0
            found = connection.execute(
                "select (select count(*) from messaging.turns), count(*) from messaging.outbox"
            ).fetchone()
    assert found is not None
    waiting, answered = found
    assert waiting > 0
    assert waiting + answered == PEOPLE


def _with_work(database_url: str, fleet: Fleet, how_many: int) -> list[RunningWorker] | None:
    """So many workers that have sends in flight."""
    busy = [worker for worker in fleet.at_work() if _begun(database_url, worker)]
    return busy[:how_many] if len(busy) >= how_many else None


def _held(database_url: str, worker: RunningWorker) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.outbox"
            " where changed_by = %s and dispatch_state in ('leased', 'sending')",
            [worker.name],
        ).fetchone()
    assert row is not None
    return int(row[0])


def _begun(database_url: str, worker: RunningWorker) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.attempts where worker = %s and outcome is null", [worker.name]
        ).fetchone()
    assert row is not None
    return int(row[0])
