"""webhook-zapi over HTTP: what an authentic event becomes, once, and what it is answered."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import structlog

from shared.agent import FixedAgent
from shared.db import Database
from shared.turns import TurnDuty
from tests.edge.conftest import Logs
from tests.edge.gateway import PERSON, SETTINGS, Number, add_number, message, sign_up, status, stored


def post(client: httpx.Client, number: Number, payload: dict[str, Any]) -> dict[str, Any]:
    """The body of the answer to an event on the number's own path."""
    answer = client.post(number.webhook, json=payload)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def instance_status(db: Database, number: Number) -> str:
    """How the number stands."""
    [row] = db.rows(
        "select status from public.whatsapp_instances where id = %(id)s", {"id": number.instance_id}
    )
    return str(row["status"])


def test_message_of_a_known_person_is_accepted_and_waits_for_its_turn(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The answer is composed by a worker, never in the request."""
    sign_up(client)

    answer = post(client, number, message(number, "bom dia"))

    [event] = db.rows("select id, text, phone, ignored_reason, processed_at from messaging.inbound_events")
    assert answer == {"status": "accepted", "event_id": event["id"]}
    assert (event["text"], event["phone"]) == ("bom dia", PERSON)
    assert event["ignored_reason"] is None and event["processed_at"] is None
    assert stored(db)["turns"] == 1


def test_bug_01_webhook_of_a_second_number_is_heard(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Each number is known by its own token; the original compared with the environment's only."""
    sign_up(client)
    second = add_number(db, phone="5511987000002")
    answer = client.post(
        "/functions/v1/webhook-zapi", json=message(second), headers={"z-api-token": second.zapi_token}
    )
    assert answer.status_code == 200 and answer.json()["status"] == "accepted"
    assert db.rows("select instance_id from messaging.inbound_events") == [
        {"instance_id": second.instance_id}
    ]


def test_bug_02_answer_leaves_from_the_number_that_was_written_to(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Whoever writes to number B while bound to A is answered by B, in either form of the phone."""
    sign_up(client)
    second = add_number(db, phone="5511987000002")
    assert post(client, second, message(second, phone="551187650001"))["status"] == "accepted"

    assert TurnDuty(db, SETTINGS, structlog.get_logger(), FixedAgent()).run_once("worker-1")

    [reply] = db.rows("select instance_id, content from messaging.outbox where purpose = 'answer'")
    assert reply["instance_id"] == second.instance_id
    assert "Ana" in reply["content"]["text"]


@pytest.mark.parametrize("threads", [1, 16])
def test_duplicates_are_stored_once(client: httpx.Client, db: Database, number: Number, threads: int) -> None:
    """A provider that tells a thing many times, also at once, has told it once."""
    sign_up(client)
    payload = message(number)
    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(lambda _: post(client, number, payload), range(16)))
    assert sum(each["status"] == "accepted" for each in answers) == 1
    assert answers.count({"status": "ignored", "reason": "duplicate"}) == 15
    assert (stored(db)["events"], stored(db)["turns"]) == (1, 1)


def test_ignored_events_are_answered_with_the_reason_and_stored_with_it(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The originals' reasons; what asks for no answer is kept all the same."""
    sign_up(client)
    cases: list[tuple[dict[str, Any], str]] = [
        (message(number, fromMe=True), "own_message"),
        (message(number, isGroup=True), "group_message"),
        (message(number, phone="120363000000000001-group"), "group_message"),
        (message(number, phone=None), "missing_phone"),
        (message(number, phone=""), "missing_phone"),
        (message(number, phone="123"), "invalid_phone"),
        (message(number, phone="100000000000001@lid"), "user_not_found"),
        (message(number, phone="abc@lid"), "invalid_phone"),
        (message(number, None), "missing_data"),
        (message(number, None, image={"imageUrl": "https://media.example/1.jpg"}), "missing_data"),
        (message(number, None, reaction={"value": "❤️"}), "missing_data"),
        (message(number, None, waitingMessage=True), "status_only_event"),
        (message(number, None, notification="CALL_MISSED"), "status_only_event"),
        (message(number, isEdit=True), "edited_message"),
        (message(number, phone="5521999990000"), "user_not_found"),
        (message(number, type="PresenceChatCallback", status="COMPOSING"), "status_only_event"),
    ]
    for payload, reason in cases:
        assert post(client, number, payload) == {"status": "ignored", "reason": reason}, payload
    kept = db.rows("select ignored_reason from messaging.inbound_events order by id")
    assert [row["ignored_reason"] for row in kept] == [reason for _, reason in cases]
    assert stored(db)["turns"] == 0


@pytest.mark.parametrize(
    ("content", "noted"),
    [
        ({"image": {"imageUrl": "https://media.example/1.jpg"}}, True),
        ({"sticker": {"stickerUrl": "https://media.example/1.webp"}}, True),
        ({"location": {"latitude": 1, "longitude": 2}}, True),
        ({"reaction": {"value": "❤️"}}, False),
        ({"image": {"imageUrl": "https://media.example/1.jpg"}, "fromMe": True, "fromApi": True}, False),
        ({"image": {"imageUrl": "https://media.example/1.jpg"}, "isGroup": True}, False),
    ],
    ids=str,
)
def test_picture_without_words_is_not_answered_and_counts_as_having_written(
    client: httpx.Client, db: Database, number: Number, content: dict[str, Any], noted: bool
) -> None:
    """Who sends a picture needs no nudge; who reacts, and we ourselves, have not written."""
    sign_up(client)
    assert post(client, number, message(number, None, **content))["status"] == "ignored"
    [person] = db.rows("select last_user_message_at is not null as noted from public.profiles")
    assert person["noted"] is noted and stored(db)["turns"] == 0


def test_profiles_that_cannot_be_read_lose_no_message(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The original's answer; the event is stored with it, for nobody tells us again."""
    db.rows("alter table public.profiles rename to gone")
    try:
        told = post(client, number, message(number, "importante"))
    finally:
        db.rows("alter table public.gone rename to profiles")
    assert told == {"status": "ignored", "reason": "profile_lookup_error"}
    assert db.rows("select text from messaging.inbound_events") == [{"text": "importante"}]


def test_caption_counts_as_text_and_audio_without_text_is_apologised_for(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """An image with a caption is a message; audio asks for words."""
    sign_up(client)
    image = message(number, None, image={"imageUrl": "https://media.example/1.jpg", "caption": "olha"})
    assert post(client, number, image)["status"] == "accepted"
    duty = TurnDuty(db, SETTINGS, structlog.get_logger(), FixedAgent())
    assert duty.run_once("worker-1")
    audio = message(number, None, audio={"audioUrl": "https://media.example/1.ogg", "seconds": 3})
    assert post(client, number, audio)["status"] == "accepted"
    assert duty.run_once("worker-1")
    assert not duty.run_once("worker-1")

    rows = db.rows("select content from messaging.outbox where purpose = 'answer' order by id")
    texts = [row["content"]["text"] for row in rows]
    assert len(texts) == 2 and "áudio" not in texts[0] and "áudio" in texts[1]


def test_disconnected_and_connected_events_stop_and_resume_the_number(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The provider's word is enough; a person's pause is not undone by it."""
    gone = {"type": "DisconnectedCallback", "instanceId": number.zapi_id, "disconnected": True, "momment": 1}
    back = {"type": "ConnectedCallback", "instanceId": number.zapi_id, "connected": True, "momment": 2}
    assert post(client, number, gone) == {"status": "success"}
    assert instance_status(db, number) == "disconnected"
    assert post(client, number, back | {"phone": number.phone}) == {"status": "success"}
    assert instance_status(db, number) == "active"


def test_number_paired_with_another_phone_is_not_resumed(
    client: httpx.Client, db: Database, number: Number, logs: Logs
) -> None:
    """A pairing with a stranger's phone must not send our people's messages."""
    post(client, number, {"type": "DisconnectedCallback", "instanceId": number.zapi_id, "momment": 1})
    other = {
        "type": "ConnectedCallback",
        "instanceId": number.zapi_id,
        "phone": "5521999990000",
        "momment": 2,
    }
    assert post(client, number, other) == {"status": "ignored", "reason": "other_phone"}
    assert instance_status(db, number) == "disconnected"
    assert len(logs.named("instance.other_phone")) == 1 and "5521999990000" not in logs.text
    assert stored(db)["events"] == 2
    # Our own phone in its other form is no stranger.
    own = {"type": "ConnectedCallback", "instanceId": number.zapi_id, "phone": "551187000001", "momment": 3}
    assert post(client, number, own) == {"status": "success"}
    assert instance_status(db, number) == "active"


def test_receipts_before_and_after_the_answer_to_the_send_are_applied_and_only_forward(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """A receipt that overtakes the answer waits for it; delivery never goes back."""
    sign_up(client)
    [claimed] = db.call("messaging.claim", p_worker="w", p_limit=1)
    attempt = db.call_one(
        "messaging.begin_attempt",
        p_message_id=claimed["message_id"],
        p_lease_token=claimed["lease_token"],
        p_worker="w",
    )["attempt_id"]

    assert post(client, number, status(number, "RECEIVED", "WA-1")) == {"status": "success"}
    db.call(
        "messaging.record_attempt", p_attempt_id=attempt, p_outcome="accepted", p_provider_message_id="WA-1"
    )
    assert _delivery(db) == ("accepted", "delivered")
    assert post(client, number, status(number, "READ", "WA-1")) == {"status": "success"}
    assert post(client, number, status(number, "SENT", "WA-1")) == {"status": "success"}
    assert _delivery(db) == ("accepted", "read")
    assert post(client, number, status(number, "READ", "WA-1"))["reason"] == "duplicate"


def _delivery(db: Database) -> tuple[str, str]:
    [row] = db.rows("select dispatch_state, delivery_state from messaging.outbox where purpose = 'welcome'")
    return row["dispatch_state"], row["delivery_state"]


def test_receipts_of_strange_ids_are_kept_and_monstrous_ones_do_no_harm(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Ids that we never sent are normal; an id that no index could hold is stored with its event only."""
    assert post(client, number, status(number, "READ", "human-1", "X" * 50_000)) == {"status": "success"}
    assert post(client, number, status(number, "SENT", *map(str, range(3000)))) == {"status": "success"}
    assert stored(db)["receipts"] == 1001 and stored(db)["events"] == 2


def test_credentials_in_a_payload_are_not_stored(client: httpx.Client, db: Database, number: Number) -> None:
    """Providers put tokens into bodies; the stored event has none at any depth."""
    secret = "canary-credential-0001"
    payload = message(number, token=secret, data={"apikey": secret, "list": [{"Client-Token": secret}]})
    post(client, number, payload)
    [row] = db.rows("select payload::text as payload from messaging.inbound_events")
    assert secret not in row["payload"] and "bom dia" not in row["payload"]


def test_secrets_of_the_request_are_stored_nowhere_that_its_payload_repeats_them(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The number's own address and token, whatever the key they come back under, plain or encoded; the rest
    of the text stays."""
    echo: dict[str, Any] = {
        "receivedCallbackUrl": f"https://gateway.example{number.webhook}?x=1",
        "nested": [{"address": f"see {number.webhook_token} and {number.zapi_token}."}],
        number.webhook_token: {"headers": {"z-api-token": number.zapi_token, "Other": number.zapi_token}},
    }
    answer = client.post(
        number.webhook, json=message(number, **echo), headers={"z-api-token": number.zapi_token}
    )
    assert answer.status_code == 200
    [row] = db.rows("select payload, payload::text as all_of_it from messaging.inbound_events")
    assert number.webhook_token not in row["all_of_it"] and number.zapi_token not in row["all_of_it"]
    assert row["payload"]["receivedCallbackUrl"] == (
        "https://gateway.example/functions/v1/webhook-zapi/[redacted]?x=1"
    )
    assert row["payload"]["nested"] == [{"address": "see [redacted] and [redacted]."}]


@pytest.mark.parametrize(
    "raw",
    [
        '{"text":{"message":"a\\u0000b"}}',
        '{"text":{"message":"a\\ud800b"}}',
        '{"text":{"message":"a\x00b"}}',
        '{"text":{"message":"ab"},"momment":NaN,"x":Infinity,"y":1e999}',
        '{"text":{"message":"ab"},"momment":' + "9" * 5000 + "}",
        '{"text":{"message":"ab"},"text":{"message":"a\nb"}}',
    ],
)
def test_unstorable_content_of_an_authentic_event_is_replaced_never_lost(
    client: httpx.Client, db: Database, number: Number, raw: str
) -> None:
    """A 4xx here would lose a person's message."""
    sign_up(client)
    ids = f'"type":"ReceivedCallback","instanceId":"{number.zapi_id}","phone":"{PERSON}",'
    answer = client.post(number.webhook, content=("{" + ids + raw[1:]).encode())
    assert (answer.status_code, answer.json().get("status")) == (200, "accepted"), answer.text
    [row] = db.rows("select text from messaging.inbound_events")
    assert row["text"] in ("a\ufffdb", "ab", "a\nb")


def test_invalid_utf8_in_an_authentic_event_is_replaced(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Bytes that are no text become U+FFFD."""
    sign_up(client)
    content = json.dumps(message(number, "olXX")).encode().replace(b"XX", b"\xff\xfe")
    assert client.post(number.webhook, content=content).json()["status"] == "accepted"
    assert db.rows("select text from messaging.inbound_events") == [{"text": "ol\ufffd\ufffd"}]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_gzip_and_any_content_type_are_taken_from_a_provider(
    client: httpx.Client, number: Number, content_type: str | None
) -> None:
    """Z-API may compress (zapi contract 5.1), and what it calls the body does not matter."""
    sign_up(client)
    headers = {"content-encoding": "gzip"} | ({"content-type": content_type} if content_type else {})
    content = gzip.compress(json.dumps(message(number)).encode())
    assert client.post(number.webhook, content=content, headers=headers).json()["status"] == "accepted"
