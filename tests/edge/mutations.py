"""A good request to every function, and what a careless or hostile sender makes of it."""

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from edge.functions import load_functions
from tests.edge.evolution_events import Line
from tests.edge.gateway import PERSON, SERVICE_KEY, Number, message, status
from tests.edge.stripe_events import checkout, signature, subscription, unpaid_invoice

Path = tuple[str | int, ...]
USERS = {each.slug for each in load_functions() if each.caller == "user"}

_ODD_TEXTS = (
    *("", " ", "\x00", "a\x00b", "\ud800", "x" * 5000, "∞", "{}", "null", "-group", "@lid", "https://"),
    *(PERSON, "+1 212 555 0123", "SENT", "READ", "SAIR", "5", str(UUID(int=0)), "2025-02-30"),
)
TEXTS = st.one_of(st.text(st.characters(codec=None, exclude_categories=())), st.sampled_from(_ODD_TEXTS))
VALUES: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["message", "audioUrl", "id", "phone"])), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
# Whatever a header may hold on the wire; others a client cannot even send.
_HEADER_VALUES = st.one_of(
    st.sampled_from([b"", b"x" * 5000, b"\xff\xfe", b"0", b"-1", b"t=1,v1=00", b"Bearer", b"gzip, gzip"]),
    st.binary(max_size=60).map(
        lambda data: bytes(each for each in data if each >= 32 and each != 127).strip()
    ),
)
# Never a length: ids differ from run to run, and what is drawn must not.
_SHARES = st.floats(0, 1)
_HEADER_NAMES = st.sampled_from(
    (
        *("authorization", "idempotency-key", "stripe-signature", "z-api-token", "x-request-id"),
        *("content-type", "content-encoding", "accept", "origin", "x-forwarded-for", "expect"),
    )
)


@dataclass(frozen=True)
class Known:
    """What a good request may name: a number, a person with a profile; a manager, her client's own number."""

    number: Number
    profile_id: str
    user_id: str
    line: Line
    manager_token: str
    client_id: str


@dataclass(frozen=True)
class Sent:
    """One request: the path below /functions/v1, the bytes, the headers."""

    path: str
    content: bytes
    headers: dict[bytes, bytes]


def _cron(known: Known) -> list[dict[str, Any]]:
    return [
        {},
        {"dry_run": True, "target_user_id": known.user_id},
        {"dry_run": False, "profile_id": known.profile_id, "force": False},
    ]


def _webhook(known: Known) -> list[dict[str, Any]]:
    number = known.number
    audio = {"audioUrl": "https://media.example/a.ogg", "mimeType": "audio/ogg", "seconds": 3, "ptt": True}
    image = {"imageUrl": "https://media.example/a.jpg", "mimeType": "image/jpeg", "caption": "olha"}
    return [
        message(number),
        message(number, "SAIR"),
        message(number, None, audio=audio),
        message(number, None, image=image),
        message(number, "oi", fromMe=True),
        message(number, "oi", phone="123456789@lid", chatLid="123456789@lid"),
        message(number, "oi", referenceMessageId="WA-1", isEdit=True),
        status(number, "READ", "WA-1", "WA-2"),
        {"type": "DeliveryCallback", "instanceId": number.zapi_id, "messageId": "WA-1", "phone": PERSON},
        {"type": "DisconnectedCallback", "instanceId": number.zapi_id, "disconnected": True},
        {"type": "ConnectedCallback", "instanceId": number.zapi_id, "phone": number.phone, "connected": True},
    ]


def _stripe(_known: Known) -> list[dict[str, Any]]:
    kinds = [subscription("deleted"), subscription("updated", "past_due"), subscription("resumed")]
    return [checkout(), checkout("async_payment_failed"), unpaid_invoice(), *kinds]


def _evolution(known: Known) -> list[dict[str, Any]]:
    line = known.line
    events = [
        line.said("SAIR"),
        line.said("oi", remoteJid="120363000000000001@g.us"),
        line.update("3EB0A", "READ"),
        line.code("2@a,b,c,d"),
        line.change("connecting"),
        line.change("open", 200, wuid="5511988887777@s.whatsapp.net"),
        line.change("close", 401),
        line.closed(),
        ("logout.instance", None),
        ("send.message", line.said("oi", fromMe=True)[1]),
    ]
    return [line.envelope(event, data) for event, data in events]


