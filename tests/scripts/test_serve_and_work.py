"""`roleta serve`, `roleta work` and `roleta simulator` as processes of their own."""

import signal
import socket
from uuid import UUID

import httpx
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import outbox
from shared.db import Database
from tests.scripts.roleta import Roleta, RunningRoleta, Runs, ended
from tests.waiting import eventually


def _address(running: RunningRoleta) -> str:
    said = running.hears('"listening"')
    return said.partition('"address": "')[2].partition('"')[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_until_it_is_told_to_stop(runs: Runs, number: signal.Signals) -> None:
    """It says where it listens, answers there, and ends in order on SIGTERM as on Ctrl-C."""
    gateway = runs("serve", "--port", "0")
    answer = httpx.get(f"{_address(gateway)}/healthz", trust_env=False, timeout=60)
    assert answer.json() == {"status": "ok"}

    assert gateway.asked_to_stop(number) == 0
    assert "Traceback" not in gateway.said


def test_serve_on_a_used_port_is_one_line__refused(runs: Runs) -> None:
    """Somebody else listens there: the line says what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        gateway = runs("serve", "--port", str(other.getsockname()[1]))
        assert gateway.ends() == 1

    [line] = gateway.said.splitlines()
    assert "is in use" in line
    assert "--port" in line


def test_work_sends_what_is_due_and_drains(
    runs: Runs, simulator: SimulatorProcess, db: Database, aura: UUID
) -> None:
    """A worker started by hand sends through the number's provider and ends in order."""
    worker = runs("work", "--name", "by-hand", ROLETA_ZAPI_BASE_URL=simulator.base_url)
    message = outbox.enqueue(
        db, purpose="direct", phone="5511980001234", dedupe_key="a", enqueued_by="the test", text="Oi"
    ).message_id
    eventually(lambda: outbox.explain(db, message)["dispatch_state"] == "accepted", 60, "an acceptance")

    assert worker.asked_to_stop() == 0
    assert outbox.explain(db, message)["attempts"][0]["worker"] == "by-hand"
    assert "5511980001234" not in worker.said
    assert len(simulator.accepted()) == 1


def test_the_simulator_can_be_run_by_hand(bare_roleta: Roleta) -> None:
    """`roleta simulator` takes the simulator's own options and becomes it."""
    log = bare_roleta.home / "simulator.log"
    with ended(bare_roleta.started("simulator", "--log", str(log), "--instances", "1")) as running:
        running.hears('"base_url"')
        assert running.asked_to_stop() == 0
