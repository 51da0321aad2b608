"""Workers killed with kill -9 while the provider misbehaves: nothing lost, nothing twice. The judge is the
simulator's log on disk."""

from pathlib import Path

import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet


@pytest.mark.parametrize(
    ("messages", "numbers", "workers", "kills", "in_flight"),
    [
        pytest.param(300, 20, 4, 3, 8, id="quick"),
        pytest.param(
            10_000,
            120,
            8,
            20,
            16,
            id="10k",
            marks=[pytest.mark.slow, pytest.mark.scoreboard("R2", tier="landing")],
        ),
    ],
)
def test_kills_under_faults_lose_nothing_and_send_nothing_twice(
    *,
    db: Database,
    database_url: str,
    tmp_path: Path,
    messages: int,
    numbers: int,
    workers: int,
    kills: int,
    in_flight: int,
) -> None:
    """10 % provider faults of six kinds and kill -9 of workers at random: lost 0, sent twice 0, unexpected 0,
    unknown at most the ambiguous faults plus the attempts begun and not recorded at the kills."""
    seed = 20
    texts = soak.texts_of(messages)
    with SimulatorProcess(log=tmp_path / "log", instances=numbers) as simulator:
        simulator.control("faults", rate=0.1, seed=seed, hang_s=6.0)
        simulator.control("slow", seconds=0.05)
        # Long enough that on a busy machine no send but a faulty one outlasts it.
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=4.0)
        soak.enqueue_texts(db, instances, texts)
        with Fleet(database_url, simulator.base_url, {"ROLETA_MAX_IN_FLIGHT": str(in_flight)}) as fleet:
            fleet.start(workers)
            left = soak.kill_along_the_way(
                fleet, simulator, kills=kills, messages=messages, seed=seed, timeout=120
            )
            soak.wait_until_ended(database_url, 180)
        verdict = soak.judge(database_url, simulator, texts, left_begun=len(left))
        assert simulator.complaints() == ""
    verdict.check()
