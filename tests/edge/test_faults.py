"""Faults behind the gateway: Postgres away, a defect of our own, secrets in flight, many callers at once."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from scripts.embedded import EmbeddedPostgres, bootstrap_supabase
from scripts.migrate import apply_all
from shared import profiles
from shared.db import Database
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.gateway import (
    FUNCTIONS,
    PERSON,
    SERVICE_KEY,
    Number,
    add_number,
    enqueue,
    message,
    serving,
    sign_up,
    stored,
)
from tests.servers import FAST
from tests.waiting import eventually


@pytest.fixture
def mortal_server() -> Iterator[EmbeddedPostgres]:
    """A migrated server of this test's own, on a port of its own, to be stopped and started again."""
    folder = Path(tempfile.mkdtemp(prefix="roleta-edge-"))
    folder.chmod(0o755)  # as root the server is `nobody` and passes through
    first = EmbeddedPostgres(folder, settings=FAST)
    try:
        first.start()
        bootstrap_supabase(first.url)
        apply_all(first.url, say=lambda _: None)
        first.stop()
        with EmbeddedPostgres(folder, port=first.port, settings=FAST) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_postgres_away_is_a_503_that_asks_to_come_back_and_then_all_is_well(
    mortal_server: EmbeddedPostgres, logs: Logs
) -> None:
    """Nobody gets a 500 while the database is away, and no restart of the gateway is needed afterwards."""
    with Database(mortal_server.url, wait_timeout=0.5) as db, serving(db) as client:
        number = add_number(db)
        assert sign_up(client).status_code == 200
        mortal_server.stop()

        event = message(number)
        for answer in (
            sign_up(client, phone="11987650002"),
            enqueue(client, {"phone": PERSON, "message": "oi"}),
            client.post(number.webhook, json=event),
            client.post(f"{FUNCTIONS}/webhook-zapi/strange", json=event),
            client.get("/healthz"),
        ):
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            assert "try again" in answer.json()["error"] and "127.0.0.1" not in answer.text
        # What needs no database is still said.
        assert sign_up(client, phone="1").status_code == 400

        mortal_server.start()
        eventually(lambda: client.get("/healthz").status_code == 200, timeout=20, what="health")
        assert client.post(number.webhook, json=event).json()["status"] == "accepted"
        assert sign_up(client, phone="11987650002").json()["success"] is True
    assert logs.named("request.failed") == []
    assert len(logs.named("request.unavailable")) >= 5 and "postgresql://" not in logs.text


def test_an_event_whose_call_was_cut_off_is_taken_all_the_same(
    client: httpx.Client, db: Database, database_url: str, number: Number, logs: Logs
) -> None:
    """The connection dies in mid-call: the event is handled again, and stored once."""
    sign_up(client)
    waiting = "from pg_locks where relation = 'messaging.inbound_events'::regclass and not granted"
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute("lock table messaging.inbound_events in exclusive mode")
        asked = thread.submit(client.post, number.webhook, json=message(number))
        killed = f"select pg_terminate_backend(pid) {waiting}"
        eventually(lambda: other.execute(killed).fetchall(), what="the event being stored")
        eventually(lambda: logs.named("event.again") or asked.done(), what="the second try")
        other.rollback()
        assert asked.result(10).json().get("status") == "accepted"
    assert stored(db)["events"] == 1


def test_database_that_is_not_migrated_is_a_503(bare_database_url: str, logs: Logs) -> None:
    """A gateway started too early asks its callers to wait."""
    with Database(bare_database_url) as db, serving(db) as client:
        answer = sign_up(client)
    assert answer.status_code == 503 and "migrated" in answer.json()["error"]


def test_our_own_defect_is_told_to_nobody_but_the_log_and_there_without_secrets(
    db: Database, number: Number, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error is a JSON 500 with the request's id; its traceback is logged, scrubbed."""
    settings = Settings(
        service_role_key=SERVICE_KEY,
        zapi_instance_id="SIM1",
        zapi_token="canary-zapi-token-01",
        zapi_client_token="canary-client-token-01",
        database_url="postgresql://postgres:canary-password-01@127.0.0.1:1/none",
    )

    def broken(*_: object, **__: object) -> profiles.SignUp:
        raise RuntimeError(
            f"{settings.zapi_token} {settings.zapi_client_token} {settings.database_url} {PERSON}"
        )

    # The fault is injected at the seam to the database; the code under test is the gateway's.
    monkeypatch.setattr(profiles, "sign_up", broken)
    with serving(db, settings) as client:
        answer = sign_up(client)

    assert answer.status_code == 500
    assert answer.json() == {"error": "Internal error", "request_id": answer.headers["x-request-id"]}
    [logged] = logs.named("request.failed")
    assert logged["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" in logged["traceback"] and "RuntimeError" in logged["traceback"]
    for secret in ("canary-zapi-token-01", "canary-client-token-01", "canary-password-01", PERSON):
        assert secret not in logs.text
    assert stored(db)["profiles"] == 0


def test_secrets_and_whole_phones_never_reach_a_log_or_an_answer(
    client: httpx.Client, db: Database, number: Number, logs: Logs
) -> None:
    """Whatever is asked, rightly or wrongly, what identifies or opens stays inside."""
    strange = "canary-strange-secret-01"
    bearer = {"authorization": f"Bearer {strange}"}
    token = {"z-api-token": number.zapi_token}
    answers = [
        sign_up(client),
        sign_up(client),
        sign_up(client, email=f"{strange}@@"),
        enqueue(client, {"phone": PERSON, "message": strange}),
        client.post(f"{FUNCTIONS}/send-zapi-message", json={}, headers=bearer),
        client.post(number.webhook, json=message(number, strange), headers=token),
        client.post(number.webhook, json=message(number, fromMe=True), headers={"z-api-token": strange}),
        client.post(f"{FUNCTIONS}/webhook-zapi/{strange}", json=message(number)),
        client.post(f"{FUNCTIONS}/{strange}/{number.webhook_token}", json={}),
        client.post(f"{FUNCTIONS}/start-trial?key={strange}", content=strange.encode()),
        client.post(
            number.webhook,
            json={"type": "ConnectedCallback", "instanceId": number.zapi_id, "phone": "5521999990000"},
        ),
    ]
    said = "\n".join([logs.text, *(f"{answer.headers} {answer.text}" for answer in answers)])
    for secret in (strange, number.zapi_token, number.webhook_token, SERVICE_KEY, PERSON, "5521999990000"):
        assert secret not in said
    assert "canary" not in said


@pytest.mark.slow
def test_many_people_and_events_at_once_are_all_served(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """64 callers at once: none gets a 5xx, everybody is placed, every event is stored once."""

    def one(index: int) -> tuple[int, int]:
        phone = f"55119876{index:05d}"
        first = sign_up(client, phone=phone)
        second = client.post(number.webhook, json=message(number, phone=phone, messageId=f"M{index}"))
        return first.status_code, second.status_code

    with ThreadPoolExecutor(64) as threads:
        codes = list(threads.map(one, range(200)))
    assert set(codes) == {(200, 200)}
    counts = stored(db)
    assert (counts["profiles"], counts["seats_taken"], counts["messages"]) == (200, 200, 200)
    assert (counts["events"], counts["turns"]) == (200, 200)
