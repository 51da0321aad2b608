"""send-zapi-message over HTTP: who may call it, what is enqueued, and what a repeat means."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx

from shared.db import Database
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, PERSON, SERVICE_KEY, Number, enqueue, serving, sign_up, stored

BODY = {"phone": PERSON, "message": "Sua sessão foi marcada."}


def test_message_is_enqueued_and_the_answer_says_only_that(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The answer does not claim that it was sent: the number's pace decides when it goes."""
    answer = enqueue(client, BODY)

    assert answer.status_code == 200
    [row] = db.rows("select id, purpose, lane, phone, content, dispatch_state from messaging.outbox")
    assert answer.json() == {"status": "queued", "message_id": row["id"], "type": "text"}
    assert (row["purpose"], row["lane"], row["dispatch_state"]) == ("direct", "timed", "queued")
    assert row["phone"] == PERSON and row["content"] == {"kind": "text", "text": BODY["message"]}


def test_audio_wish_goes_out_as_text_without_a_voice(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Without a speech service the text goes, as the original's fallback does."""
    assert enqueue(client, BODY | {"isAudio": True}).json()["type"] == "text"
    assert db.rows("select dispatch_state from messaging.outbox") == [{"dispatch_state": "queued"}]


def test_audio_wish_is_spoken_where_there_is_a_voice(db: Database, number: Number) -> None:
    """A draft, so that this answers at once; the same key without the wish is another message."""
    settings = Settings(service_role_key=SERVICE_KEY, agent_url="http://127.0.0.1:9", speech_model="tts-1")
    with serving(db, settings) as client:
        spoken = enqueue(client, BODY | {"isAudio": True}, idempotency_key="k").json()
        assert spoken == {"status": "queued", "message_id": spoken["message_id"], "type": "audio"}
        assert enqueue(client, BODY | {"isAudio": True}, idempotency_key="k").json() == spoken
        assert enqueue(client, BODY, idempotency_key="k").status_code == 409
        assert enqueue(client, BODY).json()["type"] == "text"
    [row, _] = db.rows("select dispatch_state, compose from messaging.outbox order by id")
    assert row == {"dispatch_state": "draft", "compose": "speech"}


def test_bug_21_only_the_whole_service_key_opens(client: httpx.Client, db: Database, number: Number) -> None:
    """The original took any header that contains the key."""
    before = stored(db)
    for header in (
        None,
        "",
        "Bearer",
        "Bearer wrong",
        SERVICE_KEY,
        f"Bearer {SERVICE_KEY}x",
        f"Bearer x{SERVICE_KEY}",
        f"Bearer something {SERVICE_KEY} something",
        f"Basic {SERVICE_KEY}",
    ):
        headers = {} if header is None else {"authorization": header}
        answer = client.post(f"{FUNCTIONS}/send-zapi-message", json=BODY, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"}), header
    assert stored(db) == before


def test_bug_21_without_a_key_in_the_settings_nobody_may_call(
    db: Database, logs: Logs, number: Number
) -> None:
    """An unset key opens to nothing, least of all to an empty header."""
    with serving(db, Settings(service_role_key=None)) as client:
        for header in ("", "Bearer", "Bearer None", "Bearer undefined"):
            answer = client.post(
                f"{FUNCTIONS}/send-zapi-message", json=BODY, headers={"authorization": header}
            )
            assert answer.status_code == 401
    assert stored(db)["messages"] == 0


def test_repeat_with_the_same_key_and_body_is_one_message(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """32 callers with one Idempotency-Key get one answer about one message."""
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: enqueue(client, BODY, idempotency_key="order-7"), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert stored(db)["messages"] == 1


def test_same_key_with_another_body_is_a_conflict(client: httpx.Client, db: Database, number: Number) -> None:
    """A key stands for one message for ever."""
    enqueue(client, BODY, idempotency_key="order-7")
    for other in ({"message": "outra"}, {"phone": "5511987650002"}, {"user_id": str(uuid.uuid4())}):
        answer = enqueue(client, BODY | other, idempotency_key="order-7")
        assert answer.status_code == 409 and "Idempotency-Key" in answer.json()["error"]
    assert stored(db)["messages"] == 1


def test_without_a_key_each_call_is_a_message(client: httpx.Client, db: Database, number: Number) -> None:
    """Two calls that look alike may be meant twice; only the caller knows."""
    assert enqueue(client, BODY).json() != enqueue(client, BODY).json()
    assert stored(db)["messages"] == 2


def test_user_id_names_the_profile_and_its_number(client: httpx.Client, db: Database, number: Number) -> None:
    """user_id is profiles.user_id; the message belongs to that profile."""
    profile_id = sign_up(client).json()["profileId"]
    [profile] = db.rows("select user_id from public.profiles")

    enqueue(client, BODY | {"user_id": str(profile["user_id"])})

    [row] = db.rows("select profile_id, instance_id from messaging.outbox where purpose = 'direct'")
    assert str(row["profile_id"]) == profile_id and row["instance_id"] == number.instance_id


def test_unknown_user_id_falls_back_to_the_profile_of_the_phone(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """A user id that the app forgot does not lose the message."""
    profile_id = sign_up(client).json()["profileId"]
    enqueue(client, BODY | {"phone": "1187650001", "user_id": str(uuid.uuid4())})
    [row] = db.rows("select profile_id from messaging.outbox where purpose = 'direct'")
    assert str(row["profile_id"]) == profile_id


BAD: list[tuple[dict[str, object], str]] = [
    ({}, "phone"),
    ({"phone": PERSON}, "message"),
    ({"message": "oi"}, "phone"),
    ({"phone": PERSON, "message": "  "}, "message"),
    ({"phone": "12", "message": "oi"}, "phone"),
    ({"phone": PERSON, "message": {"text": "oi"}}, "message"),
    ({"phone": PERSON, "message": "oi", "user_id": "7"}, "user_id"),
    ({"phone": PERSON, "message": "oi", "isAudio": "yes"}, "isAudio"),
]


def test_bad_fields_are_named(client: httpx.Client, db: Database, number: Number) -> None:
    """The original answered 500 to missing fields; a 400 says which one."""
    for body, names in BAD:
        answer = enqueue(client, body)
        assert answer.status_code == 400 and answer.json()["error"].startswith(names), body
    assert stored(db)["messages"] == 0


def test_bad_idempotency_key_is_named(client: httpx.Client, db: Database, number: Number) -> None:
    """A key of blanks or of endless length is refused."""
    for key in ("a b", "x" * 201):
        answer = enqueue(client, BODY, idempotency_key=key)
        assert answer.status_code == 400 and "Idempotency-Key" in answer.json()["error"]
    assert stored(db)["messages"] == 0


def test_without_any_number_the_answer_says_what_to_set_up(client: httpx.Client, db: Database) -> None:
    """An empty pool is a setup fault that a person can mend."""
    answer = enqueue(client, BODY)
    assert answer.status_code == 400 and "number" in answer.json()["error"]
