"""webhook-evolution over HTTP: messages, stops and receipts of an agency's numbers; what is kept."""

import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import outbox
from shared.db import Database
from shared.texts_pt import stops
from tests.agency import Agency, found_agency
from tests.edge.conftest import Logs
from tests.edge.evolution_events import PATH, PERSON, TOKEN, Line, listen
from tests.edge.gateway import Number, serving, stored

OBSERVED = Path(__file__).parents[1] / "contract" / "evolution_webhooks.jsonl"
EVENTS = "select kind, phone, text, ignored_reason, payload from messaging.inbound_events order by id"


@pytest.fixture
def line(client: httpx.Client, agency: Agency) -> Line:
    """The agency's own number, connected."""
    return listen(client, agency, None, is_open=True)


def confirmations(db: Database) -> list[dict[str, Any]]:
    """The answers to stops and starts, in order."""
    return db.rows(
        "select instance_id, content ->> 'text' as text, lane, phone from messaging.outbox"
        " where purpose = 'agency_optout' order by id"
    )


def enqueue(db: Database, line: Line, purpose: str = "agency_message") -> int:
    """A message to PERSON that waits on this number; its id."""
    return outbox.enqueue(
        db, purpose=purpose, phone=PERSON, text="Oi", dedupe_key=f"k{random.random()}", enqueued_by="test",
        instance_id=line.instance_id,
    ).message_id  # fmt: skip


def state(db: Database, message_id: int) -> dict[str, Any]:
    """Where a message stands."""
    query = "select dispatch_state, delivery_state, reason from messaging.outbox where id = %(id)s"
    return db.rows(query, {"id": message_id})[0]


def accepted(db: Database, line: Line, provider_id: str) -> int:
    """A message that the provider took under this id."""
    message_id = enqueue(db, line)
    [claimed] = db.call("messaging.claim", p_worker="w1", p_limit=5)
    begun = db.call_one(
        "messaging.begin_attempt",
        p_message_id=message_id,
        p_lease_token=claimed["lease_token"],
        p_worker="w1",
    )
    assert begun["evolution_instance_name"] == line.name
    db.call(
        "messaging.record_attempt",
        p_attempt_id=begun["attempt_id"],
        p_outcome="accepted",
        p_provider_message_id=provider_id,
    )
    return message_id


@pytest.mark.parametrize("word", ["SAIR", "parar!", "Stop", "Cancelar."])
def test_stop_holds_for_every_number_of_the_agency_and_is_confirmed_once(
    client: httpx.Client, db: Database, agency: Agency, line: Line, word: str
) -> None:
    """Written to the agency's number, it also withdraws what waits on a client's; the answer comes from the
    number that was written to. Said again, it is stored and not confirmed again."""
    other = listen(client, agency, agency.clients[0], is_open=True)
    waiting = enqueue(db, other)
    assert line.status(*line.said(word)) == "success"
    assert state(db, waiting)["dispatch_state"] == "withdrawn"
    assert confirmations(db) == [
        {"instance_id": line.instance_id, "text": stops.STOPPED, "lane": "reply", "phone": PERSON}
    ]
    assert line.status(*line.said(word)) == "success"
    assert len(confirmations(db)) == 1
    assert stored(db)["turns"] == 0


def test_start_word_undoes_a_stop(db: Database, line: Line) -> None:
    """VOLTAR after SAIR; a start word of somebody who never stopped is a word."""
    line.status(*line.said("voltar"))
    assert confirmations(db) == []
    for word in ("SAIR", "VOLTAR"):
        line.status(*line.said(word))
    assert [row["text"] for row in confirmations(db)] == [stops.STOPPED, stops.STARTED]
    [row] = db.rows("select opted_in_at is not null as undone, agency_id from messaging.opt_outs")
    assert row["undone"]


