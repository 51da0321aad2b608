"""Who is refused at webhook-zapi: every refusal looks alike and stores nothing."""

import json

import httpx
import pytest

from shared import webhook_auth
from shared.db import Database
from tests.edge.gateway import FUNCTIONS, Number, add_number, message, stored

BARE = f"{FUNCTIONS}/webhook-zapi"


def test_every_refusal_is_the_same_answer_and_stores_nothing(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Nobody learns from a refusal whether a number or a secret exists."""
    other = add_number(db, phone="5511987000002")
    strange_path = f"{BARE}/{webhook_auth.new_token()}"
    own, before = message(number), stored(db)
    token = {"z-api-token": number.zapi_token}
    attempts: list[tuple[str, dict[str, object], dict[str, str]]] = [
        (BARE, own, {}),
        (BARE, own, {"z-api-token": ""}),
        (BARE, own, {"z-api-token": "wrong"}),
        (BARE, own, {"z-api-token": other.zapi_token}),
        (BARE, own | {"instanceId": "SIMunknown"}, token),
        (BARE, own | {"instanceId": None}, token),
        (BARE, own | {"instanceId": [number.zapi_id]}, token),
        (BARE, own | {"instanceId": "\x00\ud800"}, token),
        (BARE, {}, {}),
        (strange_path, own, {}),
        (strange_path, own, token),
        (f"{BARE}/x", own, token),
        (f"{BARE}/%00%ff", own, token),
        (f"{BARE}/{number.webhook_token}x", own, token),
        (number.webhook, own | {"instanceId": other.zapi_id}, {}),
        (number.webhook, own | {"instanceId": None}, token),
        (number.webhook, {}, {}),
        (number.webhook, own, {"z-api-token": "wrong"}),
        (number.webhook, own, {"z-api-token": ""}),
        (number.webhook, own, {"z-api-token": other.zapi_token}),
    ]
    looks = set()
    for path, payload, headers in attempts:
        answer = client.post(path, content=json.dumps(payload), headers=headers)
        assert answer.status_code == 401, (path, headers)
        same = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
        looks.add((answer.text, tuple(sorted(same.items()))))
    assert len(looks) == 1 and stored(db) == before
    assert client.post(BARE, json={}).json() == {"error": "Unauthorized"}


def test_token_header_is_enough_on_the_bare_path_and_the_path_secret_without_it(
    client: httpx.Client, number: Number
) -> None:
    """Two ways in: the undocumented header, or the secret that we put into the path."""
    by_header = client.post(BARE, json=message(number), headers={"z-api-token": number.zapi_token})
    by_path = client.post(number.webhook, json=message(number))
    by_both = client.post(number.webhook, json=message(number), headers={"z-api-token": number.zapi_token})
    assert [answer.status_code for answer in (by_header, by_path, by_both)] == [200, 200, 200]


def test_secret_before_a_rotation_stays_valid_until_the_next_one(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """While a rotation is under way no event is lost."""

    def rotate() -> None:
        fresh = webhook_auth.hash_token(webhook_auth.new_token())
        db.call("messaging.set_webhook_token", p_instance_id=number.instance_id, p_token_hash=fresh, p_by="t")

    rotate()
    assert client.post(number.webhook, json=message(number)).status_code == 200
    rotate()
    assert client.post(number.webhook, json=message(number)).status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_no_event(
    client: httpx.Client, db: Database, number: Number, body: bytes
) -> None:
    """A body that says nothing cannot be stored as an event; the answer is the same with and without a right
    secret."""
    right = client.post(number.webhook, content=body)
    wrong = client.post(f"{BARE}/{webhook_auth.new_token()}", content=body)
    assert right.status_code == wrong.status_code == 400
    assert right.json() == wrong.json() and right.json()["error"]
    assert stored(db)["events"] == 0
