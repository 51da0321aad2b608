"""evolution-whatsapp over HTTP: who may act on whose number, the original's answers, its messages."""

import uuid

import httpx
import jwt
import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared.connections import Connections
from shared.db import Database
from tests.agency import ISSUER, Agency, Gateway, connected, found_agency, pair, provider_state, scan, shown
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, PERSON, SERVICE_KEY, stored
from tests.identities import SECRET, claims_of
from tests.waiting import eventually

ACTIONS = ("create-instance", "get-qrcode", "check-status", "send-message", "disconnect")
MESSAGE = {"phone": PERSON, "message": "Seu relatório está pronto."}


def told(answer: httpx.Response, status: int = 200) -> dict[str, object]:
    """The answer's body; the test fails where it has another status."""
    assert answer.status_code == status, answer.text
    body: dict[str, object] = answer.json()
    return body


def test_who_brings_no_token_is_told_so(served: Gateway, agency: Agency) -> None:
    """The original's two refusals, word for word."""
    url = f"{FUNCTIONS}/evolution-whatsapp"
    assert told(served.http.post(url, json={"action": "check-status"}), 401) == {
        "error": "Missing authorization"
    }
    for wrong in ("Bearer x", f"Bearer {SERVICE_KEY}", "Basic abc", "Bearer"):
        answer = served.http.post(url, json={"action": "check-status"}, headers={"authorization": wrong})
        assert answer.status_code == 401, wrong
        assert answer.json()["error"] in ("Unauthorized", "Missing authorization")


def test_who_is_no_manager_is_forbidden_every_action(served: Gateway, agency: Agency, db: Database) -> None:
    """The original asked for no role: any signed-in person could connect numbers. Nothing is stored."""
    before = stored(db)
    token = jwt.encode(claims_of(uuid.uuid4(), ISSUER), SECRET, "HS256")
    for action in ACTIONS:
        answer = served.http.post(
            f"{FUNCTIONS}/evolution-whatsapp",
            json={"action": action, "client_id": str(agency.clients[0])} | MESSAGE,
            headers={"authorization": f"Bearer {token}"},
        )
        assert "manager" in str(told(answer, 403)["error"])
    assert stored(db) == before
    assert db.rows("select 1 from public.whatsapp_connections") == []


@pytest.mark.parametrize("action", [None, "", "delete-everything", 7, ["disconnect"], "CHECK-STATUS"])
def test_unknown_action_is_the_originals_400(served: Gateway, agency: Agency, action: object) -> None:
    """Word for word."""
    assert told(served.act(agency, action), 400) == {"error": "Invalid action"}


@pytest.mark.parametrize("client_id", ["x", 7, {"a": 1}, "0" * 40])
def test_client_id_that_is_none_is_named(served: Gateway, agency: Agency, client_id: object) -> None:
    """The answer says which field must change."""
    answer = served.act(agency, "check-status", **{"client_id": client_id})
    assert str(told(answer, 400)["error"]).startswith("client_id")


@pytest.mark.scoreboard("S16", tier="landing")
@pytest.mark.parametrize("action", ACTIONS)
def test_bug_23_a_foreign_client_is_a_client_that_never_was(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator, action: str
) -> None:
    """The original acted on any client's number. The same 404 for both, so that nobody learns who exists."""
    foreign = found_agency(db)
    pair(foreign, evolution, served.settings, foreign.clients[0])
    before = stored(db)
    of_another = served.act(agency, action, foreign.clients[0], **MESSAGE)
    made_up = served.act(agency, action, uuid.uuid4(), **MESSAGE)
    assert told(of_another, 404) == told(made_up, 404)
    assert foreign.status(foreign.clients[0]) == "connected"
    assert provider_state(evolution, foreign.name(foreign.clients[0])) == "open"
    assert stored(db) == before


def test_flow_answers_in_the_originals_words(
    served: Gateway, agency: Agency, evolution: EvolutionSimulator, logs: Logs
) -> None:
    """create, code, scan, status, disconnect: field names and values as functions 4.2 has them. No code, key
    or token is logged on the way."""
    client = agency.clients[0]
    name = agency.name(client)
    assert told(served.act(agency, "check-status", client)) == {"connected": False, "status": "no_instance"}
    assert "connect first" in str(told(served.act(agency, "get-qrcode", client), 404)["error"])

    begun = told(served.act(agency, "create-instance", client))
    assert set(begun) == {"success", "instance_name", "qrcode"}
    assert (begun["success"], begun["instance_name"]) == (True, name)

    def code() -> object:
        return told(served.act(agency, "get-qrcode", client))["qrcode"]

    assert str(eventually(code)).startswith("data:image/png;base64,")
    assert told(served.act(agency, "check-status", client)) == {"connected": False, "status": "connecting"}

    scan(evolution, name)
    eventually(lambda: told(served.act(agency, "check-status", client))["connected"], timeout=3)
    assert told(served.act(agency, "check-status", client)) == {"connected": True, "status": "open"}
    assert "connected already" in str(told(served.act(agency, "get-qrcode", client), 409)["error"])
    assert told(served.act(agency, "create-instance", client)) == {
        "success": True,
        "instance_name": name,
        "already_connected": True,
    }
    assert agency.status(client) == "connected"

    for _ in range(2):
        assert told(served.act(agency, "disconnect", client)) == {"success": True}
    assert (agency.status(client), provider_state(evolution, name)) == (None, None)
    for secret in ("2@", evolution.key, "Bearer", "base64,"):
        assert secret not in logs.text


