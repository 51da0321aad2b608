"""admin-send-message over HTTP: to whom, from which number, what a repeat means, what is refused."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from shared.db import Database
from tests.edge.gateway import FUNCTIONS, PERSON, SERVICE_KEY, Number, add_number, sign_up, stored

TEXT = "Oi! Aqui é a equipe da Aura."


def send(client: httpx.Client, key: str | None = None, **body: object) -> httpx.Response:
    """One POST with the service key."""
    headers = {"authorization": f"Bearer {SERVICE_KEY}"} | ({"idempotency-key": key} if key else {})
    return client.post(f"{FUNCTIONS}/admin-send-message", json=body, headers=headers)


def user_id(db: Database) -> str:
    """The app's id of the only person."""
    return str(db.rows("select user_id from public.profiles")[0]["user_id"])


@pytest.mark.parametrize("by", ["user_id", "phone", "both"])
def test_a_text_leaves_from_the_persons_own_number(client: httpx.Client, db: Database, by: str) -> None:
    """The original always took the environment's number (functions 2.15). Phones in any form."""
    add_number(db, seats=0)
    own = add_number(db, phone="5511987000002")
    profile_id = sign_up(client).json()["profileId"]
    whom = {"user_id": user_id(db), "phone": "11 8765-0001"}
    answer = send(client, message=TEXT, **(whom if by == "both" else {by: whom[by]}))

    [row] = db.rows("select * from messaging.outbox where purpose = 'direct'")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "message_id": row["id"]})
    assert (row["instance_id"], str(row["profile_id"]), row["phone"]) == (own.instance_id, profile_id, PERSON)
    assert (row["content"], row["enqueued_by"]) == ({"kind": "text", "text": TEXT}, "admin-send-message")


def test_an_accepted_text_stands_in_the_persons_history(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """It is part of the conversation that the agent reads; before it was accepted it is not."""
    sign_up(client)
    db.rows("delete from messaging.history")
    db.rows("delete from messaging.outbox")
    message = send(client, message=TEXT, phone=PERSON).json()["message_id"]
    assert db.rows("select content from public.messages") == []
    [leased] = db.call("messaging.claim", p_worker="w", p_limit=1)
    begun = db.call_one(
        "messaging.begin_attempt",
        p_message_id=message,
        p_lease_token=leased["lease_token"],
        p_worker="w",
    )
    db.call(
        "messaging.record_attempt",
        p_attempt_id=begun["attempt_id"],
        p_outcome="accepted",
        p_provider_message_id="M1",
    )
    assert db.rows("select role, content from public.messages") == [{"role": "assistant", "content": TEXT}]


def test_an_idempotency_key_makes_a_repeat_one_message(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """16 callers at once: one answer, one message; another text under the key is a conflict."""
    sign_up(client)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: send(client, "k1", message=TEXT, phone=PERSON), range(16)))
    assert {answer.status_code for answer in answers} == {200} and len({a.text for a in answers}) == 1
    assert send(client, "k1", message="Outra", phone=PERSON).status_code == 409
    assert stored(db)["messages"] == 2  # with the welcome
    assert send(client, message=TEXT, phone=PERSON).json() != answers[0].json()


BAD: list[tuple[dict[str, object], int, str]] = [
    ({"phone": PERSON}, 400, "message is missing"),
    ({"message": " ", "phone": PERSON}, 400, "message is missing"),
    ({"message": 7, "phone": PERSON}, 400, "message"),
    ({"message": TEXT}, 400, "user_id or phone is missing"),
    ({"message": TEXT, "user_id": "7"}, 400, "user_id must be a UUID"),
    ({"message": TEXT, "phone": "123"}, 400, "phone"),
    ({"message": TEXT, "phone": "5511987650009"}, 404, "there is no profile"),
    ({"message": TEXT, "user_id": str(uuid.uuid4())}, 404, "there is no profile"),
    ({"message": TEXT, "user_id": str(uuid.uuid4()), "phone": PERSON}, 400, "user_id and phone are not"),
    ({"message": "x" * 65_537, "phone": PERSON}, 400, "message is too long"),
]


def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """A 400 names the field, a 404 the person whom nobody knows."""
    sign_up(client)
    before = stored(db)
    for body, status, says in BAD:
        answer = send(client, **body)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["error"][: len(says)]) == (status, says), body
    assert send(client, "a b", message=TEXT, phone=PERSON).status_code == 400
    assert stored(db) == before


def test_a_profile_without_a_phone_is_told_apart(client: httpx.Client, db: Database, number: Number) -> None:
    """There is a person, but nowhere to write to."""
    sign_up(client)
    db.rows("update public.profiles set phone = null")
    answer = send(client, message=TEXT, user_id=user_id(db))
    assert answer.status_code == 400 and "no phone" in answer.json()["error"]
