"""The life of a connection against a real server of the provider: paired, lost, ended, begun again."""

import threading
import uuid
from contextlib import closing

import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.db import Database
from shared.errors import Conflict, Forbidden, NotFound
from shared.providers.evolution import EvolutionClient
from shared.worker import Worker
from tests.agency import (
    Agency,
    Gateway,
    connected,
    found_agency,
    look_at_health,
    pair,
    provider_state,
    scan,
    shown,
)
from tests.identities import person_of
from tests.waiting import eventually


def age_code(db: Database, seconds: float) -> None:
    """Lets the code that is shown grow old."""
    db.rows(
        "update messaging.pairings set asked_at = null, shown_at = shown_at - make_interval(secs => %(s)s)"
        " returning 1",
        {"s": seconds},
    )


def test_scan_connects_and_the_dialog_says_so(
    agency: Agency, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Connect, a code drawn by us, the scan: dialog, row and provider agree; the phone becomes known."""
    client = agency.clients[0]
    begun = them.connect(agency.as_manager, client)
    assert (begun.instance_name, begun.already_connected) == (agency.name(client), False)
    seen = shown(them, agency, client)
    assert seen.pairing_state == "waiting_for_scan" and 0 < (seen.expires_in_s or 0) <= 45
    assert (seen.picture or "").startswith("data:image/png;base64,")
    assert agency.status(client) == "pending"

    scan(evolution, agency.name(client))
    connected(them, agency, client)
    row = agency.connection(client)
    assert row is not None and (row["status"], row["instance_status"]) == ("connected", "active")
    assert row["first_connected_at"] is not None
    eventually(lambda: (agency.connection(client) or {})["phone_number"] == "5511977770001")


def test_codes_and_keys_are_in_no_repr(
    agency: Agency, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Whoever sees a code may pair a phone: what a log might print of a pairing has none."""
    them.connect(agency.as_manager, None)
    seen = shown(them, agency, None)
    assert seen.code and seen.code not in repr(seen)
    assert evolution.key not in repr(them)


def test_only_the_manager_may_act(agency: Agency, db: Database, them: Connections) -> None:
    """Nobody else: not a client, not the manager of another agency."""
    other, stranger = found_agency(db), db.as_person(person_of(uuid.uuid4()))
    client = agency.clients[0]
    for act in (them.connect, them.look, them.status, them.disconnect):
        with pytest.raises(Forbidden):
            act(stranger, client)
        with pytest.raises(NotFound) as foreign:
            act(other.as_manager, client)
        with pytest.raises(NotFound) as made_up:
            act(other.as_manager, uuid.uuid4())
        assert str(foreign.value) == str(made_up.value)


def test_bug_24_a_number_that_is_open_already_is_stored(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """The original answered "already connected" and stored nothing. It is heard from then on, too."""
    client = agency.clients[0]
    name = agency.name(client)
    with closing(EvolutionClient(name, evolution.key, base_url=evolution.base_url)) as somebody:
        somebody.create()
        somebody.connect()
        scan(evolution, name)
        eventually(lambda: somebody.state().connected)

    found = them.connect(agency.as_manager, client)
    assert (found.already_connected, found.pairing_state) == (True, "connected")
    assert agency.status(client) == "connected"
    evolution.control("device_removed", instance=name)
    eventually(lambda: agency.status(client) == "disconnected", timeout=2)


def test_bug_25_a_phone_that_removes_the_device_disconnects_at_once(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """The original's row stayed connected for ever. The way back is a new scan."""
    client = agency.clients[0]
    number = pair(agency, evolution, served.settings, client)
    evolution.control("device_removed", instance=agency.name(client))
    eventually(lambda: agency.status(client) == "disconnected", timeout=2)
    assert not them.status(agency.as_manager, client).connected

    assert pair(agency, evolution, served.settings, client) == number
    assert agency.status(client) == "connected"


def test_bug_25_lost_webhooks_are_made_up_for_by_asking(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Webhooks only wake us; the state of record is the provider's, asked each minute and by the page."""
    first, second = agency.clients
    pair(agency, evolution, served.settings, first)
    pair(agency, evolution, served.settings, second, phone="5511977770002")
    evolution.control("webhooks", mode="lost")
    for client in (first, second):
        evolution.control("device_removed", instance=agency.name(client))
        assert agency.status(client) == "connected"
    assert them.status(agency.as_manager, first).state == "close"
    assert [agency.status(each) for each in (first, second)] == ["disconnected", "connected"]
    assert look_at_health(db, served.settings, every_s=0) == 2
    assert agency.status(second) == "disconnected"


def test_a_temporary_loss_mends_itself(
    agency: Agency, db: Database, evolution: EvolutionSimulator, served: Gateway
) -> None:
    """The provider says connecting, then open, and never close: nobody has to scan again."""
    pair(agency, evolution, served.settings, None)
    evolution.control("drop", instance=agency.name(None), seconds=0.5)
    look_at_health(db, served.settings, every_s=0)
    eventually(lambda: provider_state(evolution, agency.name(None)) == "open")

    def mended() -> bool:
        look_at_health(db, served.settings)
        return agency.status(None) == "connected"

    eventually(mended, timeout=3)


def test_instance_gone_at_the_provider_is_disconnected_and_made_anew(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Somebody deleted it over there, past us: 404 means disconnected, and connect begins from nothing."""
    number = pair(agency, evolution, served.settings, None)
    evolution.control("webhooks", mode="lost")
    with closing(EvolutionClient(agency.name(None), evolution.key, base_url=evolution.base_url)) as client:
        client.delete()
    look_at_health(db, served.settings, every_s=0)
    assert agency.status(None) == "disconnected"
    assert them.status(agency.as_manager, None).state == "close"
    evolution.control("webhooks", mode="normal")
    assert pair(agency, evolution, served.settings, None) == number


def test_bug_26_the_code_is_renewed_while_somebody_looks(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Without any webhook: the next code comes before the one that is shown is over, by asking."""
    evolution.control("webhooks", mode="lost")
    them.connect(agency.as_manager, None)
    first = shown(them, agency, None)
    evolution.control("qr_turn", instance=agency.name(None))
    age_code(db, 41)
    renewed = them.look(agency.as_manager, None)
    assert renewed.code not in (None, first.code) and (renewed.expires_in_s or 0) > 40


def test_bug_26_an_old_code_is_never_shown(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Where no new one is to be had, none is shown, and the trouble is told."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    evolution.control("webhooks", mode="lost")
    evolution.control("licence_503", on=True)
    age_code(db, 46)
    seen = them.look(agency.as_manager, None)
    assert (seen.code, seen.pairing_state, seen.trouble) == (None, "waiting_for_scan", "account_refused")


def test_bug_26_looking_ends_with_the_limit_and_so_does_the_provider(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """The original asked for ever. Past the limit the pairing is over, at the provider too."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    db.rows("update messaging.pairings set limit_at = messaging.clock() returning 1")
    seen = them.look(agency.as_manager, None)
    assert (seen.pairing_state, seen.code) == ("expired", None)
    assert provider_state(evolution, agency.name(None)) is None
    assert them.connect(agency.as_manager, None).is_under_way


def test_bug_26_many_dialogs_ask_the_provider_no_oftener_than_one(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Whoever looks within two seconds of another sees what that one learned."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    asked = db.rows("select asked_at from messaging.pairings")
    for _ in range(5):
        them.look(agency.as_manager, None)
    assert db.rows("select asked_at from messaging.pairings") == asked


def test_a_phone_that_another_number_has_may_not_speak_twice(
    agency: Agency, evolution: EvolutionSimulator, served: Gateway
) -> None:
    """One phone paired for two clients would be one number at twice the pace."""
    first, second = agency.clients
    pair(agency, evolution, served.settings, first, phone="5511977770009")
    eventually(lambda: (agency.connection(first) or {})["phone_number"])
    pair(agency, evolution, served.settings, second, phone="5511977770009")
    eventually(lambda: (agency.connection(second) or {})["halted_reason"] == "phone_in_use")


def test_phone_is_known_also_where_the_events_are_lost(
    agency: Agency, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Asked for by whoever sees that the number is open: two numbers with one phone are found out."""
    evolution.control("webhooks", mode="lost")
    for client in agency.clients:
        pair(agency, evolution, served.settings, client, phone="5511977770009")
    phones = [(agency.connection(each) or {})["phone_number"] for each in agency.clients]
    assert phones == ["5511977770009", "5511977770009"]
    halts = [(agency.connection(each) or {})["halted_reason"] for each in agency.clients]
    assert halts == [None, "phone_in_use"]


def test_a_number_that_the_operator_paused_is_not_paired_past_him(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """Connect says who must act, and asks the provider nothing."""
    number = pair(agency, evolution, served.settings, None)
    db.call(
        "messaging.set_instance_status", p_instance_id=number, p_status="paused", p_by="test", p_why="a test"
    )
    with pytest.raises(Conflict, match="paused: its operator must resume it"):
        them.connect(agency.as_manager, None)


def test_pairing_code_is_given_to_who_asks_with_a_phone(
    agency: Agency, evolution: EvolutionSimulator, them: Connections
) -> None:
    """Eight characters to type, for who cannot scan the screen; also after a code to scan was shown."""
    them.connect(agency.as_manager, None)
    shown(them, agency, None)
    them.connect(agency.as_manager, None, number="+55 11 97777-0001")
    seen = eventually(lambda: found if (found := them.look(agency.as_manager, None)).pairing_code else None)
    assert len(seen.pairing_code or "") == 8


def test_nobody_needs_to_watch(
    agency: Agency, db: Database, evolution: EvolutionSimulator, them: Connections, served: Gateway
) -> None:
    """The browser is closed after the code was shown: the event and a worker make the number connected within
    3 s of the scan, and disconnected and tidied up later on."""
    client, stop = agency.clients[0], threading.Event()
    worker = threading.Thread(target=Worker(db, served.settings, "w1").run, args=(stop,))
    worker.start()
    try:
        them.connect(agency.as_manager, client)
        scan(evolution, agency.name(client))
        eventually(lambda: agency.status(client) == "connected", timeout=3)
        evolution.control("drop", instance=agency.name(client), seconds=0.5)
        eventually(lambda: agency.status(client) == "connected", timeout=5)
        evolution.control("device_removed", instance=agency.name(client))
        eventually(lambda: agency.status(client) == "disconnected", timeout=2)
    finally:
        stop.set()
        worker.join()
