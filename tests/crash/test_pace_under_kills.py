"""The pace of a number holds across workers, functions and kills, on the provider's own log."""

import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet

GAP_MIN_S, GAP_MAX_S = 0.25, 0.45
# Database and simulator read one clock of one machine; this is the rounding of their seconds.
CLOCK_ROUNDING_S = 0.001


@pytest.mark.parametrize(
    ("paced", "workers", "kills"),
    [
        pytest.param(150, 8, 2, id="small", marks=pytest.mark.slow),
        pytest.param(3_000, 8, 20, id="issue-2", marks=pytest.mark.slow),
    ],
)
def test_no_two_paced_sends_of_a_number_are_closer_than_its_minimum(
    *, db: Database, database_url: str, tmp_path: Path, paced: int, workers: int, kills: int
) -> None:
    """8 workers, 20 numbers, welcome, direct and bulk messages enqueued at once with answers between them,
    workers killed and replaced: acceptances of two paced messages of a number lie at least its smallest gap
    apart. Provable on the provider's log: the gap counts from the record, which follows the first acceptance,
    to the begin, which precedes the second."""
    with SimulatorProcess(log=tmp_path / "log", instances=20) as simulator:
        simulator.control("slow", seconds=0.05)
        # Time enough for a busy machine: a timeout is an unknown too, and here only kills may make one.
        instances = soak.add_numbers(
            database_url, simulator, gaps_s=(GAP_MIN_S, GAP_MAX_S), send_timeout_s=10.0
        )
        _allow_bulk(database_url)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.start(workers)
            producers = _start_producers(db, instances, paced // 3)
            left = soak.kill_along_the_way(fleet, simulator, kills=kills, messages=paced, seed=7, timeout=60)
            texts = [text for producer in producers for text in producer.result()]
            soak.wait_until_ended(database_url, 120)
        verdict = soak.judge(database_url, simulator, texts, left_begun=len(left))
        accepted = simulator.accepted()
    gaps = soak.gaps_between([line for line in accepted if not line["text"].startswith("answer")])
    print(f"{len(gaps)} gaps between paced acceptances, the smallest {min(gaps):.4f} s; {kills} kills")
    assert min(gaps) >= GAP_MIN_S - CLOCK_ROUNDING_S
    verdict.check()


class _Producer(threading.Thread):
    """One function of the app that enqueues by itself; `result` raises what went wrong there."""

    def __init__(self, enqueue: Callable[[], list[str]]) -> None:
        super().__init__(daemon=True)
        self._enqueue = enqueue
        self._texts: list[str] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._texts = self._enqueue()
        except BaseException as error:
            self._error = error

    def result(self) -> list[str]:
        """The texts that it enqueued."""
        self.join(60)
        assert not self.is_alive(), "a producer did not end"
        if self._error is not None:
            raise self._error
        return self._texts


def _start_producers(db: Database, instances: Sequence[UUID], each: int) -> list[_Producer]:
    return [
        _Producer(lambda: _welcome(db, each)),
        _Producer(lambda: _one_by_one(db, instances, "direct", each, 1_000_000)),
        _Producer(lambda: _in_lists(db, instances, each)),
        _Producer(lambda: _one_by_one(db, instances, "answer", each // 2, 3_000_000)),
    ]


def _welcome(db: Database, how_many: int) -> list[str]:
    texts = soak.texts_of(how_many, "welcome")
    for index, text in enumerate(texts):
        db.call_one(
            "messaging.sign_up",
            p_name="Ana",
            p_phone=f"55219{90_000_000 + index:08d}",
            p_email=None,
            p_welcome_text=text,
            p_enqueued_by="start-trial",
        )
    return texts


def _one_by_one(
    db: Database, instances: Sequence[UUID], purpose: str, how_many: int, first_phone: int
) -> list[str]:
    random_ = random.Random(purpose)
    texts = soak.texts_of(how_many, purpose)
    for index, text in enumerate(texts):
        soak.enqueue_texts(
            db, [random_.choice(instances)], [text], purpose=purpose, first_phone=first_phone + index
        )
    return texts


def _in_lists(db: Database, instances: Sequence[UUID], how_many: int) -> list[str]:
    texts = soak.texts_of(how_many, "campaign")
    for start in range(0, how_many, 10):
        soak.enqueue_texts(
            db, instances, texts[start : start + 10], purpose="campaign", first_phone=2_000_000 + start
        )
    return texts


def _allow_bulk(database_url: str) -> None:
    """A bulk purpose of this test's own: the first handlers have none."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into messaging.purposes (purpose, lane, quiet_hours, expires_after)"
            " values ('campaign', 'bulk', false, '6 hours')"
        )
