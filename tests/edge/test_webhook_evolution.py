"""webhook-evolution over HTTP: who is believed, and what each event about a connection does."""

import json
import statistics
import threading
import time

import httpx
import pytest

from scripts.simulator.evolution.process import EvolutionSimulator
from shared import outbox
from shared.db import Database
from shared.worker import Worker
from tests.agency import Agency, Gateway, look_at_health, pair
from tests.edge.conftest import Logs
from tests.edge.evolution_events import PATH, TOKEN, Line, listen, rotated
from tests.edge.gateway import stored
from tests.waiting import eventually

IS_DUE = "select last_health_check is null as due from public.whatsapp_instances where id = %(id)s"


@pytest.fixture
def line(client: httpx.Client, agency: Agency) -> Line:
    """The agency's own number, connected."""
    return listen(client, agency, None, is_open=True)


def is_asked_soon(line: Line) -> bool:
    """Whether the next look at health asks the provider about this number."""
    return bool(line.db.rows(IS_DUE, {"id": line.instance_id})[0]["due"])


def has_been_asked(line: Line) -> None:
    """As after a look at health."""
    line.db.rows(
        "update public.whatsapp_instances set last_health_check = messaging.clock() where id = %(id)s"
        " returning 1",
        {"id": line.instance_id},
    )


def test_every_refusal_is_the_same_answer_and_stores_nothing(
    client: httpx.Client, db: Database, agency: Agency, line: Line
) -> None:
    """Nobody learns whether a number or a secret exists; the payload's own apikey proves nothing."""
    other = listen(client, agency, agency.clients[0], is_open=True)
    own = line.envelope(*line.said("SAIR"))
    before = stored(db)
    attempts: list[tuple[str, dict[str, object], dict[str, str]]] = [
        (PATH, own, {}),
        (PATH, own, {"x-roleta-webhook": ""}),
        (PATH, own, {"x-roleta-webhook": "wrong"}),
        (PATH, own, {"x-roleta-webhook": f"{line.secret}x"}),
        (PATH, own, {"x-roleta-webhook": TOKEN, "apikey": TOKEN}),
        (PATH, own, {"authorization": f"Bearer {line.secret}"}),
        (PATH, own, other.headers),
        (PATH, own | {"instance": other.name}, line.headers),
        (PATH, own | {"instance": "adscape_unknown"}, line.headers),
        (PATH, own | {"instance": None}, line.headers),
        (PATH, own | {"instance": [line.name]}, line.headers),
        (PATH, own | {"instance": "\x00\ud800"}, line.headers),
        (PATH, {}, line.headers),
        (f"{PATH}/{line.secret}", own, {}),
        (f"{PATH}/messages-upsert", own, {}),
    ]
    looks = set()
    for path, payload, headers in attempts:
        answer = client.post(path, content=json.dumps(payload), headers=headers)
        assert answer.status_code == 401, (path, headers)
        same = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
        looks.add((answer.text, tuple(sorted(same.items()))))
    assert len(looks) == 1 and stored(db) == before
    assert client.post(PATH, json={}).json() == {"error": "Unauthorized"}


def test_two_secrets_are_live_during_a_rotation(client: httpx.Client, line: Line) -> None:
    """What was on its way with the old secret is still believed; one before that is not."""
    second = rotated(line)
    assert line.status(*line.said("oi")) == second.status(*line.said("oi")) == "success"
    third = rotated(second)
    assert second.status(*line.said("oi")) == third.status(*line.said("oi")) == "success"
    assert line.post(*line.said("oi")).status_code == 401


def test_event_name_at_the_end_of_the_address_is_accepted(client: httpx.Client, line: Line) -> None:
    """As the provider appends it where byEvents is set (contract 6): it is a name, no secret."""
    for suffix in ("messages-upsert", "connection-update", "anything"):
        payload = line.envelope(*line.said("oi"))
        answer = client.post(f"{PATH}/{suffix}", json=payload, headers=line.headers)
        assert (answer.status_code, answer.json()) == (200, {"status": "success"})


