"""The Evolution client against answers that a test chooses: what is asked again and what never, what is
refused before any request, how long a call may take."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.providers.base import ProviderError
from shared.providers.evolution import EvolutionClient
from shared.providers.evolution_answers import Open, Pending, Qr
from tests.contract.adapters import API_KEY, INSTANCE_NAME, PHONE
from tests.contract.conftest import Script
from tests.contract.evolution_answers import LICENCE, UNAUTHORIZED
from tests.contract.evolution_replies import GONE, Replies, client_at, state
from tests.contract.scripted_server import Behaviour, Conversation

READS: dict[str, Callable[[EvolutionClient], object]] = {
    "state": EvolutionClient.state,
    "find_webhook": EvolutionClient.find_webhook,
    "phone": EvolutionClient.phone,
    "version": EvolutionClient.version,
}
WRITES: dict[str, Callable[[EvolutionClient], object]] = {
    "connect": EvolutionClient.connect,
    "restart": EvolutionClient.restart,
    "set_webhook": lambda client: client.set_webhook("https://example.test/hook", "secret"),
}


@pytest.mark.parametrize(
    "fault",
    [Conversation.close, Conversation.reset, lambda talk: talk.answer(500)],
    ids=["closed", "reset", "500"],
)
@pytest.mark.parametrize("call", READS)
def test_a_question_is_asked_once_more(
    call: str, fault: Behaviour, script: Script, http: httpx.Client
) -> None:
    """A GET without effect is tried a second time after a lost connection or a 5xx, and never a third."""
    server = script(fault)
    client = client_at(server.base_url, http)
    try:
        READS[call](client)
    except ProviderError as failure:
        assert failure.kind == "unreachable"

    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Conversation.close,
        Conversation.reset,
        lambda talk: talk.answer(500),
        lambda talk: talk.hang(1),
    ],
    ids=["closed", "reset", "500", "hangs"],
)
@pytest.mark.parametrize("call", WRITES)
def test_what_has_an_effect_is_asked_once(
    call: str, fault: Behaviour, script: Script, http: httpx.Client
) -> None:
    """Connect is a GET that opens a socket: like every POST it is never repeated."""
    server = script(fault)
    with pytest.raises(ProviderError) as raised:
        WRITES[call](client_at(server.base_url, http, 0.3))

    assert raised.value.kind == "unreachable"
    assert len(server.requests) == 1


def test_a_question_that_was_not_answered_in_time_is_not_repeated(script: Script, http: httpx.Client) -> None:
    """Slowness is not cured by asking twice."""
    server = script(Conversation.hang)

    assert client_at(server.base_url, http, 0.2).state().connected is None
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer", [(503, LICENCE), (401, UNAUTHORIZED), GONE], ids=["licence", "key", "gone"]
)
def test_a_refusal_is_not_asked_again(answer: tuple[int, Any], script: Script, http: httpx.Client) -> None:
    """An answer that says who must act says it the first time."""
    server = script(lambda talk: talk.answer(answer[0], json.dumps(answer[1]).encode()))
    client_at(server.base_url, http).state()

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "exists"),
    [(state("open"), True), (state("close"), True), (state(None), True), (GONE, False), ((500, {}), None)],
)
def test_the_state_tells_whether_the_instance_exists(
    answer: tuple[int, Any], exists: bool | None, script: Script, http: httpx.Client
) -> None:
    """Closed, unknown to memory, and not there at all are three different things."""
    server = Replies(get_connectionState=[answer]).started(script)

    assert exists is client_at(server.base_url, http).state().exists


def test_the_name_is_in_the_path_and_the_key_in_its_header(script: Script, http: httpx.Client) -> None:
    """As a query parameter the name would override the path, and a key there would be logged."""
    server = Replies(get_connect=[(200, {"count": 0})]).started(script)

    assert client_at(server.base_url, http).connect(PHONE) == Pending()
    head = server.requests[0].split(b"\r\n")
    assert head[0] == f"GET /instance/connect/{INSTANCE_NAME}?number={PHONE} HTTP/1.1".encode()
    assert f"apikey: {API_KEY}".encode() in head


def test_the_public_page_is_asked_without_the_key(script: Script, http: httpx.Client) -> None:
    """The version is public: whoever answers at that address learns no key."""
    server = script(lambda talk: talk.answer(200, b'{"version": "2.3.7"}'))

    assert client_at(server.base_url, http).version().profile == "2.3.7"
    assert API_KEY.encode() not in server.requests[0]


@pytest.mark.parametrize(
    ("rows", "phone"),
    [
        ([{"name": INSTANCE_NAME, "ownerJid": f"{PHONE}@s.whatsapp.net", "token": "T"}], PHONE),
        ([{"name": INSTANCE_NAME, "ownerJid": "5511988887777:12@s.whatsapp.net"}], "5511988887777"),
        ([{"name": INSTANCE_NAME, "ownerJid": None}], None),
        ([{"name": "another", "ownerJid": "5511988887777@s.whatsapp.net"}], None),
        ([{"name": INSTANCE_NAME, "ownerJid": ["5511988887777@s.whatsapp.net"]}, "odd"], None),
        ([], None),
        ({}, None),
    ],
)
def test_whose_phone_it_is(rows: Any, phone: str | None, script: Script, http: httpx.Client) -> None:
    """Only of the instance that was asked for; nothing else of the row is kept."""
    asked = f"get_fetchInstances?instanceName={INSTANCE_NAME}"
    server = Replies(**{asked: [(200, rows)]}).started(script)

    assert client_at(server.base_url, http).phone() == phone


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"pairingCode": None, "code": "2@A,B,C,D", "base64": "x", "count": 3}, Qr("2@A,B,C,D", None, 3)),
        (
            {"pairingCode": "WZYEH1YY", "code": "2@A,B,C,D", "base64": "x", "count": 1},
            Qr("2@A,B,C,D", "WZYEH1YY", 1),
        ),
        ({"code": "2@A,B,C,D", "count": True}, Qr("2@A,B,C,D", None, None)),
        ({"code": "2@" + "A" * 3500, "count": 1}, Pending()),
        ({"code": "\x00\ud800", "count": 1}, Pending()),
        ({"code": "2@A,B,C,D", "pairingCode": "\x00" * 8}, Qr("2@A,B,C,D", None, None)),
        ({"count": 0}, Pending()),
        ({}, Pending()),
        ({"instance": {"state": "open"}}, Open()),
        ({"instance": {"state": "connecting"}}, Pending()),
    ],
)
def test_what_connect_answers(answer: Any, expected: object, script: Script, http: httpx.Client) -> None:
    """A code, nothing yet, or nothing to scan."""
    server = Replies(get_connect=[(200, answer)]).started(script)

    assert expected == client_at(server.base_url, http).connect()


@pytest.mark.parametrize("answer", [{"error": True, "message": "x"}, [], None, "text"])
def test_an_error_under_200__refused(answer: Any, script: Script, http: httpx.Client) -> None:
    """`error: true` is an error, and so is what is no object."""
    server = Replies(get_connect=[(200, answer)]).started(script)
    with pytest.raises(ProviderError) as raised:
        client_at(server.base_url, http).connect()

    assert raised.value.kind == "unexpected"


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("2.3.6", "2.3.6"),
        ("2.2.3", "2.3.6"),
        ("2.3.7", "2.3.7"),
        ("2.3.12", "2.3.7"),
        ("2.4.0-rc2", "2.4"),
        ("2.5.1", "2.4"),
        ("v2.3.7", "2.3.7"),
    ],
)
def test_each_version_has_its_profile(said: str, profile: str, script: Script, http: httpx.Client) -> None:
    """A version between the known ones behaves as the one before it."""
    server = script(lambda talk: talk.answer(200, json.dumps({"version": said}).encode()))

    assert profile == client_at(server.base_url, http).version().profile


@pytest.mark.parametrize("said", ["1.8.6", "3.0.0"])
def test_another_generation__refused(said: str, script: Script, http: httpx.Client) -> None:
    """1.x speaks another language: the error says which version to install."""
    server = script(lambda talk: talk.answer(200, json.dumps({"version": said}).encode()))
    with pytest.raises(ProviderError, match="install") as raised:
        client_at(server.base_url, http).version()

    assert (raised.value.kind, raised.value.halt_reason) == ("unexpected", "unsupported_version")


@pytest.mark.parametrize("answer", [{}, {"version": 2}, {"version": "soon"}, []])
def test_a_page_without_a_version__refused(answer: Any, script: Script, http: httpx.Client) -> None:
    """Another product behind the address is named as one."""
    server = script(lambda talk: talk.answer(200, json.dumps(answer).encode()))
    with pytest.raises(ProviderError) as raised:
        client_at(server.base_url, http).version()

    assert raised.value.kind == "unexpected"


def test_a_licence_that_is_missing_is_named(script: Script, http: httpx.Client) -> None:
    """2.4 before its activation is a refusal of the account, with a reason of its own."""
    server = script(lambda talk: talk.answer(503, json.dumps(LICENCE).encode()))
    with pytest.raises(ProviderError) as raised:
        client_at(server.base_url, http).connect()

    assert (raised.value.kind, raised.value.halt_reason) == ("account_refused", "license_required")


@pytest.mark.parametrize(
    ("name", "key", "url", "named"),
    [
        ("", API_KEY, "http://127.0.0.1:9", "instance name"),
        ("a/b", API_KEY, "http://127.0.0.1:9", "instance name"),
        ("ação", API_KEY, "http://127.0.0.1:9", "instance name"),
        ("a" * 65, API_KEY, "http://127.0.0.1:9", "instance name"),
        ("loja\n", API_KEY, "http://127.0.0.1:9", "instance name"),
        ("loja", "", "http://127.0.0.1:9", "EVOLUTION_API_KEY"),
        ("loja", f"{API_KEY}\r\nX: y", "http://127.0.0.1:9", "EVOLUTION_API_KEY"),
        ("loja", "BQYHJGJHJ", "http://127.0.0.1:9", "published default"),
        ("loja", API_KEY, "", "EVOLUTION_API_URL"),
    ],
)
def test_a_client_that_cannot_work__refused(name: str, key: str, url: str, named: str) -> None:
    """A name that would change the path, a pasted line break, the key that everybody knows: said at once."""
    with pytest.raises(ValueError, match=named) as raised:
        EvolutionClient(name, key, base_url=url)

    assert API_KEY not in str(raised.value)


@pytest.mark.parametrize("number", ["", "+5511", "5511999990001&instanceName=x", "abc"])
def test_a_number_to_pair_with_that_is_none__refused(number: str, http: httpx.Client) -> None:
    """Only digits reach the address of a call."""
    with pytest.raises(ValueError, match="digits"):
        client_at("http://127.0.0.1:9", http).connect(number)
