"""`roleta instance rotate-webhook` over a provider that fails: what it may be using is never refused."""

import http.client
import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import webhook_auth
from shared.db import Database
from tests.keys import RING
from tests.scripts.conftest import secrets_of
from tests.scripts.roleta import Roleta, Runs
from tests.waiting import eventually

PUBLIC = "https://gateway.example.com"
ROTATE = ("instance", "rotate-webhook", "Aura #1")
# What a PUT may come to: the provider took it and its answer was lost; it did not get it; it said no.
UNCLEAR, AWAY, REFUSED = "taken, then 504", "503, not taken", "400, not taken"


class Middle:
    """An HTTP proxy before the simulator: each PUT meets what is planned for it, everything else passes."""

    def __init__(self, behind: str) -> None:
        self.plan: list[str] = []
        self.strikes: Callable[[], None] = lambda: None
        address = urlsplit(behind)
        middle = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(*self._passed_on())

            def do_PUT(self) -> None:
                fault = middle.plan.pop(0) if middle.plan else ""
                answer = (400, b'{"error": "no"}') if fault == REFUSED else (503, b"{}")
                if fault in ("", UNCLEAR, "killed after"):
                    answer = self._passed_on()
                if fault == UNCLEAR:
                    answer = (504, b"{}")
                if fault.startswith("killed"):
                    middle.strikes()
                    self.close_connection = True
                    return
                self._answer(*answer)

            def _passed_on(self) -> tuple[int, bytes]:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                there = http.client.HTTPConnection(address.hostname or "", address.port)
                kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                there.request(self.command, self.path, body, kept)
                answer = there.getresponse()
                found = answer.status, answer.read()
                there.close()
                return found

            def _answer(self, status: int, body: bytes) -> None:
                self.close_connection = True
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def middle(simulator: SimulatorProcess) -> Iterator[Middle]:
    """The proxy."""
    made = Middle(simulator.base_url)
    yield made
    made.close()


@pytest.fixture
def near(roleta: Roleta, middle: Middle, aura: UUID) -> Roleta:
    """The command, with the proxy in Z-API's place, and a number whose webhook is set."""
    found = Roleta(roleta.home, **roleta.settings, ROLETA_ZAPI_BASE_URL=middle.url, ROLETA_PUBLIC_URL=PUBLIC)
    found.well(*ROTATE)
    return found


@pytest.fixture
def used(simulator: SimulatorProcess) -> Callable[[], str]:
    """Call it for the secret that the provider uses now."""

    def found() -> str:
        [address] = set(simulator.instances()[0]["webhooks"].values())
        return str(address).rpartition("/")[2]

    return found


def is_believed(db: Database, secret: str) -> bool:
    """Whether an event with this secret in its path is taken."""
    try:
        webhook_auth.authenticate(
            db,
            path_token=secret,
            header_token=None,
            claimed_instance=secrets_of(1).zapi_instance_id,
            ring=RING,
        )
    except webhook_auth.Unauthorized:
        return False
    return True


@pytest.mark.scoreboard("S1", tier="landing")
def test_what_the_provider_may_use_is_believed_in_every_order_of_failures(
    near: Roleta, middle: Middle, used: Callable[[], str], db: Database
) -> None:
    """Three failed rotations of any kinds, in any order: the provider's events are taken after each; then
    one that it confirms is enough, and the secret of before is still good for what is under way."""
    for kinds in itertools.product((UNCLEAR, AWAY, REFUSED), repeat=3):
        for kind in kinds:
            middle.plan = [kind]
            result = near(*ROTATE)
            assert result.exit_code == 1 and "could not be set" in result.stdout
            assert is_believed(db, used()), kinds
        before = used()
        near.well(*ROTATE)
        assert used() != before and is_believed(db, used()) and is_believed(db, before), kinds


def test_a_rotation_that_is_killed_shuts_nobody_out(
    near: Roleta, middle: Middle, used: Callable[[], str], db: Database, runs: Runs
) -> None:
    """Killed while it asks, before or after the provider took the secret, with unclear failures around."""

    def rotate(kind: str) -> None:
        middle.plan = [kind]
        if not kind.startswith("killed"):
            assert near(*ROTATE).exit_code == 1
            return
        running = runs(*ROTATE, **near.settings)

        def strikes() -> None:
            running.process.kill()
            running.process.wait()

        middle.strikes = strikes
        assert running.ends() == -9, running.said
        eventually(lambda: not middle.plan, 10, "the PUT to have been met")

    for kinds in (("killed after", AWAY), ("killed before", UNCLEAR, "killed before"), ("killed after",) * 2):
        for kind in kinds:
            rotate(kind)
            assert is_believed(db, used()), kinds
    near.well(*ROTATE)
    assert is_believed(db, used())


@pytest.mark.scoreboard("S1", tier="commit")
@pytest.mark.parametrize("kind", [UNCLEAR, AWAY])
def test_revoking_while_a_rotation_is_unclear__refused(
    near: Roleta, middle: Middle, used: Callable[[], str], db: Database, kind: str
) -> None:
    """Nothing is ended while nobody knows which secret the provider uses; the line says what to do. After a
    rotation that it confirms all others end, and what the provider uses does not."""
    old = used()
    middle.plan = [kind]
    assert near(*ROTATE).exit_code == 1
    unclear = used()

    line = near.refused(*ROTATE, "--revoke-previous")
    assert "did not confirm" in line and "roleta instance rotate-webhook" in line
    assert is_believed(db, unclear) and is_believed(db, old)

    near.well(*ROTATE)
    assert [is_believed(db, each) for each in (old, unclear, used())] == [True, True, True]
    assert "alone" in near.well(*ROTATE, "--revoke-previous")
    assert [is_believed(db, each) for each in (old, unclear, used())] == [False, False, True]
    assert "no webhook secret but" in near.well(*ROTATE, "--revoke-previous")


def test_an_unclear_secret_ends_with_the_second_confirmed_rotation(
    near: Roleta, middle: Middle, used: Callable[[], str], db: Database
) -> None:
    """As the secret before the last rotation does: nothing that was ever tried stays good for ever."""
    middle.plan = [UNCLEAR]
    near(*ROTATE)
    unclear = used()
    near.well(*ROTATE)
    assert is_believed(db, unclear)
    near.well(*ROTATE)
    assert not is_believed(db, unclear) and is_believed(db, used())
