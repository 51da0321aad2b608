"""Connections that several act on at once, that fail in the middle, that end, and what is left of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared import lifecycle
from shared.connections import Connections
from shared.db import Database
from shared.errors import Conflict
from shared.providers.base import ProviderError
from tests.agency import (
    Agency,
    Gateway,
    connected,
    gateway,
    pair,
    provider_state,
    scan,
    shown,
)
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def test_scan_in_the_last_moment_counts(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """A number that opens as its time runs out is connected, not removed."""
    evolution.control("webhooks", mode="lost")
    them.connect(agency.as_manager, None)
    scan(evolution, agency.name(None))
    eventually(lambda: provider_state(evolution, agency.name(None)) == "open")
    db.rows("update messaging.pairings set limit_at = messaging.clock() returning 1")
    them.remove_leftovers()
    assert agency.status(None) == "connected"
    assert provider_state(evolution, agency.name(None)) == "open"


def test_bug_27_disconnecting_the_agency_leaves_every_client_alone(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """And the other way round: exactly one connection ends, with its instance at the provider."""
    first, second = agency.clients
    for index, client in enumerate([None, first, second]):
        pair(agency, evolution, served.settings, client, phone=f"551197777100{index}")
    assert them.disconnect(agency.as_manager, None)
    assert [agency.status(each) for each in (None, first, second)] == [None, "connected", "connected"]
    assert them.disconnect(agency.as_manager, first)
    assert [agency.status(each) for each in (None, first, second)] == [None, None, "connected"]
    states = [provider_state(evolution, agency.name(each)) for each in (None, first, second)]
    assert states == [None, None, "open"]
    assert not them.disconnect(agency.as_manager, first)


def test_bug_32_two_creates_at_once_end_with_one_number_and_one_code(
    agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """Through two gateways, of which neither knows the other: the same code for both, and it opens."""
    client = agency.clients[0]
    gate = threading.Barrier(2)
    with gateway(db, evolution) as one, gateway(db, evolution) as other:

        def create(through: Gateway) -> dict[str, object]:
            gate.wait(10)
            answer = through.act(agency, "create-instance", client)
            assert answer.status_code == 200, answer.text
            told: dict[str, object] = answer.json()
            return told

        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(create, (one, other))
        assert first["instance_name"] == second["instance_name"] == agency.name(client)
        assert len(evolution.instances()) == 1
        scan(evolution, agency.name(client))
        with Connections(db, one.settings) as them:
            connected(them, agency, client)
    # No second socket goes on connecting behind the one that is open (contract 1.13).
    assert evolution.control("counters")["sockets"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("place", ["winner", "loser"])
def test_bug_32_a_rival_that_we_cannot_lock_out_is_survived(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, place: str
) -> None:
    """Somebody else's program creates the same name in the same moment (evolution contract 1.12): whatever is
    left of that, connect ends with a code that opens."""
    evolution.control("create_race", instance=agency.name(None), **{"as": place})
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    scan(evolution, agency.name(None))
    connected(them, agency, None)


def test_second_action_waits_for_the_first_and_then_says_so(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """One lifecycle action at a time on a number; who waits too long is told what to do."""
    them.connect(agency.as_manager, None)
    row = agency.connection(None)
    assert row is not None
    with (
        lifecycle.alone(db, row["instance_id"], "one"),
        pytest.raises(Conflict, match="another pairing of this number is under way"),
        lifecycle.alone(db, row["instance_id"], "two", wait_s=0.3),
    ):
        pass
    with lifecycle.alone(db, row["instance_id"], "three", wait_s=0):
        pass


def test_a_crowd_that_waits_does_not_hold_the_gateway(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Of many who press the button, a few wait for their turn; the others are told at once."""
    them.connect(agency.as_manager, None)
    row = agency.connection(None)
    assert row is not None

    def act() -> str:
        try:
            with lifecycle.alone(db, row["instance_id"], "crowd"):
                return "acted"
        except Conflict:
            return "told"

    with ThreadPoolExecutor(8) as threads:
        with lifecycle.alone(db, row["instance_id"], "first"):
            answers = [threads.submit(act) for _ in range(8)]
            eventually(lambda: sum(each.done() for each in answers) == 8 - lifecycle.MOST_WAITING)
        assert sorted(each.result() for each in answers) == ["acted"] * lifecycle.MOST_WAITING + ["told"] * 5