# By slug; every function with a schedule takes the same fields.
EXAMPLES: dict[str, Callable[[Known], list[dict[str, Any]]]] = {
    "start-trial": lambda _: [{"name": "Ana Lima", "phone": PERSON, "email": "ana@example.com"}],
    "send-zapi-message": lambda known: [
        {"phone": PERSON, "message": "Oi", "user_id": known.user_id, "isAudio": False}
    ],
    "admin-send-message": lambda known: [
        {"user_id": known.user_id, "message": "Oi"},
        {"phone": PERSON, "message": "Oi"},
    ],
    "send-meditation": lambda known: [
        {"meditation_id": "sono", "user_id": known.user_id, "context": "noite ruim"},
        {"category": "sono", "phone": PERSON},
    ],
    "cron-whatsapp-reports": lambda known: [
        {},
        {"dry_run": True, "clientId": known.user_id},
        {"clientId": known.user_id, "force": True},
    ],
    "check-balance-alerts": lambda _: [{}, {"dry_run": True}],
    "evolution-whatsapp": lambda known: [
        {"action": "send-message", "client_id": known.client_id, "phone": PERSON, "message": "Oi"},
        {"action": "create-instance"},
        {"action": "check-status", "client_id": known.client_id},
        {"action": "get-qrcode"},
        {"action": "disconnect"},
    ],
    "manage-clients": lambda known: [
        {"action": "list"},
        {"action": "update", "client_id": known.client_id, "client_label": "Padaria"},
    ],
    "webhook-evolution": _evolution,
    "webhook-zapi": _webhook,
    "stripe-webhook": _stripe,
}


def examples(slug: str, known: Known) -> list[dict[str, Any]]:
    """Good bodies of one function."""
    return EXAMPLES.get(slug, _cron)(known)


def good(slug: str, body: Any, known: Known) -> Sent:
    """The body as its right sender sends it."""
    return _sent(slug, json.dumps(body).encode(), known)


@st.composite
def requests(draw: DrawFn, slug: str, known: Known) -> Sent:
    """A good request with its body, its bytes or its headers changed, or all three."""
    example = draw(st.sampled_from(examples(slug, known)))
    body = draw(mutated(_as_new(example, draw(st.integers(0, 10**9)))))
    data = json.dumps(body).encode()
    headers: dict[bytes, bytes] = {}
    match draw(st.sampled_from(["json"] * 12 + ["gzip", "cut gzip", "noise", "bytes", "utf-16", "doubled"])):
        case "gzip":
            data, headers[b"content-encoding"] = gzip.compress(data, mtime=0), b"gzip"
        case "cut gzip":
            packed = gzip.compress(data, mtime=0)
            data, headers[b"content-encoding"] = packed[: round(draw(_SHARES) * len(packed))], b"gzip"
        case "noise":
            at, noise = round(draw(_SHARES) * len(data)), draw(st.binary(max_size=40))
            data = data[:at] + noise + data[at + len(noise) :]
        case "bytes":
            data = draw(st.binary(max_size=300))
        case "utf-16":
            data = json.dumps(body, ensure_ascii=False).encode("utf-16", "surrogatepass")
        case "doubled":
            data = data + data
    sent = _sent(slug, data, known, packed=b"content-encoding" in headers)
    odd = draw(st.dictionaries(_HEADER_NAMES, _HEADER_VALUES, max_size=2)) if draw(st.booleans()) else {}
    return Sent(
        sent.path, data, {**sent.headers, **headers, **{name.encode(): value for name, value in odd.items()}}
    )


@st.composite
def mutated(draw: DrawFn, example: Any) -> Any:
    """The example, up to four places in it replaced, removed, added to or wrapped; at times none of it."""
    if draw(st.integers(0, 19)) == 0:
        return draw(VALUES)
    body = copy.deepcopy(example)
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(body))
        if not places:
            break
        place = draw(st.sampled_from(places))
        holder = body
        for step in place[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "replace", "remove", "add", "wrap"])):
            case "replace":
                holder[place[-1]] = draw(VALUES)
            case "remove":
                del holder[place[-1]]
            case "wrap":
                holder[place[-1]] = [holder[place[-1]]]
            case "add" if isinstance(holder, dict):
                holder[draw(TEXTS)] = draw(VALUES)
    return body


def _as_new(example: dict[str, Any], number: int) -> dict[str, Any]:
    """With an id of its own: what was told before is only counted as a duplicate."""
    if "messageId" in example:
        return example | {"messageId": f"WA-{number}"}
    return example | {"id": f"evt_{number}"} if example.get("object") == "event" else example


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where in a JSON value something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


def _sent(slug: str, data: bytes, known: Known, *, packed: bool = False) -> Sent:
    if slug == "webhook-zapi":
        return Sent(f"{slug}/{known.number.webhook_token}", data, {})
    if slug == "webhook-evolution":
        return Sent(slug, data, {name.encode(): value.encode() for name, value in known.line.headers.items()})
    if slug == "stripe-webhook":
        # Stripe signs what it sends unpacked.
        signed = _unpacked(data) if packed else data
        return Sent(slug, data, {b"stripe-signature": signature(signed).encode()})
    key = known.manager_token if slug in USERS else SERVICE_KEY
    return Sent(slug, data, {b"authorization": f"Bearer {key}".encode()})


def _unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError):
        return data
