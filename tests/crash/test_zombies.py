"""Workers that are frozen past their leases and then go on, knowing nothing of it."""

from collections import Counter
from functools import partial
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet, RunningWorker
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("rounds", "zombies"),
    [
        pytest.param(1, 3, id="3-zombies", marks=pytest.mark.slow),
        pytest.param(
            2,
            10,
            id="20-zombies-10-at-a-time",
            marks=[pytest.mark.slow, pytest.mark.scoreboard("R4", tier="landing")],
        ),
        pytest.param(7, 3, id="20-zombies", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_wakes_after_its_leases_sends_nothing_again(
    *, db: Database, database_url: str, tmp_path: Path, rounds: int, zombies: int
) -> None:
    """SIGSTOP with messages in hand, SIGCONT after others have settled them: nothing is sent twice, and every
    stale begin is refused, one for each lease that ran out, but for those that got no connection to ask with.
    What a zombie had begun is unknown, and accepted where its answer comes late: that is evidence, no second
    send."""
    # Enough for every worker to have something in hand, however many hold their numbers frozen meanwhile.
    messages = 100 * rounds * max(zombies, 3)
    texts = soak.texts_of(messages)
    stopped_with = 0
    with SimulatorProcess(log=tmp_path / "log", instances=20) as simulator:
        simulator.control("slow", seconds=0.2)
        instances = soak.add_numbers(database_url, simulator)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.started(zombies + 1)
            soak.enqueue_texts(db, instances, texts)
            for done in range(rounds):
                point = 40 + messages // rounds * done
                eventually(partial(soak.has_accepted, simulator, point), 60, f"{point} sent")
                frozen = fleet.running[:zombies]
                stopped_with += sum(_freeze_with_work(database_url, fleet, worker) for worker in frozen)
                for worker in frozen:
                    settled = partial(_holds_nothing, database_url, worker)
                    eventually(settled, 30, f"what {worker.name} held is settled")
                    fleet.thaw(worker)
            soak.wait_until_ended(database_url, 60)
            moves = _moves(database_url)
            refused = eventually(
                partial(_all_refused, fleet, moves["leased -> queued"]), 10, "begins refused"
            )
        verdict = soak.judge(database_url, simulator, texts, left_begun=stopped_with)
    late = moves["unknown -> accepted"]
    print(f"frozen with {stopped_with} in hand; {refused - 1} begins refused, {late} answers came late")
    assert stopped_with >= rounds * zombies
    assert moves["leased -> queued"] + moves["sending -> unknown"] >= rounds * zombies
    verdict.check()


def _freeze_with_work(database_url: str, fleet: Fleet, worker: RunningWorker) -> int:
    """Freeze the worker at a moment at which it holds something; how many messages."""

    def frozen_with() -> int:
        fleet.freeze(worker)
        held = _in_hand(database_url, worker)
        if not held:
            fleet.thaw(worker)
        return held

    return eventually(frozen_with, 30, f"{worker.name} frozen with messages in hand")


def _holds_nothing(database_url: str, worker: RunningWorker) -> bool:
    return _in_hand(database_url, worker) == 0


def _all_refused(fleet: Fleet, leases_lost: int) -> int | None:
    """One more than the begins that were refused, once there is one for each lease that ran out, or word that
    it could not be asked."""
    said = fleet.said()
    refused, unasked = (
        said.count("the lease is no longer held"),
        said.count("every database connection is busy"),
    )
    assert refused <= leases_lost, "a begin was refused although its lease was held"
    return refused + 1 if refused + unasked >= leases_lost else None


def _moves(database_url: str) -> Counter[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select concat(from_state, ' -> ', to_state), count(*) from messaging.history group by 1"
        ).fetchall()
    return Counter(dict(rows))


def _in_hand(database_url: str, worker: RunningWorker) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.outbox"
            " where changed_by = %s and dispatch_state in ('leased', 'sending')",
            [worker.name],
        ).fetchone()
    assert row is not None
    return int(row[0])
