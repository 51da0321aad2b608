"""Z-API webhook payloads as typed facts (zapi contract 5). Pure: no authentication, no storage, never raises.

A field of an odd type becomes None; a payload without a type or an instance is of kind "other".
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.providers.base import ErrorClass, EventKind, ProviderEvent, Receipt, SentBy
from shared.providers.facts import digest, flag, key, moment, text
from shared.providers.zapi_contents import read_content

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
        return ProviderEvent(kind="other", event_key=digest("other", payload))
    provider_type = text(payload.get("type"))
    instance = text(payload.get("instanceId"))
    kind = _KINDS.get((provider_type or "").lower(), "other") if instance else "other"
    match kind:
        case "message":
            return _message(payload, provider_type, instance)
        case "delivery":
            return _delivery(payload, provider_type, instance)
        case "status":
            return _status(payload, provider_type, instance)
    phone = text(payload.get("phone"))
    # A connection event has no id of its own, and its time may be nonsense (contract 5.1): the whole
    # payload is its key. What it sets is set twice without harm, and a poll of the state makes up for one
    # that was taken for a copy.
    return ProviderEvent(
        kind=kind,
        event_key=digest(kind, payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=phone if kind == "other" else None,
        connected_phone=phone if kind == "connected" else text(payload.get("connectedPhone")),
        error=text(payload.get("error")),
        happened_at=moment(payload.get("momment")),
    )


def _message(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    message_id = text(payload.get("messageId"))
    content = read_content(payload)
    # One message id may come three times with different news: still undecryptable, readable, edited. The
    # status is left out on purpose: the same message as PENDING and as RECEIVED must not be answered twice.
    stage = "waiting" if flag(payload, "waitingMessage") else "message"
    if flag(payload, "isEdit"):
        stage = f"edit|{payload.get('momment')}"
    notice = text(payload.get("notification"))
    parts = ["message", message_id or "", stage, notice or ""]
    return ProviderEvent(
        kind="message",
        event_key=key(parts) if message_id else digest("message", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=text(payload.get("phone")),
        chat_lid=text(payload.get("chatLid")) or _sender_lid(payload),
        participant_phone=text(payload.get("participantPhone")),
        sender_name=text(payload.get("senderName")),
        connected_phone=text(payload.get("connectedPhone")),
        from_me=flag(payload, "fromMe"),
        from_api=flag(payload, "fromApi"),
        is_group=flag(payload, "isGroup"),
        is_newsletter=flag(payload, "isNewsletter"),
        is_broadcast=flag(payload, "broadcast"),
        is_status_reply=flag(payload, "isStatusReply"),
        is_edit=flag(payload, "isEdit"),
        is_waiting=flag(payload, "waitingMessage"),
        sent_by=_sent_by(payload),
        message_kind=content.kind,
        text=content.text,
        media_url=content.media_url,
        media_type=content.media_type,
        reference_message_id=text(payload.get("referenceMessageId")),
        provider_message_ids=(message_id,) if message_id else (),
        happened_at=moment(payload.get("momment")),
    )


def _sent_by(payload: Mapping[str, Any]) -> SentBy | None:
    """Who made it leave, where it left our number to one person (contract 5.2)."""
    strange = ("isGroup", "isNewsletter", "broadcast", "isStatusReply", "isEdit", "waitingMessage")
    if not flag(payload, "fromMe") or any(flag(payload, name) for name in strange):
        return None
    if "fromApi" not in payload:
        return "unsaid"
    return "api" if flag(payload, "fromApi") else "hand"


def _sender_lid(payload: Mapping[str, Any]) -> str | None:
    """The sender of our own message is we, not the person that it went to."""
    return None if flag(payload, "fromMe") else text(payload.get("senderLid"))


def _delivery(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    """Without an error it was handed to WhatsApp. With one it failed, unless the text leaves that open
    (contract 5.4): then there is no receipt, and what was unknown stays unknown. A text that we do not know
    leaves it open too."""
    message_id, queue_id = text(payload.get("messageId")), text(payload.get("zaapId"))
    raw = payload.get("error")
    error = text(raw) if isinstance(raw, str) else (json.dumps(raw)[:200] if raw else None)
    error_class = classify_error(error, payload.get("errorCode"))
    failed: Receipt | None = None if error_class in {None, "transient"} else "failed"
    parts = ["delivery", message_id or "", queue_id or "", error or ""]
    return ProviderEvent(
        kind="delivery",
        event_key=key(parts) if message_id or queue_id else digest("delivery", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=text(payload.get("phone")),
        connected_phone=text(payload.get("connectedPhone")),
        provider_message_ids=(message_id,) if message_id else (),
        provider_queue_id=queue_id,
        # Only what the API sent has a place in the queue. What may not have left (no receipt) is no sighting.
        sent_by=("api" if queue_id else "unsaid") if not error or failed else None,
        receipt=failed if error else "sent",
        error=error,
        error_class=error_class if error else None,
        happened_at=moment(payload.get("momment")),
    )


def _status(payload: Mapping[str, Any], provider_type: str | None, instance: str | None) -> ProviderEvent:
    name = (text(payload.get("status")) or "").upper()
    message_ids = _status_ids(payload)
    phone, viewer = text(payload.get("phone")), text(payload.get("participantPhone"))
    parts = ["status", name, phone or "", viewer or "", *sorted(message_ids)]
    return ProviderEvent(
        kind="status",
        event_key=key(parts) if message_ids and name else digest("status", payload),
        instance_external_id=instance,
        provider_type=provider_type,
        phone=phone,
        participant_phone=viewer,
        connected_phone=text(payload.get("connectedPhone")),
        is_group=flag(payload, "isGroup"),
        provider_message_ids=message_ids,
        # A message of ours or of a hand: it is not said which.
        sent_by="unsaid" if name in _RECEIPTS and not flag(payload, "isGroup") else None,
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
        if found := tuple(dict.fromkeys(item for entry in values if (item := text(entry)))):
            return found
    return ()
