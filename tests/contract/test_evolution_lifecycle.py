"""Create, log out, delete and the webhook's setting, against each answer that the contract knows: what is
seen afterwards decides, not what was answered."""

import json
from typing import Any

import httpx
import pytest

from shared import clock
from shared.providers.base import ProviderError
from shared.providers.evolution_answers import NameTaken
from tests.contract.adapters import INSTANCE_NAME, PHONE
from tests.contract.conftest import Script
from tests.contract.evolution_answers import UNAUTHORIZED, error
from tests.contract.evolution_replies import GONE, Given, Replies, client_at, state
from tests.contract.scripted_server import Conversation

DONE = {"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}}
NOT_CONNECTED = error(400, [f'The "{INSTANCE_NAME}" instance is not connected'])
CREATED = (201, {"instance": {"instanceId": "id-1", "status": "close"}, "hash": "SECRET-OF-THE-INSTANCE"})
TAKEN = (403, error(403, [f'This name "{INSTANCE_NAME}" is already in use.'], "Forbidden"))


def test_create_asks_for_no_code_and_keeps_no_token(script: Script, http: httpx.Client) -> None:
    """Looked for first, created without a QR code, and its state seen afterwards."""
    replies = Replies(get_connectionState=[GONE, state(None), state("close")], post_create=[CREATED])
    server = replies.started(script)
    created = client_at(server.base_url, http).create(number=PHONE)

    assert created.instance_id == "id-1"
    assert "SECRET-OF-THE-INSTANCE" not in repr(vars(created))
    assert replies.asked == ["get_connectionState", "post_create", *["get_connectionState"] * 2]
    assert json.loads(server.requests[1].partition(b"\r\n\r\n")[2]) == {
        "instanceName": INSTANCE_NAME,
        "integration": "WHATSAPP-BAILEYS",
        "qrcode": False,
        "number": PHONE,
    }


@pytest.mark.parametrize(
    ("states", "answer"),
    [([state("close")], CREATED), ([state(None)], CREATED), ([GONE], TAKEN)],
    ids=["there", "there without a state", "meanwhile"],
)
def test_a_name_that_is_taken__refused(
    states: list[Given], answer: Given, script: Script, http: httpx.Client
) -> None:
    """An existing instance is named as such, found before or while creating."""
    server = Replies(get_connectionState=states, post_create=[answer]).started(script)
    with pytest.raises(NameTaken):
        client_at(server.base_url, http).create()


def test_create_in_a_race_that_destroyed_it__refused(
    script: Script, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 201 whose instance shows no state afterwards is not believed (bug 32's trace)."""
    monkeypatch.setattr("shared.providers.evolution.CREATED_WITHIN_S", 0.3)
    server = Replies(get_connectionState=[GONE, state(None)], post_create=[CREATED]).started(script)
    with pytest.raises(ProviderError, match="no state"):
        client_at(server.base_url, http).create()


@pytest.mark.parametrize(
    ("answer", "states"),
    [
        ((200, DONE), []),
        ((400, NOT_CONNECTED), []),
        ((200, {"status": "SUCCESS", "error": False, "response": {"message": "already disconnected"}}), []),
        (GONE, []),
        ((500, error(500, "x")), [state("close")]),
        ((500, error(500, "x")), [GONE]),
        (Conversation.close, [state("close")]),
    ],
    ids=["done", "closed, 2.3", "closed, 2.4", "gone", "500 and closed", "500 and gone", "lost and closed"],
)
def test_each_way_of_being_logged_out(
    answer: Given, states: list[Given], script: Script, http: httpx.Client
) -> None:
    """What is closed is logged out, whatever the answer was."""
    replies = Replies(delete_logout=[answer], get_connectionState=states)
    client_at(replies.started(script).base_url, http).logout()

    assert replies.asked.count("delete_logout") == 1


@pytest.mark.parametrize(
    ("answer", "states"),
    [
        ((500, error(500, "x")), [state("open")]),
        ((500, error(500, "x")), [(500, {})]),
        ((400, error(400, ["Error: Connection Closed"])), []),
        ((401, UNAUTHORIZED), []),
    ],
    ids=["500 and open", "500 and silent", "400", "key"],
)
def test_a_logout_that_did_not_take_place__refused(
    answer: Given, states: list[Given], script: Script, http: httpx.Client
) -> None:
    """An instance that may still be open is not called logged out."""
    replies = Replies(delete_logout=[answer], get_connectionState=states)
    with pytest.raises(ProviderError):
        client_at(replies.started(script).base_url, http).logout()


DELETED = (200, {"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}})


@pytest.mark.parametrize(
    ("logout", "delete", "states"),
    [
        ((200, DONE), DELETED, [state("open"), state("close"), state("close"), GONE]),
        ((400, NOT_CONNECTED), DELETED, [state("close"), GONE]),
        (GONE, GONE, [GONE]),
        ((500, error(500, "x")), DELETED, [state("open"), state("close"), GONE]),
        ((400, error(400, ["x"])), (400, error(400, ["x"])), [state("close"), GONE]),
        ((200, DONE), Conversation.close, [state("close"), GONE]),
    ],
    ids=["open", "closed", "not there", "logout fails", "delete answers 400 and does", "delete is lost"],
)
def test_delete_ends_when_it_is_gone(
    logout: Given, delete: Given, states: list[Given], script: Script, http: httpx.Client
) -> None:
    """Logged out, closed, deleted, gone: each step is seen, and what is gone already is no failure."""
    replies = Replies(delete_logout=[logout], delete_delete=[delete], get_connectionState=states)
    client_at(replies.started(script).base_url, http).delete(within_s=5)

    assert replies.asked.count("delete_delete") == 1
    assert replies.asked[-1] == "get_connectionState"


@pytest.mark.parametrize(
    ("delete", "said"),
    [(DELETED, "still there"), ((400, error(400, ["dead socket"])), "dead socket")],
    ids=["SUCCESS", "400"],
)
def test_an_instance_that_stays__refused(
    delete: Given, said: str, script: Script, http: httpx.Client
) -> None:
    """After its time a delete says what to do, however often the server said SUCCESS; and it is bounded."""
    replies = Replies(
        delete_logout=[(200, DONE)], delete_delete=[delete], get_connectionState=[state("open")]
    )
    began = clock.monotonic()
    with pytest.raises(ProviderError, match=said):
        client_at(replies.started(script).base_url, http).delete(within_s=0.9)

    assert clock.monotonic() - began < 3


def test_a_delete_of_a_silent_server_is_bounded(script: Script, http: httpx.Client) -> None:
    """However long each call hangs, the whole takes about the time that was given."""
    began = clock.monotonic()
    with pytest.raises(ProviderError):
        client_at(script(Conversation.hang).base_url, http, 60.0).delete(within_s=0.6)

    assert clock.monotonic() - began < 2.5


def test_a_webhook_carries_our_secret_in_a_header(script: Script, http: httpx.Client) -> None:
    """Explicit events, one address for all, no media inside, our own header; and the answer is compared."""
    stored = {"url": "https://example.test/hook", "enabled": True, "webhookByEvents": False}
    events = [
        "QRCODE_UPDATED",
        "CONNECTION_UPDATE",
        "MESSAGES_UPSERT",
        "MESSAGES_UPDATE",
        "SEND_MESSAGE",
        "LOGOUT_INSTANCE",
        "STATUS_INSTANCE",
        "REMOVE_INSTANCE",
    ]
    answer = {**stored, "events": events, "headers": {"x-roleta-webhook": "our-secret"}}
    server = Replies(post_set=[(201, answer)]).started(script)
    webhook = client_at(server.base_url, http).set_webhook("https://example.test/hook", "our-secret")
    sent = json.loads(server.requests[0].partition(b"\r\n\r\n")[2])["webhook"]

    assert sent == {
        "enabled": True,
        "url": "https://example.test/hook",
        "events": events,
        "byEvents": False,
        "base64": False,
        "headers": {"x-roleta-webhook": "our-secret"},
    }
    assert "our-secret" not in repr(webhook)
    assert webhook.is_as_set("https://example.test/hook", "our-secret")
    assert not webhook.is_as_set("https://example.test/hook", "another")
    assert not webhook.is_as_set("https://example.test/other", "our-secret")


@pytest.mark.parametrize(
    "changes",
    [{"url": "https://example.test/x"}, {"enabled": False}, {"events": []}, {"webhookByEvents": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_webhook_that_was_stored_otherwise__refused(
    changes: dict[str, Any], script: Script, http: httpx.Client
) -> None:
    """A webhook that would not reach us is an error at once, not silence later."""
    answer = {"url": "https://example.test/hook", "enabled": True, "webhookByEvents": False, "events": None}
    server = Replies(post_set=[(201, {**answer, **changes})]).started(script)
    with pytest.raises(ProviderError, match="did not store"):
        client_at(server.base_url, http).set_webhook("https://example.test/hook", "our-secret")
