"""Every recorded answer of a real Evolution 2.3.7 (evolution_pairs.jsonl), given to the client: what it
concludes of a send, and what its other calls make of the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import clock
from shared.providers import evolution_outcomes
from shared.providers.base import ChannelState, Content, Outcome, ProviderError
from shared.providers.evolution import EvolutionClient
from shared.providers.evolution_answers import Created, NameTaken, Open, Pending, Qr, Version, Webhook
from shared.providers.evolution_http import EvolutionServer
from tests.contract.adapters import API_KEY, PHONE
from tests.contract.conftest import Script
from tests.contract.scripted_server import Behaviour, Conversation, ScriptedServer

PAIRS: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("evolution_pairs.jsonl").read_text(encoding="utf-8").splitlines()
]
SENDS = {pair["case"]: pair for pair in PAIRS if "/message/" in pair["req"]}
CALLS = {pair["case"]: pair for pair in PAIRS if "/message/" not in pair["req"]}

A, R, N, U = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNKNOWN
CLOSED = "disconnected"

SEND_TABLE: dict[str, tuple[Outcome, str | None]] = {
    "unknown sendText": (N, CLOSED),
    "sendText never connected, number in the 7-day cache": (U, CLOSED),
    "sendText group jid while close": (U, None),
    "sendText no number": (R, None),
    "sendText number int": (R, None),
    "sendText empty body": (R, None),
    "sendText empty text": (R, None),
    "sendText v1 body": (R, None),
    "sendMedia no mediatype": (R, None),
    "sendMedia bad mediatype": (R, None),
    "sendMedia doc base64 no filename": (R, None),
    "sendAudio bad": (R, None),
    "sendAudio closed": (U, CLOSED),
    "sendText while connecting, number never looked up (network silent)": (U, CLOSED),
    "sendText open": (A, None),
    "sendText formatted number": (A, None),
    "sendText to a 2-digit number (stand-in says it exists)": (A, None),
    "sendText letters": (R, None),
    "sendText group": (A, None),
    "sendText delay 3000": (A, None),
    "sendText quoted": (A, None),
    "sendMedia doc": (A, None),
    "sendMedia url 404": (U, None),
    "sendText after device_removed": (U, CLOSED),
    "sendText after device_removed uncached": (U, CLOSED),
    "sendText right after, new number": (U, CLOSED),
    "urlencoded": (A, None),
    "text/plain": (R, None),
    "sendText, network unreachable": (U, CLOSED),
}

ACCOUNT = ("account_refused", "account_refused")
GONE = ("unexpected", CLOSED)
WRONG = ("unexpected", None)
# (kind, halt reason) of the error that any call would raise, or None where the answer is taken.
CALL_TABLE: dict[str, tuple[str, str | None] | None] = {
    "no key fetch": ACCOUNT,
    "bad key fetch": ACCOUNT,
    "empty list": None,
    "no key create": ACCOUNT,
    "unknown instance": GONE,
    "bad json": WRONG,
    "create empty body": WRONG,
    "create no integration": WRONG,
    "create bad integration": WRONG,
    "create empty name": None,
    "create qrcode string": WRONG,
    "create bad number": WRONG,
    "state min": None,
    "duplicate no key": ACCOUNT,
    "fetch by name ghost": GONE,
    "fetch by id ghost": GONE,
    "fetch by number ghost": GONE,
    "instance token state": None,
    "instance token on other instance": ACCOUNT,
    "instance token fetchInstances other name": ACCOUNT,
    "instance token create": ACCOUNT,
    "bearer instead": ACCOUNT,
    "whatsappNumbers never connected": WRONG,
    "restart PUT": ("account_refused", "no_such_route"),
    "webhook find none": None,
    "webhook set ok": None,
    "webhook find": None,
    "webhook set bad event": WRONG,
    "webhook set v1 body": WRONG,
    "webhook set empty url": None,
    "create with qrcode:true": None,
    "state connecting": None,
    "connect when open": None,
    "whatsappNumbers": None,
    "restart open": None,
    "logout after device_removed": WRONG,
    "restart after device_removed": WRONG,  # under 200
    "logout open": None,
    "logout twice": WRONG,
    "connect after logout": None,
    "logout connecting": None,
    "restart connecting": None,
    "parallel connect": None,
    "delete connecting": None,
    "state after delete": GONE,
    "create race, a loser": WRONG,
    "create race, winner afterwards: fetch": GONE,
    "create race, winner afterwards: state": None,
    "create webhook no events": WRONG,
    "create bad proxy": WRONG,
    "connect after limit": None,
    "state right after": None,
    "create EVOLUTION": None,
    "create WHATSAPP-BUSINESS": None,
    "settings find": None,
    "root no key": None,
    "delete open": None,
    "connect, network unreachable": None,
    "logout, network unreachable": None,
}

CODE = "2@<ref>,<key1>,<key2>,<secret>"
READINGS: dict[str, tuple[Callable[[EvolutionClient], object], object]] = {
    "unknown instance": (EvolutionClient.state, (False, False)),
    "state after delete": (EvolutionClient.state, (False, False)),
    "state min": (EvolutionClient.state, (False, True)),
    "state connecting": (EvolutionClient.state, (False, True)),
    "create race, winner afterwards: state": (EvolutionClient.state, (None, True)),
    "instance token on other instance": (EvolutionClient.state, (None, None)),
    "connect when open": (EvolutionClient.connect, Open()),
    "connect after logout": (EvolutionClient.connect, Qr(CODE, None, 3)),
    "connect after limit": (EvolutionClient.connect, Qr(CODE, None, 11)),
    "parallel connect": (EvolutionClient.connect, Qr(CODE, None, 8)),
    "connect, network unreachable": (EvolutionClient.connect, Pending()),
    "restart open": (EvolutionClient.restart, Open()),
    "restart connecting": (EvolutionClient.restart, Qr(CODE, None, 4)),
    "restart after device_removed": (EvolutionClient.restart, ProviderError),
    "logout open": (EvolutionClient.logout, None),
    "logout twice": (EvolutionClient.logout, None),
    "logout after device_removed": (EvolutionClient.logout, None),
    "logout, network unreachable": (EvolutionClient.logout, None),
    "webhook find none": (EvolutionClient.find_webhook, None),
    "webhook find": (EvolutionClient.find_webhook, Webhook),
    "root no key": (EvolutionClient.version, Version("2.3.7", "2.3.7")),
    "create with qrcode:true": (EvolutionClient.create, Created("5410d336-0b0d-494d-b3c3-9d7d41ec7a78")),
    "duplicate no key": (EvolutionClient.create, NameTaken),
    "no key create": (EvolutionClient.create, ProviderError),
    "create race, a loser": (EvolutionClient.create, ProviderError),
}


def _answering(pair: dict[str, Any]) -> Behaviour:
    body = json.dumps(pair["resp"]).encode()
    return lambda talk: talk.answer(pair["status"], body, {"Content-Type": "application/json"})


def _client(server: ScriptedServer, http: httpx.Client, name: str = "min") -> EvolutionClient:
    return EvolutionClient(
        name, API_KEY, base_url=server.base_url, http=http, timeout_s=2.0, call_timeout_s=2.0
    )


def _content(pair: dict[str, Any]) -> Content:
    match pair["req"].split("/")[2]:
        case "sendWhatsAppAudio":
            return Content("audio", media_url="data:audio/ogg;base64,aGVsbG8=")
        case "sendMedia":
            return Content("document", "c", media_url="data:text/plain;base64,aGVsbG8=", file_name="a.txt")
    return Content("text", "oi")


@pytest.mark.parametrize("case", SENDS)
def test_each_recorded_send_ends_in_its_outcome(case: str, script: Script, http: httpx.Client) -> None:
    """A recorded answer allows exactly the conclusion that the table names; an accepted one has its id."""
    pair = SENDS[case]
    server = script(_answering(pair))
    report = _client(server, http).send(PHONE, _content(pair), deadline=clock.monotonic() + 5)

    assert SEND_TABLE[case] == (report.outcome, report.halt_reason)
    assert pair["resp"].get("key", {}).get("id") == report.provider_message_id
    assert len(server.requests) == 1
    assert server.requests[0].startswith(f"POST {pair['req'].split()[1].rpartition('/')[0]}/min ".encode())


@pytest.mark.parametrize("case", CALLS)
def test_each_other_recorded_answer_is_taken_or_refused(
    case: str, script: Script, http: httpx.Client
) -> None:
    """What is an error is raised, whatever its status, with who must act; the rest comes back as it is."""
    pair = CALLS[case]
    method, target = pair["req"].split(" ")
    caller = EvolutionServer(script(_answering(pair)).base_url, API_KEY, http=http, call_timeout_s=2.0)
    expected = CALL_TABLE[case]
    if expected is None:
        assert pair["resp"] == caller.call(method, target.removeprefix("/"))
        return
    with pytest.raises(ProviderError) as raised:
        caller.call(method, target.removeprefix("/"))

    assert expected == (raised.value.kind, raised.value.halt_reason)
    assert raised.value.detail
    assert "<multi-line" not in raised.value.detail


@pytest.mark.parametrize("case", READINGS)
def test_each_call_reads_its_recorded_answer(case: str, script: Script, http: httpx.Client) -> None:
    """The client's own calls turn the recorded answers into typed values, without a token in their repr."""
    pair = CALLS[case]
    call, expected = READINGS[case]
    states = iter([404, 200, 200, 200])

    def behave(talk: Conversation) -> None:
        if call is not EvolutionClient.create or server.requests[-1].startswith(b"POST"):
            return _answering(pair)(talk)
        # Before a create the name is free, after it the instance shows its state.
        return _answering(CALLS["unknown instance" if next(states) == 404 else "state min"])(talk)

    server = script(behave)
    client = _client(server, http)
    if isinstance(expected, type) and issubclass(expected, ProviderError):
        with pytest.raises(ProviderError) as raised:
            call(client)
        assert type(raised.value) is expected
        return
    found = call(client)

    if isinstance(found, ChannelState):
        assert expected == (found.connected, found.exists)
    elif isinstance(expected, type):
        assert isinstance(found, expected)
    else:
        assert expected == found
    assert "<secret>" not in repr(found)
    assert "Bearer" not in repr(found)
    assert pair["resp"] is None or "hash" not in pair["resp"] or pair["resp"]["hash"] not in repr(found)


