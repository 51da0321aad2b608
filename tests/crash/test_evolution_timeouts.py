"""Evolution sends that time out, a thousand times: whether each left is unknown, and none is sent again. The
judge is the simulator's log on disk."""

import uuid
from functools import partial
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from scripts.simulator.process import SimulatorError
from shared.db import Database
from shared.providers.evolution import EvolutionClient
from shared.providers.evolution_answers import Qr
from shared.providers.transport import open_http
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually

KEY = "evolution-key-of-the-soak"
# After the acceptance, before it, and the connection lost at either point: a client cannot tell which.
TIMEOUTS = ["accept_then_hang", "hang"]
LOST = ["accept_then_close", "close", "accept_then_reset", "accept_then_500"]


def pair_numbers(
    url: str, simulator: EvolutionSimulator, how_many: int, *, send_timeout_s: float
) -> list[uuid.UUID]:
    """Create and pair instances of one agency at the simulator, through the product's own client, and
    register them without a pace."""
    names = [f"adscape_c_{number:016x}" for number in range(how_many)]
    with open_http() as http:
        for name in names:
            client = EvolutionClient(name, KEY, base_url=simulator.base_url, http=http)
            client.create()
            eventually(lambda client=client: isinstance(client.connect(), Qr), what="a QR code")  # type: ignore[misc]
        for index, name in enumerate(names):
            eventually(partial(_scanned, simulator, name, f"55118{80_000_000 + index}"), what="a scan")
        for name in names:
            client = EvolutionClient(name, KEY, base_url=simulator.base_url, http=http)
            eventually(lambda client=client: client.state().connected, what="an open number")  # type: ignore[misc]
    agency = uuid.uuid4()
    with psycopg.connect(url) as connection:
        found = [_register(connection, name, agency) for name in names]
        # No function sets it: it belongs to the provider, not to an operator.
        connection.execute("update messaging.senders set send_timeout_s = %s", [send_timeout_s])
    return found


def _scanned(simulator: EvolutionSimulator, name: str, phone: str) -> bool:
    try:
        simulator.control("scan", instance=name, phone=phone)
    except SimulatorError:
        return False
    return True


def _register(connection: psycopg.Connection[tuple[uuid.UUID]], name: str, agency: uuid.UUID) -> uuid.UUID:
    row = connection.execute(
        "insert into public.whatsapp_instances"
        " (name, provider, evolution_instance_name, agency_id, in_pool, accepts_new, max_users, status)"
        " values (%s, 'evolution', %s, %s, false, false, 0, 'active') returning id",
        [name, name, agency],
    ).fetchone()
    assert row is not None
    connection.execute("select messaging.set_gaps(%s, 0::numeric, 0::numeric, 'test', 0.01, 1)", [row[0]])
    return row[0]


@pytest.mark.parametrize(
    ("messages", "timeouts", "numbers", "kinds"),
    [
        pytest.param(60, 20, 6, [*TIMEOUTS, *LOST], id="quick"),
        pytest.param(1_500, 1_000, 40, TIMEOUTS, id="issue-4", marks=pytest.mark.slow),
    ],
)
def test_a_send_that_timed_out_is_never_sent_twice(
    *,
    db: Database,
    database_url: str,
    tmp_path: Path,
    messages: int,
    timeouts: int,
    numbers: int,
    kinds: list[str],
) -> None:
    """More than so many injected time-outs, half of them after the message had left: nobody gets it twice,
    nothing is lost, unknown at most what was injected, and the numbers stay in service."""
    texts = soak.texts_of(messages)
    with EvolutionSimulator(log=tmp_path / "log", key=KEY, speed=200) as simulator:
        simulator.control("options", qr_life_s=1e6)
        instances = pair_numbers(database_url, simulator, numbers, send_timeout_s=0.4)
        simulator.control("faults", rate=0.75, seed=4, kinds=kinds, hang_s=3.0)
        soak.enqueue_texts(db, instances, texts)
        settings = {
            "EVOLUTION_API_URL": simulator.base_url,
            "EVOLUTION_API_KEY": KEY,
            "ROLETA_MAX_IN_FLIGHT": "24",
        }
        with Fleet(database_url, "http://127.0.0.1:9", settings) as fleet:
            fleet.start(2)
            soak.wait_until_ended(database_url, 240)
        verdict = soak.judge(database_url, simulator, texts)
        assert simulator.complaints() == ""
    verdict.check()
    assert verdict.ambiguous_faults >= timeouts
    assert verdict.unknown_but_sent > 0
    with psycopg.connect(database_url) as connection:
        fitness = connection.execute("select distinct status, halted_reason from public.whatsapp_instances")
        assert fitness.fetchall() == [("active", None)]