def test_code_is_shown_and_a_late_one_does_not_come_back(client: httpx.Client, agency: Agency) -> None:
    """A delayed delivery is told from news by the provider's own clock; after the limit there is none."""
    line = listen(client, agency, None, is_open=False)
    late = line.envelope(*line.code("2@first"))
    assert line.status(*line.code("2@second", "ABCD1234")) == "success"
    answer = client.post(PATH, json=late, headers=line.headers)
    assert answer.json() == {"status": "ignored"}
    [seen] = agency.as_manager.call("messaging.pairing_view", p_client_id=None)
    assert (seen["pairing_state"], seen["qr_code"], seen["pairing_code"]) == (
        "waiting_for_scan", "2@second", "ABCD1234",
    )  # fmt: skip
    assert line.status("qrcode.updated", {"message": "QR code limit reached", "statusCode": 500}) == "success"
    [seen] = agency.as_manager.call("messaging.pairing_view", p_client_id=None)
    assert (seen["pairing_state"], seen["qr_code"]) == ("expired", None)
    assert line.status(*line.change("refused", 428)) == "ignored"
    assert line.status(*line.code("2@third")) == "ignored"


def test_code_of_a_number_that_is_not_being_paired_is_nobodys(line: Line, agency: Agency) -> None:
    """A connected number shows no code, whatever the provider sends."""
    assert line.status(*line.code("2@strange")) == "ignored"
    [seen] = agency.as_manager.call("messaging.pairing_view", p_client_id=None)
    assert seen["qr_code"] is None


@pytest.mark.parametrize("reason", [401, 403])
def test_phone_that_is_refused_ends_its_pairing(client: httpx.Client, agency: Agency, reason: int) -> None:
    """A banned account cannot be paired, and the dialog says so; 401 may be our own logout."""
    line = listen(client, agency, None, is_open=False)
    line.status(*line.code("2@first"))
    line.status(*line.closed(reason))
    [seen] = agency.as_manager.call("messaging.pairing_view", p_client_id=None)
    expected = "refused" if reason == 403 else "waiting_for_scan"
    assert seen["pairing_state"] == expected and bool(seen["detail"]) == (reason == 403)


def test_open_is_asked_after_and_not_believed(client: httpx.Client, agency: Agency) -> None:
    """Only the provider's state makes a number connected; the event wakes whoever asks."""
    line = listen(client, agency, None, is_open=False)
    has_been_asked(line)
    phone = {"wuid": "5511988887777:12@s.whatsapp.net", "profileName": "Loja"}
    assert line.status(*line.change("open", 200, **phone)) == "success"
    assert agency.status(None) == "pending" and is_asked_soon(line)
    row = agency.connection(None)
    assert row is not None and row["phone_number"] == "5511988887777"


@pytest.mark.parametrize("end", [401, 402, 403, 406, "status", "logout.instance", "remove.instance"])
def test_bug_25_an_end_is_visible_at_once(agency: Agency, line: Line, end: str | int) -> None:
    """The phone removed the device, a ban, a logout: disconnected with the event, and asked after."""
    has_been_asked(line)
    if isinstance(end, int):
        event = line.change("close", end)
    else:
        event = line.closed() if end == "status" else (end, {})
    assert line.status(*event) == "success"
    assert agency.status(None) == "disconnected" and is_asked_soon(line)


@pytest.mark.parametrize(("state", "reason"), [("close", 408), ("close", 515), ("connecting", 200)])
def test_a_temporary_loss_is_no_end(agency: Agency, line: Line, state: str, reason: int) -> None:
    """All other reasons mend themselves (contract 10.7): the provider is asked, nobody has to scan again."""
    line.db.rows(
        "update public.whatsapp_instances set last_health_check = now() - interval '6 s' returning 1"
    )
    line.status(*line.change(state, reason))
    assert agency.status(None) == "connected" and is_asked_soon(line)


