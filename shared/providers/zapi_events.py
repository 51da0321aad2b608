"""Z-API webhook payloads as typed facts (zapi contract 5). Pure: no authentication, no storage, never raises.

A field of an odd type becomes None; a payload without a type or an instance is of kind "other".
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from shared.providers.base import ErrorClass, EventKind, ProviderEvent, Receipt
from shared.providers.zapi_account import moment
from shared.providers.zapi_contents import read_content
from shared.redaction import clean_text

_KINDS: Mapping[str, EventKind] = {
    "receivedcallback": "message",
    "deliverycallback": "delivery",
    "messagestatuscallback": "status",
    "connectedcallback": "connected",
    "disconnectedcallback": "disconnected",
}
# READ_BY_ME is our own reading of theirs (contract 5.5): it moves nothing.
_RECEIPTS: Mapping[str, Receipt] = {"SENT": "sent", "RECEIVED": "delivered", "READ": "read", "PLAYED": "read"}

# zapi contract 5.4: the documented texts, exact but for case, spaces and a full stop at the end.
_ERRORS: Mapping[str, ErrorClass] = {
    "the message was not sent due to a likely shadow ban": "restriction",
    "whatsapp rejected sending this message": "restriction",
    "whatsapp did not allow sending this message": "restriction",
    "did not have permission to send this message": "restriction",
    "does not have permission to send the message": "restriction",
    "phone number does not exist": "contact",
    "message has not been sent because it got invalid phone number": "contact",
    "timeout on send message": "transient",
    "error on send message": "transient",
    "it was not possible to send message to queue due to request error": "queue",
    "message not send caused by invalid media url": "media",
    "got a 404 error while trying to send message": "media",
    "the url informed is not a valid url in the media format, apparently it can be an html": "media",
    "you must accept buttons message terms in panel to send this message": "configuration",
    "you can't message this group as you don't have permission": "configuration",
    "this type of message can only be sent in groups": "configuration",
    "message has not been edited because it has been more than 7 days": "permanent",
    "comment message has not been sent because it has more than 7 days": "permanent",
    "message has not been sent because an error occurred in the conversion": "format",
    "message has not been sent because it got invalid request params": "format",
}
# The families of which the contract names the subject only ("Others").
_ERROR_FAMILIES: tuple[tuple[re.Pattern[str], ErrorClass], ...] = (
    (re.compile(r"^unsupported sticker format:"), "media"),
    (re.compile(r"not available to channels$"), "permanent"),
    (re.compile(r"\b(forward\w*|status reply|product|catalog|order|event|poll)\b"), "permanent"),
)


def parse(payload: Any) -> ProviderEvent:
    """The facts of one payload. `happened_at` is normalised from seconds or milliseconds, None for
    nonsense."""
    if not isinstance(payload, Mapping):
        return ProviderEvent(kind="other", event_key=_digest("other", payload))
    provider_type = _text(payload.get("type"))
    instance = _text(payload.get("instanceId"))
    kind = _KINDS.get((provider_type or "").lower(), "other") if instance else "other"
    match kind:
        case "message":
            return _message(payload, provider_type, instance)
        case "delivery":
            return _delivery(payload, provider_type, instance)
        case "status":
            return _status(payload, provider_type, instance)
    phone = _text(payload.get("phone"))
    # A connection event has no id of its own, and its time may be nonsense (contract 5.1): the whole
    # payload is its key. What it sets is set twice without harm, and a poll of the state makes up for one
    # that was taken for a copy.
    return ProviderEvent(
        kind=kind,
        event_key=_digest(kind, payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=phone if kind == "other" else None,
        connected_phone=phone if kind == "connected" else _text(payload.get("connectedPhone")),
        error=_text(payload.get("error")),
        happened_at=moment(payload.get("momment")),
    )


def _message(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    message_id = _text(payload.get("messageId"))
    content = read_content(payload)
    # One message id may come three times with different news: still undecryptable, readable, edited. The
    # status is left out on purpose: the same message as PENDING and as RECEIVED must not be answered twice.
    stage = "waiting" if _flag(payload, "waitingMessage") else "message"
    if _flag(payload, "isEdit"):
        stage = f"edit|{payload.get('momment')}"
    notice = _text(payload.get("notification"))
    parts = ["message", message_id or "", stage, notice or ""]
    return ProviderEvent(
        kind="message",
        event_key=_key(parts) if message_id else _digest("message", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=_text(payload.get("phone")),
        chat_lid=_text(payload.get("chatLid")) or _sender_lid(payload),
        participant_phone=_text(payload.get("participantPhone")),
        sender_name=_text(payload.get("senderName")),
        connected_phone=_text(payload.get("connectedPhone")),
        from_me=_flag(payload, "fromMe"),
        from_api=_flag(payload, "fromApi"),
        is_group=_flag(payload, "isGroup"),
        is_newsletter=_flag(payload, "isNewsletter"),
        is_broadcast=_flag(payload, "broadcast"),
        is_status_reply=_flag(payload, "isStatusReply"),
        is_edit=_flag(payload, "isEdit"),
        is_waiting=_flag(payload, "waitingMessage"),
        message_kind=content.kind,
        text=content.text,
        media_url=content.media_url,
        media_type=content.media_type,
        reference_message_id=_text(payload.get("referenceMessageId")),
        provider_message_ids=(message_id,) if message_id else (),
        happened_at=moment(payload.get("momment")),
    )


def _sender_lid(payload: Mapping[str, Any]) -> str | None:
    """The sender of our own message is we, not the person that it went to."""
    return None if _flag(payload, "fromMe") else _text(payload.get("senderLid"))


def _delivery(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    """Without an error it was handed to WhatsApp. With one it failed, unless the text leaves that open
    (contract 5.4): then there is no receipt, and what was unknown stays unknown. A text that we do not know
    leaves it open too."""
    message_id, queue_id = _text(payload.get("messageId")), _text(payload.get("zaapId"))
    raw = payload.get("error")
    error = _text(raw) if isinstance(raw, str) else (json.dumps(raw)[:200] if raw else None)
    error_class = classify_error(error, payload.get("errorCode"))
    failed: Receipt | None = None if error_class in {None, "transient"} else "failed"
    parts = ["delivery", message_id or "", queue_id or "", error or ""]
    return ProviderEvent(
        kind="delivery",
        event_key=_key(parts) if message_id or queue_id else _digest("delivery", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=_text(payload.get("phone")),
        connected_phone=_text(payload.get("connectedPhone")),
        provider_message_ids=(message_id,) if message_id else (),
        provider_queue_id=queue_id,
        receipt=failed if error else "sent",
        error=error,
        error_class=error_class if error else None,
        happened_at=moment(payload.get("momment")),
    )


def _status(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    name = (_text(payload.get("status")) or "").upper()
    message_ids = _status_ids(payload)
    phone, viewer = _text(payload.get("phone")), _text(payload.get("participantPhone"))
    parts = ["status", name, phone or "", viewer or "", *sorted(message_ids)]
    return ProviderEvent(
        kind="status",
        event_key=_key(parts) if message_ids and name else _digest("status", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=phone,
        participant_phone=viewer,
        connected_phone=_text(payload.get("connectedPhone")),
        is_group=_flag(payload, "isGroup"),
        provider_message_ids=message_ids,
        receipt=_RECEIPTS.get(name),
        happened_at=moment(payload.get("momment")),
    )


def classify_error(error: str | None, error_code: Any = None) -> ErrorClass | None:
    """The class of a DeliveryCallback's error text (contract 5.4); None = a text that the contract does not
    name."""
    if error_code == "SHADOW_BAN":
        return "restriction"
    plain = " ".join((error or "").lower().replace("’", "'").split()).rstrip(".")
    if found := _ERRORS.get(plain):
        return found
    return next((named for family, named in _ERROR_FAMILIES if family.search(plain)), None)


def _status_ids(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """`ids` is what comes; the documentation once wrote `id`, and one client also reads `messageId`
    (contract 5.5)."""
    for name in ("ids", "id", "messageId"):
        value = payload.get(name)
        values = value if isinstance(value, list) else [value]
        if found := tuple(dict.fromkeys(item for entry in values if (item := _text(entry)))):
            return found
    return ()


def _key(parts: list[str]) -> str:
    """Readable while it is short; long or odd ones become a digest, so that the key always fits an index."""
    key = "|".join(parts)
    return key if len(key) <= 200 and key.isprintable() else _digest(parts[0], parts)


def _digest(name: str, payload: Any) -> str:
    canonical = json.dumps(payload, sort_keys=True, default=str, separators=(",", ":"))
    return f"{name}|sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _flag(payload: Mapping[str, Any], name: str) -> bool:
    return payload.get(name) is True


def _text(value: Any) -> str | None:
    return clean_text(value) if isinstance(value, str) and value else None
