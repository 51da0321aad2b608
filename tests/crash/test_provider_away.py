"""The provider cannot be reached at all: nothing is lost or guessed, and all goes out when it is back."""

from functools import partial
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually


@pytest.mark.slow
def test_messages_stay_queued_while_the_provider_is_away_and_go_when_it_is_back(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """Connection refused is "not sent": the messages stay in the queue with their attempts told, no number is
    halted or called disconnected, and once the provider answers each goes out once."""
    texts = soak.texts_of(40)
    with SimulatorProcess(log=tmp_path / "log", instances=4) as simulator:
        port = int(simulator.base_url.rpartition(":")[2])
        # A real pace, scaled: without any gap the attempts would only be more.
        instances = soak.add_numbers(database_url, simulator, gaps_s=(0.05, 0.1))
    soak.enqueue_texts(db, instances, texts)
    with Fleet(database_url, f"http://127.0.0.1:{port}") as fleet:
        fleet.started(2)
        eventually(lambda: _attempts(database_url, "not_sent") >= 12, 30, "attempts at the absent provider")
        while_away = soak.states(database_url)
        numbers = _fitness(database_url)
        with SimulatorProcess(log=tmp_path / "log", instances=4, port=port) as simulator:
            final = soak.wait_until_ended(database_url, 60)
            verdict = soak.judge(database_url, simulator, texts)
    assert set(while_away) <= {"queued", "leased", "sending"}
    assert numbers == {("active", None)}
    assert final == {"accepted": len(texts)}
    verdict.check()


@pytest.mark.slow
def test_a_provider_that_goes_away_in_mid_run_leaves_no_double(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """The provider's process ends while it is being sent to: what was on the wire is unknown, the rest waits
    and goes out once when it is back."""
    texts = soak.texts_of(200)
    with SimulatorProcess(log=tmp_path / "log", instances=10) as simulator:
        port = int(simulator.base_url.rpartition(":")[2])
        simulator.control("slow", seconds=0.1)
        instances = soak.add_numbers(database_url, simulator, gaps_s=(0.05, 0.1))
        soak.enqueue_texts(db, instances, texts)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.started(2)
            eventually(partial(soak.has_accepted, simulator, 50), 30, "50 acceptances")
            simulator.stop()
            eventually(
                lambda: _attempts(database_url, "not_sent") >= 5, 30, "attempts at the absent provider"
            )
            with SimulatorProcess(log=tmp_path / "log", instances=10, port=port) as again:
                soak.wait_until_ended(database_url, 60)
                # One paced message of each number can have been on the wire.
                verdict = soak.judge(database_url, again, texts, left_begun=len(instances))
    verdict.check()


def _attempts(database_url: str, outcome: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.attempts where outcome = %s", [outcome]
        ).fetchone()
    assert row is not None
    return int(row[0])


def _fitness(database_url: str) -> set[tuple[str, str | None]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select distinct status, halted_reason from public.whatsapp_instances")
        return set(rows.fetchall())
