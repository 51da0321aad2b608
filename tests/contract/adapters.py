"""What the contract suite needs to know of each provider; a new provider joins ADAPTERS and passes every
test."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.providers.base import Outcome, Provider
from shared.providers.zapi import ZApiClient
from tests.contract import zapi_answers

PHONE = "5551987654321"
INSTANCE_ID = "3C0FFEE0000000000000000000000001"
TOKEN = "CANARYTOKEN/WITH+SIGNS01"
CLIENT_TOKEN = "CanaryClientTokenOfTheAccount01"


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
    """One provider under test. `accepted` is the body of its ordinary 200, whose message id is
    `message_id`."""

    name: str
    secrets: tuple[str, ...]
    make: Callable[[str, httpx.Client, float], Provider]
    accepted: bytes
    message_id: str
    answers: Sequence[Answered]


def _zapi(base_url: str, http: httpx.Client, timeout_s: float) -> Provider:
    return ZApiClient(
        INSTANCE_ID,
        TOKEN,
        CLIENT_TOKEN,
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
)
ADAPTERS = [ZAPI]
