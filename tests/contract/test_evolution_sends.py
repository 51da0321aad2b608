"""What an Evolution send writes, what it refuses to write, how long it may be silent, and who makes its
client."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared import clock
from shared.credentials import KeyRing
from shared.dispatcher import Providers
from shared.providers.base import Content, Outcome
from shared.providers.transport import open_http
from tests.contract.adapters import API_KEY, INSTANCE_NAME, PHONE
from tests.contract.conftest import Script
from tests.contract.evolution_answers import ACCEPTED, MESSAGE_ID
from tests.contract.evolution_replies import client_at
from tests.contract.scripted_server import Conversation


def test_a_send_may_be_silent_for_longer_than_the_shared_client_waits(script: Script) -> None:
    """A send can hang for a minute and still succeed: only its own timeout ends it."""

    def behave(talk: Conversation) -> None:
        talk.hang(0.5)
        talk.answer(201, json.dumps(ACCEPTED).encode())

    with open_http() as http:
        http.timeout = httpx.Timeout(0.1, connect=5.0)
        report = client_at(script(behave).base_url, http).send(
            PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5
        )

    assert (report.outcome, report.provider_message_id) == (Outcome.ACCEPTED, MESSAGE_ID)


@dataclass(frozen=True)
class Written:
    """One send and what goes out for it, beside the number."""

    content: Content
    route: str
    body: dict[str, Any]
    phone: str = PHONE


WRITTEN = {
    "text": Written(Content("text", "Olá 😀"), "sendText", {"text": "Olá 😀"}),
    "to a LID": Written(Content("text", "oi"), "sendText", {"text": "oi"}, "99887766@lid"),
    "image": Written(
        Content("image", "veja", media_url="https://media.example/a.png"),
        "sendMedia",
        {"mediatype": "image", "media": "https://media.example/a.png", "caption": "veja"},
    ),
    "image in place": Written(
        Content("image", media_url="data:image/png;base64,AAAA"),
        "sendMedia",
        {"mediatype": "image", "media": "AAAA", "mimetype": "image/png"},
    ),
    "document": Written(
        Content("document", "leia", media_url="https://media.example/a", file_name="Relatório.PDF"),
        "sendMedia",
        {
            "mediatype": "document",
            "media": "https://media.example/a",
            "caption": "leia",
            "fileName": "Relatório.PDF",
        },
    ),
    "audio in place": Written(
        Content("audio", media_url="data:audio/ogg;codecs=opus;base64,AAAA"),
        "sendWhatsAppAudio",
        {"audio": "AAAA"},
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_each_content_has_its_route_and_body(case: str, script: Script, http: httpx.Client) -> None:
    """What goes out is what the contract names: no delay, no empty fields, data URIs as bare base64."""
    written = WRITTEN[case]
    server = script(lambda talk: talk.answer(201, json.dumps(ACCEPTED).encode()))
    client_at(server.base_url, http).send(written.phone, written.content, deadline=clock.monotonic() + 5)
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")

    assert head.startswith(f"POST /message/{written.route}/{INSTANCE_NAME} HTTP/1.1\r\n".encode())
    assert json.loads(sent) == {"number": written.phone, **written.body}
    assert sent.isascii()


@pytest.mark.parametrize(
    ("phone", "content"),
    [
        ("+55 (11) 99999-0001", Content("text", "oi")),
        ("abc", Content("text", "oi")),
        ("12", Content("text", "oi")),
        ("1" * 18, Content("text", "oi")),
        ("abc@example.com", Content("text", "oi")),
        ("5511@s.whatsapp.net?instanceName=x", Content("text", "oi")),
        (PHONE, Content("image", media_url="data:image/png;base64,")),
        (PHONE, Content("image", media_url="data:image/svg+xml,<svg/>")),
    ],
    ids=["written", "letters", "short", "a group's length", "e-mail", "a query", "no data", "not base64"],
)
def test_what_would_be_understood_as_something_else__refused(
    phone: str, content: Content, script: Script, http: httpx.Client
) -> None:
    """A number that the server would turn into another address never gets there."""
    server = script(lambda talk: talk.answer(201, json.dumps(ACCEPTED).encode()))
    report = client_at(server.base_url, http).send(phone, content, deadline=clock.monotonic() + 5)

    assert report.outcome is Outcome.REJECTED
    assert report.detail
    assert server.requests == []


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "provider": "evolution",
        "evolution_instance_name": INSTANCE_NAME,
        "send_timeout_s": 1.5,
        **changes,
    }


def test_the_dispatcher_makes_this_client_for_its_rows(script: Script) -> None:
    """A row of provider "evolution" is sent over its instance's name, with the server's key."""
    server = script(lambda talk: talk.answer(201, json.dumps(ACCEPTED).encode()))
    providers = Providers(
        zapi_base_url="http://127.0.0.1:9",
        max_connections=2,
        ring=KeyRing(),
        evolution_url=server.base_url,
        evolution_key=API_KEY,
    )
    provider = providers(_row())
    report = provider.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)
    providers.close()

    assert provider.timeout_s == 1.5
    assert report.outcome is Outcome.ACCEPTED
    assert server.requests[0].startswith(f"POST /message/sendText/{INSTANCE_NAME} ".encode())


@pytest.mark.parametrize(
    ("settings", "row", "named"),
    [
        ({}, {}, "EVOLUTION_API_URL"),
        ({"evolution_url": "http://127.0.0.1:9"}, {}, "EVOLUTION_API_KEY"),
        (
            {"evolution_url": "http://127.0.0.1:9", "evolution_key": API_KEY},
            {"evolution_instance_name": None},
            "instance name",
        ),
        ({}, {"provider": "other"}, "other"),
    ],
)
def test_a_number_without_its_server__refused(
    settings: dict[str, Any], row: dict[str, Any], named: str
) -> None:
    """Without its settings a number's credentials are unusable: the error names the variable to set."""
    providers = Providers(zapi_base_url="http://127.0.0.1:9", max_connections=2, ring=KeyRing(), **settings)
    with pytest.raises(ValueError, match=named):
        providers(_row(**row))
    providers.close()
