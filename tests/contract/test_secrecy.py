"""Canary credentials: they appear in no repr, no exception (context included), no log and no traceback."""

import json
import logging
import pickle
import traceback

import httpx
import pytest

from shared import clock
from shared.errors import SettingsError
from shared.providers.base import Content, ProviderError
from shared.providers.transport import open_http
from shared.providers.zapi import ZApiClient
from shared.settings import Settings
from tests.contract.adapters import (
    ADAPTERS,
    CLIENT_TOKEN,
    INSTANCE_ID,
    INSTANCE_NAME,
    PHONE,
    TOKEN,
    ZAPI,
    Adapter,
)
from tests.contract.conftest import Script
from tests.contract.scripted_server import Behaviour, Conversation


def _holds_secret(text: str, adapter: Adapter = ZAPI) -> bool:
    return any(secret in text for secret in adapter.secrets)


def _answering(http_status: int, body: str) -> Behaviour:
    return lambda talk: talk.answer(http_status, body.encode())


def _failures(adapter: Adapter) -> dict[str, Behaviour]:
    """Faults, and answers that hold every credential in a place where a provider may put it."""
    said = " ".join(adapter.secrets)
    texts = [f"{{'apikey': '{secret}', 'token': '{secret}'}}" for secret in adapter.secrets]
    echoed = {"error": f"Client-Token {CLIENT_TOKEN} not allowed", "message": said}
    return {
        "closed": Conversation.close,
        "reset": Conversation.reset,
        "hangs": Conversation.hang,
        "garbage": lambda talk: talk.give(b"garbage\r\n\r\n"),
        "echoed credentials": _answering(403, json.dumps(echoed)),
        "path in the error": _answering(
            500, f'{{"error":"failed: /instances/x/token/{TOKEN}/status {said}"}}'
        ),
        "texts of an error": _answering(400, json.dumps({"error": "Bad", "response": {"message": texts}})),
        "no JSON": _answering(200, f"<pre>{said}</pre>"),
    }


EVERY_FAILURE = [
    pytest.param(adapter, call, failure, id=f"{adapter.name}-{call}-{failure.replace(' ', '-')}")
    for adapter in ADAPTERS
    for call in adapter.calls
    for failure in _failures(adapter)
    # A purge's body is undocumented: any 200 will do.
    if (call, failure) != ("purge_queue", "no JSON")
]


@pytest.mark.parametrize(("adapter", "call", "failure"), EVERY_FAILURE)
def test_a_failed_call_carries_no_secret(
    adapter: Adapter, call: str, failure: str, script: Script, http: httpx.Client
) -> None:
    """Neither the error, nor its context, nor its printed traceback holds a credential."""
    client = adapter.make(script(_failures(adapter)[failure]).base_url, http, 0.3)
    with pytest.raises(ProviderError) as raised:
        adapter.calls[call](client)

    error = raised.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert not _holds_secret("".join(traceback.format_exception(error)), adapter)
    assert not _holds_secret(repr(vars(error)), adapter)
    assert not _holds_secret(error.detail, adapter)


class Listener(logging.Handler):
    """Keeps every record that reaches it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.name} {record.getMessage()} {record.args!r}")


def test_logs_at_every_level_carry_no_secret(
    adapter: Adapter, script: Script, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The HTTP libraries stay silent even when someone turns everything on and listens at each of their
    loggers."""
    listener = Listener()
    for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
        caplog.set_level(logging.DEBUG, logger=name)
        logging.getLogger(name).addHandler(listener)
    try:
        client = adapter.make(script(lambda talk: talk.answer(200, adapter.accepted)).base_url, http, 0.3)
        client.send(PHONE, Content("text", "segredo"), deadline=clock.monotonic() + 5)
        client.state()
        logging.getLogger("roleta").debug("the listener hears")
    finally:
        for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
            logging.getLogger(name).removeHandler(listener)

    assert listener.said == ["roleta the listener hears ()"]


def test_the_client_does_not_show_its_credentials(adapter: Adapter, http: httpx.Client) -> None:
    """A repr tells the number apart by four characters, no more; a client cannot be pickled by accident."""
    client = adapter.make("http://127.0.0.1:9", http, 0.3)

    assert not _holds_secret(repr(client), adapter)
    assert INSTANCE_ID not in repr(client)
    assert INSTANCE_NAME not in repr(client)
    with pytest.raises(TypeError):
        pickle.dumps(client)


@pytest.mark.parametrize(
    ("instance_id", "token", "client_token", "named"),
    [
        ("", TOKEN, None, "instance id"),
        (INSTANCE_ID, f"{TOKEN}\n", None, "token"),
        (INSTANCE_ID, TOKEN, f"{CLIENT_TOKEN}\r\nX: y", "Client-Token"),
        (INSTANCE_ID, f"{TOKEN} ", None, "token"),
    ],
)
def test_a_credential_with_odd_characters__refused(
    instance_id: str, token: str, client_token: str | None, named: str
) -> None:
    """A pasted line break is refused at once, by the field's name and without its value."""
    with pytest.raises(ValueError, match=named) as raised:
        ZApiClient(instance_id, token, client_token)

    assert not _holds_secret(str(raised.value))


def test_a_token_cannot_leave_its_place_in_the_path(script: Script, http: httpx.Client) -> None:
    """A slash or a question mark in a credential is encoded: it cannot choose another route."""
    server = script(lambda talk: talk.answer(200, b'{"connected": true}'))
    ZApiClient("id?x=1", "a/../b#c", base_url=server.base_url, http=http).state()

    assert server.requests[0].startswith(b"GET /instances/id%3Fx%3D1/token/a%2F..%2Fb%23c/status HTTP/1.1")


def test_a_client_comes_from_the_environment(script: Script) -> None:
    """The ZAPI_* variables make a client for their number, at the address that is set."""
    server = script(lambda talk: talk.answer(200, b'{"connected": true}'))
    settings = Settings(
        zapi_instance_id=INSTANCE_ID,
        zapi_token="T0KEN",
        zapi_client_token=CLIENT_TOKEN,
        zapi_base_url=server.base_url,
    )
    with open_http() as http:
        assert ZApiClient.from_env(settings, http=http).state().connected is True

    assert server.requests[0].startswith(f"GET /instances/{INSTANCE_ID}/token/T0KEN/status".encode())
    assert CLIENT_TOKEN.encode() in server.requests[0]


def test_a_client_without_variables__refused() -> None:
    """Without them the error names what to set."""
    with pytest.raises(SettingsError, match="ZAPI_INSTANCE_ID"):
        ZApiClient.from_env(Settings())


def test_a_client_comes_from_a_row(script: Script, http: httpx.Client) -> None:
    """A row of whatsapp_instances makes a client for that number; without a Client-Token none is sent."""
    server = script(lambda talk: talk.answer(200, b'{"connected": true}'))
    row = {"zapi_instance_id": INSTANCE_ID, "zapi_token": "T0KEN", "zapi_client_token": None, "name": "x"}
    client = ZApiClient.from_instance(row, base_url=server.base_url, http=http)

    assert client.state().connected is True
    assert b"client-token" not in server.requests[0].lower()


def test_a_client_closes_only_what_it_opened(adapter: Adapter, http: httpx.Client) -> None:
    """Closing one number's client leaves the shared connections open; its own are closed."""
    adapter.make("http://127.0.0.1:9", http, 0.3).close()
    assert not http.is_closed

    alone = adapter.make("http://127.0.0.1:9", None, 0.3)
    alone.close()
    assert alone.state().connected is None