def test_stop_told_twice_is_one_stop_and_one_confirmation(db: Database, line: Line) -> None:
    """The provider redelivers (contract 1.9, 1.10): the same message id is the same message."""
    event, data = line.said("SAIR")
    for _ in range(3):
        line.post(event, data)
    assert len(confirmations(db)) == 1 and stored(db)["events"] == 1


def test_stop_is_one_agencys_matter(client: httpx.Client, db: Database, line: Line, number: Number) -> None:
    """Another agency, and the house, may still write to the person."""
    other = found_agency(db)
    elsewhere = listen(client, other, None, is_open=True)
    kept = enqueue(db, elsewhere)
    line.status(*line.said("SAIR"))
    assert state(db, kept)["dispatch_state"] == "queued"


@pytest.mark.parametrize(
    "key",
    [
        {"fromMe": True},
        {"remoteJid": "120363000000000001@g.us", "participant": f"{PERSON}@s.whatsapp.net"},
        {"remoteJid": "status@broadcast"},
    ],
)
def test_only_a_person_who_writes_to_us_alone_orders_a_stop(
    db: Database, line: Line, key: dict[str, str]
) -> None:
    """Our own words and a group's talk are stored, and order nothing."""
    assert line.status(*line.said("SAIR", **key)) == "success"
    assert db.rows("select 1 from messaging.opt_outs") == [] and confirmations(db) == []
    assert stored(db)["events"] == 1


def test_stop_behind_a_lid_counts_once_the_person_is_known(db: Database, line: Line) -> None:
    """Some chats hide the phone: the same person's stop holds, told by what the two were called before."""
    line.status(*line.said("oi", remoteJid=f"{PERSON}@s.whatsapp.net", remoteJidAlt="998877665544@lid"))
    line.status(*line.said("SAIR", remoteJid="998877665544@lid"))
    [row] = db.rows("select phone_key from messaging.opt_outs where opted_in_at is null")
    [key] = db.rows("select messaging.phone_key(%(phone)s) as phone_key", {"phone": PERSON})
    assert row == key


def test_receipts_move_forward_only(db: Database, line: Line) -> None:
    """READ, then an older DELIVERY_ACK (contract 1.11): it stays read. The id is `keyId`."""
    message = accepted(db, line, "3EB0A")
    for status, expected in (("SERVER_ACK", "sent"), ("READ", "read"), ("DELIVERY_ACK", "read")):
        assert line.status(*line.update("3EB0A", status)) == "success"
        assert state(db, message)["delivery_state"] == expected
    assert line.status(*line.update("3EB0A", "READ")) == "ignored"
    line.status(*line.update("cmwrbrmxm0008pk7dv4pvgh5z", "READ"))


def test_receipt_that_comes_before_the_answer_is_applied_later(db: Database, line: Line) -> None:
    """Kept until the id is known to be ours."""
    line.status(*line.update("3EB0B", "DELIVERY_ACK"))
    assert state(db, accepted(db, line, "3EB0B"))["delivery_state"] == "delivered"


def test_what_is_sent_is_stored_as_ours(db: Database, line: Line) -> None:
    """By the API or by hand: evidence of what left this number, and no order."""
    _, data = line.said("SAIR", fromMe=True)
    assert line.status("send.message", data) == "success"
    [row] = db.rows(EVENTS)
    assert (row["kind"], row["text"], row["ignored_reason"]) == ("message", "SAIR", "own_message")
    assert confirmations(db) == []
    seen = db.rows("select provider_message_id, source, sent_by from messaging.sightings")
    sighted = {"provider_message_id": data["key"]["id"], "source": "outgoing_event", "sent_by": "api"}
    assert seen == [sighted]


def test_nobody_answers_what_is_said_to_an_agencys_number(db: Database, line: Line, logs: Logs) -> None:
    """A question is stored for whoever reads it; no bot takes a turn."""
    line.status(*line.said("quanto custa?"))
    assert stored(db)["turns"] == 0 and stored(db)["messages"] == 0
    [row] = db.rows(EVENTS)
    assert (row["phone"], row["text"]) == (PERSON, "quanto custa?")