def test_doubled_end_ends_once(agency: Agency, line: Line) -> None:
    """Sent again after the number is back, the same event is a copy, and ends nothing."""
    event, data = line.change("close", 401)
    first = line.envelope(event, data)
    line.http.post(PATH, json=first, headers=line.headers)
    line.db.call("messaging.record_health", p_instance_id=line.instance_id, p_connected=True)
    again = line.http.post(PATH, json=first, headers=line.headers)
    assert again.json() == {"status": "ignored"}
    assert agency.status(None) == "connected"
    assert line.status(event, data) == "success"
    assert agency.status(None) == "disconnected"


def test_late_end_is_put_right_by_the_look_that_it_asks_for(
    agency: Agency, db: Database, evolution: EvolutionSimulator, served: Gateway
) -> None:
    """The end of an earlier pairing, delivered only now: down until the provider is asked."""
    number = pair(agency, evolution, served.settings, None)
    line = rotated(Line(served.http, db, number, agency.name(None), ""))
    line.status(*line.closed())
    assert agency.status(None) == "disconnected"
    assert look_at_health(db, served.settings) == 1
    assert agency.status(None) == "connected"


def test_events_of_an_ended_connection_change_nothing(agency: Agency, db: Database, line: Line) -> None:
    """What the provider still says of a number that was disconnected on purpose revives nothing."""
    agency.as_manager.call("messaging.end_connection", p_client_id=None)
    for event in (line.change("open"), line.change("connecting"), line.closed(), line.code("2@x")):
        line.status(*event)
    assert db.call("messaging.take_health_checks", p_every_s=0.0) == []
    db.call("messaging.record_health", p_instance_id=line.instance_id, p_connected=True)
    assert db.rows("select status from public.whatsapp_instances") == [{"status": "disconnected"}]


def test_storm_of_connecting_hurts_nobody(
    agency: Agency, db: Database, evolution: EvolutionSimulator, served: Gateway, logs: Logs
) -> None:
    """As many as arrive in ten seconds while the provider has no network (contract 1.14): no row for any,
    quick answers, one alarm at most, and another number's message leaves as if nothing were."""
    sending = pair(agency, evolution, served.settings, agency.clients[0])
    line = listen(served.http, agency, None, is_open=True)
    message = outbox.NewMessage(
        purpose="agency_message", phone="5511966660001", text="Oi", dedupe_key="k", enqueued_by="test",
        instance_id=sending,
    )  # fmt: skip
    stop = threading.Event()
    worker = threading.Thread(target=Worker(db, served.settings, "w1").run, args=(stop,))
    took_s: list[float] = []

    def storm() -> None:
        for _ in range(200):
            begun = time.perf_counter()
            assert line.status(*line.change("connecting")) == "success"
            took_s.append(time.perf_counter() - begun)

    storming = threading.Thread(target=storm)
    worker.start()
    storming.start()
    try:
        [sent] = outbox.enqueue_many(db, [message])
        enqueued_at = time.perf_counter()
        eventually(lambda: any(each["text"] == "Oi" for each in evolution.accepted()), timeout=3)
        assert time.perf_counter() - enqueued_at < 3
    finally:
        storming.join()
        stop.set()
        worker.join()
    assert sent.created and len(took_s) == 200 and statistics.median(took_s) < 0.05
    events = "select 1 from messaging.inbound_events where instance_id = %(id)s"
    assert db.rows(events, {"id": line.instance_id}) == []
    assert len(logs.named("connection.storm")) <= 1


def test_alarm_rings_once_when_connecting_does_not_end(client: httpx.Client, line: Line, logs: Logs) -> None:
    """Thirty seconds of it within a minute are no flutter: the log says where to look."""
    for _ in range(40):
        line.db.rows(
            "update messaging.pairings set connecting_at = connecting_at - interval '2 s',"
            " connecting_since = greatest(connecting_since, now() - interval '50 s') returning 1"
        )
        line.status(*line.change("connecting"))
    [alarm] = logs.named("connection.storm")
    assert alarm["instance_name"] == line.name
