"""What the gateway does while Evolution API does not answer, or could not reach us."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from edge.app import SERVER_OPTIONS
from scripts.simulator.evolution.process import EvolutionSimulator
from shared.db import Database
from tests.agency import Agency, Gateway, gateway
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, NO_AUTHORITIES


class Silent(EvolutionSimulator):
    """A server that takes connections and says nothing: only its address and key are asked for."""

    def __init__(self, base_url: str) -> None:
        self.base_url, self.key = base_url, "a-key-of-nobody"


@pytest.fixture
def before_silence(db: Database) -> Iterator[Gateway]:
    """A gateway whose Evolution API hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        with gateway(db, Silent(f"http://127.0.0.1:{listener.getsockname()[1]}")) as running:
            yield running


@pytest.mark.slow
def test_a_crowd_that_asks_after_a_silent_provider_does_not_hold_the_gateway(
    before_silence: Gateway, agency: Agency
) -> None:
    """Each question may wait 5 s; with every thread of the gateway in one of them no webhook would be taken.
    After the first silence few wait, and the others are told the same at once."""
    client = agency.clients[0]
    agency.as_manager.call("messaging.begin_connection", p_client_id=client)
    over = threading.Event()

    def ask(_: int) -> None:
        with httpx.Client(base_url=before_silence.http.base_url, timeout=60, verify=NO_AUTHORITIES) as http:
            while not over.is_set():
                answer = http.post(
                    f"{FUNCTIONS}/evolution-whatsapp",
                    json={"action": "check-status", "client_id": str(client)},
                    headers=agency.authorization,
                )
                assert answer.json() == {"connected": False, "status": "error"}

    first = before_silence.act(agency, "check-status", client)
    assert first.json() == {"connected": False, "status": "error"}
    crowd = int(str(SERVER_OPTIONS["threads"]))
    with ThreadPoolExecutor(crowd) as pool:
        asking = [pool.submit(ask, index) for index in range(crowd)]
        try:
            waits = []
            for _ in range(20):
                begun = time.monotonic()
                assert before_silence.http.get("/healthz").status_code == 200
                waits.append(time.monotonic() - begun)
        finally:
            over.set()
        for each in asking:
            each.result()
    assert max(waits) < 2.0, waits


def test_ending_a_connection_does_not_wait_long_for_a_silent_provider(
    before_silence: Gateway, agency: Agency
) -> None:
    """It is ended here at once; what is left there is the duty's."""
    agency.as_manager.call("messaging.begin_connection", p_client_id=None)
    begun = time.monotonic()
    assert before_silence.act(agency, "disconnect").json() == {"success": True}
    assert time.monotonic() - begun < 8.0
    assert agency.status(None) is None


def test_what_an_operator_must_set_is_in_the_log_too(db: Database, agency: Agency, logs: Logs) -> None:
    """The manager at the page can do nothing about it, and is told less."""
    with gateway(db, Silent("https://evolution.example.com")) as served:
        answer = served.act(agency, "create-instance")
    assert answer.status_code == 500 and "ROLETA_PUBLIC_URL" in answer.json()["error"]
    [told] = logs.named("request.misconfigured")
    assert "ROLETA_PUBLIC_URL" in told["error"]