@pytest.mark.parametrize(
    "event", ["contacts.update", "chats.upsert", "instance.create", "presence.update", "", None]
)
def test_events_that_nobody_asked_for_are_stored_nowhere(db: Database, line: Line, event: str | None) -> None:
    """200, so that they are not sent again; no row."""
    before = stored(db)
    assert line.status(event, [{"remoteJid": f"{PERSON}@s.whatsapp.net"}]) == "ignored"
    assert stored(db) == before


def test_every_observed_event_is_taken_and_no_secret_is_kept(
    db: Database, agency: Agency, line: Line, logs: Logs
) -> None:
    """The bodies of a real server: 200 each; neither key, token nor code in a stored event or in the log."""
    for observed in map(json.loads, OBSERVED.read_text().splitlines()):
        payload = observed | {"instance": line.name, "apikey": TOKEN, "token": "T0KEN-1", "hash": "H4SH-1"}
        if isinstance(payload.get("data"), dict):
            payload["data"] = payload["data"] | {"base64": "QkFTRTY0", "pairingCode": "ABCD1234"}
        answer = line.http.post(PATH, json=payload, headers=line.headers)
        assert answer.status_code == 200, payload["event"]
    kept = json.dumps([row["payload"] for row in db.rows(EVENTS)])
    assert len(db.rows(EVENTS)) > 5
    for secret in (TOKEN, "T0KEN-1", "H4SH-1", "QkFTRTY0", "ABCD1234", "2@<ref>", "apikey"):
        assert secret not in kept and secret not in logs.text


def test_the_secret_of_the_request_is_not_kept_where_the_body_repeats_it(db: Database, line: Line) -> None:
    """In a message, an end, or a list of headers, under whatever key."""
    echo: dict[str, Any] = {
        "headers": {"X-Roleta-Webhook": "another", "Forwarded": f"by {line.secret}"},
        "webhook": [{"url": f"https://gateway.example/?secret={line.secret}"}],
    }
    assert line.status(*line.said("oi"), **echo) == "success"
    assert line.status(*line.closed(), **echo) == "success"
    rows = db.rows(EVENTS)
    assert len(rows) == 2
    for row in rows:
        assert line.secret not in json.dumps(row["payload"])
        assert row["payload"]["headers"] == {"Forwarded": "by [redacted]"}
        assert row["payload"]["webhook"] == [{"url": "https://gateway.example/?secret=[redacted]"}]


def test_authentic_nonsense_is_never_refused(line: Line) -> None:
    """After a 4xx the provider forgets a person's message; after a 5xx it repeats the nonsense."""
    source = random.Random(7)
    odd: list[Any] = [
        None,
        True,
        0,
        -1.5,
        "",
        "x" * 300,
        "\x00\ud800",
        [],
        {},
        [[]],
        {"key": {}},
        {"status": "closed"},
    ]
    names = ["messages.upsert", "messages.update", "connection.update", "qrcode.updated", "status.instance"]
    for _ in range(150):
        event, data = line.said("oi")
        if source.random() < 0.5:
            data = {key: source.choice(odd) if source.random() < 0.5 else each for key, each in data.items()}
            data["key"] = source.choice([data["key"], {"remoteJid": source.choice(odd), "id": "A"}, None])
        else:
            event, data = source.choice(names), source.choice(odd)
        payload = line.envelope(event, data, date_time=source.choice(odd))
        answer = line.http.post(PATH, content=json.dumps(payload), headers=line.headers)
        assert answer.status_code == 200, payload


def test_without_its_database_the_gateway_says_later(line: Line) -> None:
    """503, which the provider repeats (contract 6, Retries): nothing is lost."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with Database(nowhere, wait_timeout=0.3) as away, serving(away) as client:
        answer = client.post(PATH, json=line.envelope(*line.said("SAIR")), headers=line.headers)
    assert answer.status_code == 503 and "Retry-After" in answer.headers
