"""The answers of Z-API's calls other than sends, as typed values (zapi contract 2.6, 3, 4). No network
here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from shared.providers.facts import moment

WebhookKind = Literal[
    "received", "received_and_sent", "delivery", "message_status", "connected", "disconnected", "presence"
]

# zapi contract 4.4
WEBHOOK_ACTIONS: Mapping[WebhookKind, str] = {
    "received": "update-webhook-received",
    "received_and_sent": "update-webhook-received-delivery",
    "delivery": "update-webhook-delivery",
    "message_status": "update-webhook-message-status",
    "connected": "update-webhook-connected",
    "disconnected": "update-webhook-disconnected",
    "presence": "update-webhook-chat-presence",
}
_WEBHOOK_FIELDS: Mapping[str, WebhookKind] = {
    "receivedCallbackUrl": "received",
    "deliveryCallbackUrl": "delivery",
    "messageStatusCallbackUrl": "message_status",
    "connectedCallbackUrl": "connected",
    "disconnectedCallbackUrl": "disconnected",
    "presenceChatCallbackUrl": "presence",
}


@dataclass(frozen=True)
class Device:
    """GET /device: the phone that is paired now (digits; None when the answer has none)."""

    phone: str | None
    name: str | None
    is_business: bool | None


@dataclass(frozen=True)
class Account:
    """GET /me without the token that it returns. `webhooks` hold our own secrets in their paths: not in the
    repr."""

    name: str | None
    due: datetime | None
    connected: bool | None
    payment_status: str | None
    sends_own_messages: bool | None
    webhooks: Mapping[WebhookKind, str] = field(repr=False)


@dataclass(frozen=True)
class QueueEntry:
    """One message that waits at the provider (PascalCase on the wire). `phone` and `text` are personal: no
    repr."""

    queue_id: str
    message_id: str | None
    phone: str | None = field(repr=False)
    text: str | None = field(repr=False)
    created_at: datetime | None


@dataclass(frozen=True)
class PhoneCheck:
    """Whether a phone is on WhatsApp, its registered form (may lack the ninth digit), and its LID."""

    exists: bool
    phone: str | None
    lid: str | None


def device(value: Any) -> Device | None:
    """None where the answer is no device."""
    if not isinstance(value, dict):
        return None
    is_business = value.get("isBusiness")
    return Device(
        _text(value.get("phone")),
        _text(value.get("name")),
        is_business if isinstance(is_business, bool) else None,
    )


def account(value: Any) -> Account | None:
    """None where the answer is no account. Only named fields are taken over, so the token cannot come
    along."""
    if not isinstance(value, dict):
        return None
    connected, own = value.get("connected"), value.get("receiveCallbackSentByMe")
    webhooks = {kind: url for name, kind in _WEBHOOK_FIELDS.items() if (url := _text(value.get(name)))}
    return Account(
        name=_text(value.get("name")),
        due=moment(value.get("due")),
        connected=connected if isinstance(connected, bool) else None,
        payment_status=_text(value.get("paymentStatus")),
        sends_own_messages=own if isinstance(own, bool) else None,
        webhooks=webhooks,
    )


def queue_page(value: Any) -> tuple[list[QueueEntry], str | None] | None:
    """One page of POST /queue and the state that asks for the next (None = the last); None for another
    shape."""
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        return None
    entries = [
        QueueEntry(
            queue_id=queue_id,
            message_id=_text(item.get("MessageId")),
            phone=_text(item.get("Phone")),
            text=_text(item.get("Message")),
            created_at=moment(item.get("Created")),
        )
        for item in value["messages"]
        if isinstance(item, dict) and (queue_id := _text(item.get("ZaapId")) or _text(item.get("_id")))
    ]
    following = value.get("pagingState") if value.get("hasMore") is True else None
    return entries, _text(following)


def phone_check(value: Any) -> PhoneCheck | None:
    """Both shapes: an object, as public clients see it, and the documentation's one-element array (contract
    2.6)."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or not isinstance(value.get("exists"), bool):
        return None
    phone = _text(value.get("phone")) or _text(value.get("outputPhone"))
    return PhoneCheck(value["exists"], phone, _text(value.get("lid")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
