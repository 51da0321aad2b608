"""PostgreSQL stopped without warning in the middle of a run, and started again on the same data."""

from functools import partial
from pathlib import Path

import pytest

from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.migrate import apply_all
from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually

WORKERS, NUMBERS = 4, 20
BACK_WITHIN_S = 10.0


@pytest.mark.parametrize(
    ("messages", "stops"),
    [
        pytest.param(
            400, 1, id="small", marks=[pytest.mark.slow, pytest.mark.scoreboard("R5", tier="landing")]
        ),
        pytest.param(5_000, 5, id="five-stops", marks=pytest.mark.slow),
    ],
)
def test_an_immediate_stop_of_the_database_loses_nothing_and_sends_nothing_twice(
    *, server_folder: Path, tmp_path: Path, messages: int, stops: int
) -> None:
    """SIGQUIT to PostgreSQL while workers send, then a start on the same data (with fsync on): the workers
    go on by themselves within 10 s, nothing is lost or doubled, and at most what was in flight is unknown."""
    texts = soak.texts_of(messages)
    server = EmbeddedPostgres(server_folder)
    server.start()
    try:
        bootstrap_supabase(server.url)
        apply_all(server.url, say=lambda _: None)
        with SimulatorProcess(log=tmp_path / "log", instances=NUMBERS) as simulator:
            simulator.control("slow", seconds=0.05)
            instances = soak.add_numbers(server.url, simulator, send_timeout_s=2.0)
            with Database(server.url) as db:
                soak.enqueue_texts(db, instances, texts)
            with Fleet(server.url, simulator.base_url) as fleet:
                fleet.start(WORKERS)
                for stop in range(stops):
                    _wait_for_sends(simulator, (stop + 1) * messages // (stops + 2), 60)
                    soak.stop_at_once(server)
                    before = simulator.control("counters")["accepted"]
                    server = EmbeddedPostgres(server_folder, port=server.port)
                    server.start()
                    _wait_for_sends(simulator, before + WORKERS * 16 + 1, BACK_WITHIN_S)
                soak.wait_until_ended(server.url, 120)
                assert len(fleet.running) == WORKERS
                assert all(worker.process.poll() is None for worker in fleet.running), "a worker gave up"
            verdict = soak.judge(server.url, simulator, texts, left_begun=NUMBERS * stops)
    finally:
        server.stop()
    verdict.check()


def _wait_for_sends(simulator: SimulatorProcess, how_many: int, timeout: float) -> None:
    eventually(partial(soak.has_accepted, simulator, how_many), timeout, f"{how_many} acceptances")
