"""Evolution API's webhook payloads as typed facts (evolution contract 6, appendix B). Pure: no
authentication, no storage, never raises.

The envelope's `apikey` is the instance's token: nothing of it is kept here. `date_time` is the server's local
time with a Z on it (contract 6, Envelope), so it is no time to us.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.providers import evolution_messages
from shared.providers.evolution_answers import scannable, typeable
from shared.providers.evolution_messages import Message, phone_of
from shared.providers.facts import digest, key, text
from shared.providers.verdicts import parse_body

__all__ = [
    "AnyFact",
    "Cause",
    "ConnectionChange",
    "Fact",
    "Ignored",
    "Message",
    "QrLimit",
    "QrShown",
    "Removed",
    "normalised",
    "parse_event",
]

Cause = Literal["logged_out", "device_removed", "banned", "deleted", "closed"]

# Nothing reconnects after these; all else is temporary (contract 10.7).
FINAL_REASONS = frozenset({401, 402, 403, 406})
REFUSED_REASON = 428

_OWN_LOGOUT = re.compile(r'"Log out instance: ')
_FORBIDDEN = 403


@dataclass(frozen=True)
class Fact:
    """What every event tells: which instance it is of (the envelope's name; None where there is none) and the
    key by which a copy is known again within that instance."""

    instance: str | None
    event_key: str


@dataclass(frozen=True)
class ConnectionChange(Fact):
    """`final`: nobody reconnects it, a new QR code is needed. `refused`: no more QR codes are shown until
    somebody asks again. `phone` is known when it is open."""

    state: str
    reason: int | None
    phone: str | None
    final: bool
    refused: bool


@dataclass(frozen=True)
class QrShown(Fact):
    """A QR code to scan within 45 s (contract 4), in place of every earlier one."""

    code: str = field(repr=False)
    pairing_code: str | None = field(repr=False)


@dataclass(frozen=True)
class QrLimit(Fact):
    """No more QR codes in this pairing (contract 7): somebody has to begin again."""


@dataclass(frozen=True)
class Removed(Fact):
    """The phone is no longer paired, or (`deleted`) the instance is gone. Only status.instance tells why
    (contract 6): "closed" means that this event did not say."""

    cause: Cause
    reason: int | None


@dataclass(frozen=True)
class Ignored(Fact):
    """Nothing to act on: another event, or one whose shape we do not know. `event` is its normalised name."""

    event: str | None


Known = ConnectionChange | QrShown | QrLimit | Message | Removed
AnyFact = Known | Ignored


def parse_event(payload: Any) -> AnyFact:
    """The fact in one payload, whatever JSON it is."""
    envelope = payload if isinstance(payload, Mapping) else {}
    event, instance = normalised(envelope.get("event")), text(envelope.get("instance"))
    reader = _READERS.get(event or "")
    data = envelope.get("data")
    # One object, as far as was seen; a list of one is taken for it (contract 10.6).
    data = data[0] if isinstance(data, list) and data else data
    fields = data if isinstance(data, Mapping) else {}
    happening = _Happening(instance, text(envelope.get("date_time")) or "")
    found = reader(happening, fields) if reader else None
    return found or Ignored(instance, digest("other", payload), event)


@dataclass(frozen=True)
class _Happening:
    """Where and when: `at` tells a change that happens again from a copy, which keeps its time (contract 6,
    Envelope)."""

    instance: str | None
    at: str

    def key(self, event: str, *parts: object) -> str:
        return key([event, *map(str, parts), self.at])


def normalised(event: Any) -> str | None:
    """MESSAGES_UPSERT for messages.upsert: names come in three spellings (contract 6, Envelope)."""
    name = text(event)
    return re.sub(r"[.-]", "_", name).upper() if name else None


def _connection(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    state = text(data.get("state"))
    if state is None:
        return None
    reason = _whole(data.get("statusReason"))
    phone = phone_of(data.get("wuid"))
    return ConnectionChange(
        seen.instance,
        seen.key("CONNECTION_UPDATE", state, reason),
        state=state,
        reason=reason,
        phone=phone,
        final=state == "close" and reason in FINAL_REASONS,
        refused=state == "refused" or reason == REFUSED_REASON,
    )


def _qr(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    shown = data.get("qrcode")
    if isinstance(shown, Mapping):
        code = scannable(shown.get("code"))
        if code is None:
            return None
        return QrShown(
            seen.instance, digest("QRCODE_UPDATED", code), code, typeable(shown.get("pairingCode"))
        )
    # In place of a code: {"message": "QR code limit reached, …", "statusCode": 500}
    if text(data.get("message")) is not None:
        return QrLimit(seen.instance, seen.key("QRCODE_UPDATED", "limit"))
    return None


def _closed(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    """status.instance: the only event that tells an own logout from a removal by the phone (contract 6)."""
    if data.get("status") != "closed":
        return None
    reason = _whole(data.get("disconnectionReasonCode"))
    told = text(data.get("disconnectionObject")) or ""
    cause: Cause = "closed"
    if _OWN_LOGOUT.search(told):
        cause = "logged_out"
    elif _conflict(told) == "device_removed":
        cause = "device_removed"
    elif reason == _FORBIDDEN:
        cause = "banned"
    return Removed(seen.instance, seen.key("STATUS_INSTANCE", reason), cause, reason)


def _conflict(told: str) -> str | None:
    """`error.data.attrs.type` of the JSON in the string."""
    value = parse_body(told.encode())
    for name in ("error", "data", "attrs", "type"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return text(value)


def _logged_out(seen: _Happening, _: Mapping[str, Any]) -> Known | None:
    # It comes with a removal by the phone too (contract 7), and says nothing of why.
    return Removed(seen.instance, seen.key("LOGOUT_INSTANCE"), "closed", None)


def _deleted(seen: _Happening, _: Mapping[str, Any]) -> Known | None:
    return Removed(seen.instance, seen.key("REMOVE_INSTANCE"), "deleted", None)


def _arrived(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    return evolution_messages.message("MESSAGES_UPSERT", seen.instance, data)


def _sent(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    return evolution_messages.message("SEND_MESSAGE", seen.instance, data, from_api=True)


def _moved(seen: _Happening, data: Mapping[str, Any]) -> Known | None:
    return evolution_messages.update(seen.instance, data)


_READERS: Mapping[str, Callable[[_Happening, Mapping[str, Any]], Known | None]] = {
    "CONNECTION_UPDATE": _connection,
    "QRCODE_UPDATED": _qr,
    "MESSAGES_UPSERT": _arrived,
    "SEND_MESSAGE": _sent,
    "MESSAGES_UPDATE": _moved,
    "STATUS_INSTANCE": _closed,
    "LOGOUT_INSTANCE": _logged_out,
    "REMOVE_INSTANCE": _deleted,
}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