def test_second_dialog_joins_the_pairing_that_is_under_way(
    agency: Agency, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Two browsers on one client show the same code; the second does not make the first one's void."""
    evolution.control("server", speed=1)
    them.connect(agency.as_manager, None)
    first = shown(them, agency, None)
    second = them.connect(agency.as_manager, None)
    assert second.code == first.code


@pytest.mark.parametrize("trouble", ["licence_503", "database_error"])
def test_connect_goes_on_where_it_failed(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, trouble: str
) -> None:
    """The provider fails in the middle: the error is clear, and the same call later leads to a code."""
    fields = {"on": True} if trouble == "licence_503" else {"times": 4}
    evolution.control(trouble, **fields)
    with pytest.raises(ProviderError):
        for _ in range(6):
            them.connect(agency.as_manager, None)
    assert agency.status(None) == "pending"
    evolution.control("reset")
    evolution.control("licence_503", on=False)
    evolution.control("database_error", times=0)
    them.connect(agency.as_manager, None)
    assert shown(them, agency, None).picture


def test_what_the_provider_keeps_of_an_ended_connection_is_removed_by_the_duty(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Disconnected is disconnected here at once, though the provider is away; its side follows."""
    pair(agency, evolution, served.settings, None)
    evolution.control("licence_503", on=True)
    assert them.disconnect(agency.as_manager, None)
    assert agency.status(None) is None
    assert them.remove_leftovers() == 0
    evolution.control("licence_503", on=False)
    assert provider_state(evolution, agency.name(None)) == "open"
    assert them.remove_leftovers() == 1
    assert provider_state(evolution, agency.name(None)) is None
    assert them.remove_leftovers() == 0


def test_connecting_again_first_removes_what_was_left(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Ended while the provider was away, begun anew before the duty came: the old phone is not let in."""
    pair(agency, evolution, served.settings, None)
    evolution.control("licence_503", on=True)
    them.disconnect(agency.as_manager, None)
    evolution.control("licence_503", on=False)
    begun = them.connect(agency.as_manager, None)
    assert not begun.already_connected and begun.is_under_way
    assert them.remove_leftovers() == 0
    scan(evolution, agency.name(None))
    connected(them, agency, None)


def test_pairing_that_nobody_looks_at_ends_at_the_provider(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """An unpaired instance would connect for ever (evolution contract 9)."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    assert them.remove_leftovers() == 0
    db.rows("update messaging.pairings set looked_at = looked_at - interval '5 minutes' returning 1")
    assert them.remove_leftovers() == 1
    assert provider_state(evolution, agency.name(None)) is None
    assert agency.status(None) == "pending"


def test_pairing_that_could_not_be_ended_at_the_provider_is_ended_later(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """The provider was away just then: the duty comes back each minute, and no more once it is done."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    db.rows("update messaging.pairings set limit_at = messaging.clock() returning 1")
    evolution.control("licence_503", on=True)
    assert them.remove_leftovers() == 0
    evolution.control("licence_503", on=False)
    for ended in (1, 0):
        db.rows("update messaging.pairings set asked_at = asked_at - interval '1 minute' returning 1")
        assert them.remove_leftovers() == ended
        assert provider_state(evolution, agency.name(None)) is None


def test_reconnecting_keeps_the_number_its_pace_and_its_history(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Ended on purpose and paired again: the same number, which may send no sooner than before."""
    client = agency.clients[0]
    number = pair(agency, evolution, served.settings, client)
    db.rows(
        "update messaging.senders set next_send_at = messaging.clock() + interval '40 seconds'"
        " where instance_id = %(id)s returning 1",
        {"id": number},
    )
    clocks = "select next_send_at from messaging.senders where instance_id = %(id)s"
    before = db.rows(clocks, {"id": number})
    history = "select count(*) as n from messaging.instance_history where instance_id = %(id)s"
    told = db.rows(history, {"id": number})[0]["n"]
    them.disconnect(agency.as_manager, client)
    assert pair(agency, evolution, served.settings, client) == number
    assert db.rows(clocks, {"id": number}) == before
    assert db.rows(history, {"id": number})[0]["n"] > told


def test_connection_that_never_had_a_number_is_ended_too(
    agency: Agency, db: Database, them: Connections
) -> None:
    """A row that the original left behind: nothing is waited for, and nobody is asked."""
    db.rows(
        "insert into public.whatsapp_connections (agency_id, client_id, instance_name)"
        " values (%(agency)s, null, '') returning 1",
        {"agency": agency.manager},
    )
    assert them.status(agency.as_manager, None).state == "no_instance"
    begun = time.perf_counter()
    assert them.disconnect(agency.as_manager, None)
    assert time.perf_counter() - begun < 2
    assert not them.disconnect(agency.as_manager, None)