def test_bug_24_already_connected_is_stored(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """Lost webhooks left the row behind: create-instance finds the number open, says so, and stores it."""
    evolution.control("webhooks", mode="lost")
    told(served.act(agency, "create-instance"))
    scan(evolution, agency.name(None))
    eventually(lambda: provider_state(evolution, agency.name(None)) == "open")
    assert agency.status(None) == "pending"
    assert told(served.act(agency, "create-instance"))["already_connected"] is True
    assert agency.status(None) == "connected"


def test_bug_25_status_goes_back_to_disconnected(
    served: Gateway, agency: Agency, evolution: EvolutionSimulator
) -> None:
    """Asked by the page, and stored."""
    pair(agency, evolution, served.settings, None)
    evolution.control("webhooks", mode="lost")
    evolution.control("device_removed", instance=agency.name(None))
    assert told(served.act(agency, "check-status")) == {"connected": False, "status": "close"}
    assert agency.status(None) == "disconnected"


def test_pairing_that_is_over_has_no_code(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """get-qrcode says what to do instead of showing nothing for ever (bug 26)."""
    told(served.act(agency, "create-instance"))
    db.rows("update messaging.pairings set limit_at = messaging.clock() returning 1")
    assert "create-instance" in str(told(served.act(agency, "get-qrcode"), 409)["error"])


def test_provider_in_trouble_is_a_502_without_its_words(
    served: Gateway, agency: Agency, evolution: EvolutionSimulator
) -> None:
    """The original answered 500 with the provider's body. check-status says "error", as the original did."""
    evolution.control("licence_503", on=True)
    answer = served.act(agency, "create-instance")
    assert answer.status_code == 502
    assert evolution.key not in answer.text and "http" not in answer.text
    assert told(served.act(agency, "check-status")) == {"connected": False, "status": "error"}


@pytest.mark.parametrize("missing", ["phone", "message"])
def test_message_needs_phone_and_text(served: Gateway, agency: Agency, missing: str) -> None:
    """400 with the field's name, before anything else is looked at."""
    body = {name: value for name, value in MESSAGE.items() if name != missing}
    assert str(told(served.act(agency, "send-message", **body), 400)["error"]).startswith(missing)


def test_message_leaves_through_exactly_this_number(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """No other number of the agency speaks in its place, whether it was never connected or is down."""
    client = agency.clients[0]
    house = pair(agency, evolution, served.settings, None)
    assert "not connected" in str(told(served.act(agency, "send-message", client, **MESSAGE), 404)["error"])
    number = pair(agency, evolution, served.settings, client, phone="5511977770002")
    evolution.control("device_removed", instance=agency.name(client))
    eventually(lambda: agency.status(client) == "disconnected")
    told(served.act(agency, "send-message", client, **MESSAGE), 404)
    assert stored(db)["messages"] == 0

    pair(agency, evolution, served.settings, client, phone="5511977770002")
    told(served.act(agency, "send-message", client, **MESSAGE))
    told(served.act(agency, "send-message", **MESSAGE))
    rows = db.rows("select instance_id, purpose, lane, agency_id, phone from messaging.outbox order by id")
    assert [row["instance_id"] for row in rows] == [number, house]
    assert {(row["purpose"], row["lane"], row["agency_id"], row["phone"]) for row in rows} == {
        ("agency_message", "timed", agency.manager, PERSON)
    }


def test_message_is_enqueued_once_per_key(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """The answer says that it is queued; the same key is the same message, or 409 where it is another one."""
    pair(agency, evolution, served.settings, None)
    keyed = {"headers": {"idempotency-key": "k1"}} | MESSAGE
    first = told(served.act(agency, "send-message", **keyed))
    [row] = db.rows("select id, dispatch_state from messaging.outbox")
    assert first == {"success": True, "data": {"message_id": row["id"], "status": "queued"}}
    assert told(served.act(agency, "send-message", **keyed)) == first
    told(served.act(agency, "send-message", **keyed | {"message": "outra"}), 409)
    assert told(served.act(agency, "send-message", **MESSAGE)) != first
    assert stored(db)["messages"] == 2


def test_disconnecting_withdraws_what_waits_on_that_number(
    served: Gateway, agency: Agency, db: Database, evolution: EvolutionSimulator
) -> None:
    """A message that was meant for the number that is gone leaves through no other."""
    client = agency.clients[0]
    pair(agency, evolution, served.settings, client)
    told(served.act(agency, "send-message", client, **MESSAGE))
    told(served.act(agency, "disconnect", client))
    assert db.rows("select dispatch_state, reason from messaging.outbox") == [
        {"dispatch_state": "withdrawn", "reason": "the number was disconnected on purpose"}
    ]


def test_pairing_goes_on_where_the_browser_was_closed(
    served: Gateway, agency: Agency, evolution: EvolutionSimulator, them: Connections
) -> None:
    """create-instance again shows the code that is there; a scan of it connects."""
    told(served.act(agency, "create-instance"))
    shown(them, agency, None)
    assert str(told(served.act(agency, "create-instance"))["qrcode"]).startswith("data:image/png")
    scan(evolution, agency.name(None))
    connected(them, agency, None)