def test_every_pair_is_in_a_table() -> None:
    """A line that is added needs a verdict of its own."""
    assert set(SENDS) == set(SEND_TABLE)
    assert set(CALLS) == set(CALL_TABLE)
    assert len(SENDS) + len(CALLS) == len(PAIRS)


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ('{"hash":"B9263D38-0D94-4DFC-9767-04740DBBEC43"}', "B9263D38"),
        ("token of x: 87124A05-43A5-4548-81A2-4E370BA1DB60", "43A5-4548"),
        ("apikey=tk-LOJA-1 refused", "tk-LOJA-1"),
        ("'jwt_key': 'a secret of ours'", "a secret of ours"),
        ('"code":"2@REF,KEY1,KEY2,SECRET"', "SECRET"),
        ("scan 2@REFREFREF,KEY1+/=,KEY2,SECRET now", "SECRET"),
        ("pairingCode: WZYEH1YY", "WZYEH1YY"),
        ("data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgo"),
        ("5511987654321@s.whatsapp.net", "5511987654321"),
        ("Invalid `this.prismaRepository.x()` invocation in\n/srv/evolution/x.ts:10", "/srv/evolution"),
    ],
)
def test_a_detail_shows_nothing_that_lets_somebody_in(said: str, secret: str) -> None:
    """Tokens, QR and pairing codes, phones and the database's excerpts go, whether we know them or not."""
    detail = evolution_outcomes.safe_detail(f"it failed: {said}", ())

    assert secret not in detail
    assert detail
