"""What the contract suite needs to know of each provider; a new provider joins ADAPTERS and passes every
test."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from shared.providers.base import Outcome, Provider
from shared.providers.evolution import EvolutionClient
from shared.providers.zapi import ZApiClient
from tests.contract import evolution_answers, zapi_answers

PHONE = "5551987654321"
INSTANCE_ID = "3C0FFEE0000000000000000000000001"
TOKEN = "CANARYTOKEN/WITH+SIGNS01"
CLIENT_TOKEN = "CanaryClientTokenOfTheAccount01"
INSTANCE_NAME = "adscape_0123456789abcdef"
API_KEY = "CANARYKEY/OF+THE=SERVER01"


State = tuple[int, Any, bool | None, str | None]
Call = Callable[[Any], object]


@dataclass(frozen=True)
class Answered:
    """One answer of a provider to a send, and what may be concluded from it (reliability.md 2)."""

    name: str
    http_status: int
    body: bytes
    outcome: Outcome
    halt_reason: str | None = None
    message_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Adapter:
    """One provider under test. `accepted` is the body of its ordinary 2xx, whose message id is
    `message_id`; `states` are answers to a question for the state: status, body, connected, what is refused;
    `calls` are those other than sends."""

    name: str
    secrets: tuple[str, ...]
    make: Callable[[str, httpx.Client | None, float], Provider]
    accepted: bytes
    message_id: str
    answers: Sequence[Answered]
    states: Sequence[State]
    calls: Mapping[str, Call]


def _zapi(base_url: str, http: httpx.Client | None, timeout_s: float) -> Provider:
    return ZApiClient(
        INSTANCE_ID,
        TOKEN,
        CLIENT_TOKEN,
        base_url=base_url,
        http=http,
        timeout_s=timeout_s,
        call_timeout_s=timeout_s,
    )


def _evolution(base_url: str, http: httpx.Client | None, timeout_s: float) -> Provider:
    return EvolutionClient(
        INSTANCE_NAME,
        API_KEY,
        base_url=base_url,
        http=http,
        timeout_s=timeout_s,
        call_timeout_s=timeout_s,
    )


def _answered(row: tuple[Any, ...]) -> Answered:
    name, http_status, body, outcome, *rest = row
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    more: dict[str, Any] = rest[0] if rest else {}
    return Answered(name, http_status, raw, outcome, **more)


ZAPI = Adapter(
    name="zapi",
    secrets=(TOKEN, "CANARYTOKEN%2FWITH%2BSIGNS01", CLIENT_TOKEN),
    make=_zapi,
    accepted=json.dumps(zapi_answers.ACCEPTED).encode(),
    message_id=zapi_answers.ACCEPTED["messageId"],
    answers=[_answered(row) for row in zapi_answers.rows(CLIENT_TOKEN, PHONE)],
    states=zapi_answers.states(),
    calls={
        "device": lambda client: client.device(),
        "account": lambda client: client.account(),
        "purge_queue": lambda client: client.purge_queue(),
        "queue": lambda client: list(client.queue()),
        "phone_exists": lambda client: client.phone_exists(PHONE),
    },
)
EVOLUTION = Adapter(
    name="evolution",
    secrets=(API_KEY, quote(API_KEY, safe="")),
    make=_evolution,
    accepted=json.dumps(evolution_answers.ACCEPTED).encode(),
    message_id=evolution_answers.MESSAGE_ID,
    answers=[_answered(row) for row in evolution_answers.rows(API_KEY, PHONE)],
    states=evolution_answers.states(),
    calls={
        "create": lambda client: client.create(number=PHONE),
        "connect": lambda client: client.connect(PHONE),
        "restart": lambda client: client.restart(),
        "logout": lambda client: client.logout(),
        "delete": lambda client: client.delete(within_s=0.1),
        "set_webhook": lambda client: client.set_webhook("https://example.test/hook", "secret"),
        "find_webhook": lambda client: client.find_webhook(),
        "version": lambda client: client.version(),
    },
)
ADAPTERS = [ZAPI, EVOLUTION]
