"""Which number speaks for a client: the fallback matrix as one table, each cell enqueued and claimed."""

import uuid
from typing import Any

import httpx
import jwt
import pytest

from shared import outbox
from shared.db import Database
from shared.settings import Settings
from tests.agency import ISSUER, Agency, found_agency
from tests.edge.gateway import FUNCTIONS, serving
from tests.identities import SECRET, claims_of

SETTINGS = Settings(jwt_secret=SECRET, auth_url=ISSUER)
RECIPIENT = "5511955550001"

# decisions.md B5, design.md 8. "goes": the next claim takes it; "waits": it stays on that number, which is
# down; "nobody": nothing is enqueued. A message sent through a number asks for that very number.
TABLE = """
    client         agency       report          alert           send-message
    connected      connected    client goes     client goes     client goes
    connected      down         client goes     client goes     client goes
    connected      none         client goes     client goes     client goes
    down           connected    client waits    client waits    nobody
    down           down         client waits    client waits    nobody
    down           none         client waits    client waits    nobody
    never-scanned  connected    agency goes     agency goes     nobody
    never-scanned  down         agency waits    agency waits    nobody
    never-scanned  none         nobody          nobody          nobody
    ended          connected    agency goes     agency goes     nobody
    ended          down         agency waits    agency waits    nobody
    ended          none         nobody          nobody          nobody
    none           connected    agency goes     agency goes     nobody
    none           down         agency waits    agency waits    nobody
    none           none         nobody          nobody          nobody
"""
PURPOSES = {"report": "agency_report", "alert": "balance_alert"}


def rows_of(table: str) -> tuple[list[str], list[list[str]]]:
    """The columns' names, and the cells of each row."""
    lines = [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.strip().splitlines()
    ]
    return lines[0], lines[1:]


def health(agency: Agency, client: uuid.UUID | None, connected: bool) -> None:
    """What the provider says of the number."""
    found = agency.connection(client)
    assert found is not None
    agency.db.call("messaging.record_health", p_instance_id=found["instance_id"], p_connected=connected)


def bring(agency: Agency, client: uuid.UUID | None, state: str) -> None:
    """Leads a connection to where the table wants it, by the steps that lead there in life."""
    if state == "none":
        return
    agency.as_manager.call("messaging.begin_connection", p_client_id=client)
    if state == "never-scanned":
        return
    health(agency, client, True)
    if state == "down":
        health(agency, client, False)
    elif state == "ended":
        agency.as_manager.call("messaging.end_connection", p_client_id=client)


def by_choice(db: Database, agency: Agency, purpose: str) -> tuple[str | None, int | None, str]:
    """As a report or an alert: who is chosen, the message enqueued there, and the reason given."""
    client = agency.clients[0]
    chosen = db.call_one("messaging.choose_speaker", p_agency_id=agency.manager, p_client_id=client)
    if chosen["instance_id"] is None:
        return chosen["spoken_by"], None, chosen["reason"]
    message = outbox.enqueue(
        db,
        purpose=purpose,
        phone=RECIPIENT,
        text="Relatório",
        dedupe_key=f"{purpose}:{client}",
        enqueued_by="test",
        instance_id=chosen["instance_id"],
        subject_id=str(client),
        facts={"client_id": str(client), "spoken_by": chosen["spoken_by"]},
    )
    assert message.instance_id == chosen["instance_id"]
    return chosen["spoken_by"], message.message_id, chosen["reason"]


def by_hand(http: httpx.Client, agency: Agency) -> tuple[str | None, int | None, str]:
    """As evolution-whatsapp's send-message."""
    token = jwt.encode(claims_of(agency.manager, ISSUER), SECRET, "HS256")
    body = {"action": "send-message", "client_id": str(agency.clients[0])}
    answer = http.post(
        f"{FUNCTIONS}/evolution-whatsapp",
        json=body | {"phone": RECIPIENT, "message": "Oi"},
        headers={"authorization": f"Bearer {token}"},
    )
    if answer.status_code == 404:
        return None, None, answer.json()["error"]
    message_id = answer.json()["data"]["message_id"]
    query = "select facts ->> 'spoken_by' as spoken_by from messaging.outbox where id = %(id)s"
    return agency.db.rows(query, {"id": message_id})[0]["spoken_by"], message_id, ""


@pytest.mark.scoreboard("S17", tier="commit")
def test_every_cell_of_the_fallback_matrix(db: Database) -> None:
    """45 agencies, each in one state and with one thing to say; one claim at the end tells what goes."""
    columns, table = rows_of(TABLE)
    said: list[tuple[str, str | None, int | None, str]] = []
    expected: list[tuple[str, str]] = []
    with serving(db, SETTINGS) as http:
        for client_state, agency_state, *cells in table:
            for what, cell in zip(columns[2:], cells, strict=True):
                agency = found_agency(db, clients=1)
                bring(agency, None, agency_state)
                bring(agency, agency.clients[0], client_state)
                where = f"client {client_state}, agency {agency_state}, {what}"
                purpose = PURPOSES.get(what)
                told = by_choice(db, agency, purpose) if purpose else by_hand(http, agency)
                said.append((where, *told))
                expected.append((where, cell))
    taken = {row["message_id"] for row in db.call("messaging.claim", p_worker="w1", p_limit=200)}
    found = [
        (where, f"{by} {'goes' if message in taken else 'waits'}" if message else "nobody")
        for where, by, message, _ in said
    ]
    assert found == expected
    for _, by, message, reason in said:
        assert (by is None) == (message is None)
        assert message is not None or "connected" in reason


def test_waiting_message_leaves_by_its_own_number_when_that_comes_back(db: Database) -> None:
    """It never moves to the agency's, however long the client's is down."""
    agency = found_agency(db)
    client = agency.clients[0]
    bring(agency, None, "connected")
    bring(agency, client, "down")
    _, message, _ = by_choice(db, agency, "balance_alert")
    assert db.call("messaging.claim", p_worker="w1", p_limit=10) == []
    health(agency, client, True)
    for each in db.call("messaging.take_returns"):
        token = each["return_token"]
        db.call("messaging.finish_return", p_instance_id=each["instance_id"], p_token=token)
    [claimed] = db.call("messaging.claim", p_worker="w1", p_limit=10)
    assert claimed["message_id"] == message


@pytest.mark.scoreboard("S17", tier="commit")
def test_client_of_another_agency_has_no_voice_here(db: Database) -> None:
    """A client that moved to another manager brings no number along."""
    agency, other = found_agency(db), found_agency(db)
    client = agency.clients[0]
    bring(agency, client, "connected")
    chosen = db.call_one("messaging.choose_speaker", p_agency_id=other.manager, p_client_id=client)
    assert (chosen["instance_id"], chosen["spoken_by"]) == (None, None)


@pytest.mark.parametrize("state", ["connected", "down"])
def test_agencys_own_messages_are_spoken_by_the_agency(db: Database, state: str) -> None:
    """Without a client, only the agency's number can be meant."""
    agency = found_agency(db)
    bring(agency, agency.clients[0], "connected")
    nobody = db.call_one("messaging.choose_speaker", p_agency_id=agency.manager, p_client_id=None)
    assert nobody["instance_id"] is None
    bring(agency, None, state)
    chosen: dict[str, Any] = db.call_one(
        "messaging.choose_speaker", p_agency_id=agency.manager, p_client_id=None
    )
    found = agency.connection(None)
    assert found is not None
    assert (chosen["instance_id"], chosen["spoken_by"]) == (found["instance_id"], "agency")
