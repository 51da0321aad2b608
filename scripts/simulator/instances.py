"""One simulated Z-API instance: identity, health, queue and webhook addresses. No behaviour beyond its own
facts."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.simulator.options import BadSettingError

WEBHOOK_KINDS = (
    "received",
    "received_and_sent",
    "delivery",
    "message_status",
    "connected",
    "disconnected",
    "presence",
)
_CONFIGURABLE = {
    "id",
    "token",
    "client_token",
    "phone",
    "name",
    "connected",
    "trial",
    "webhook_url",
    "notify_sent_by_me",
    "disable_enqueue_when_disconnected",
}


@dataclass
class Message:
    """One accepted message on its way through the instance's queue."""

    zaap_id: str
    message_id: str
    phone: str
    kind: str
    text: str | None
    media: str | None
    delay_message: float
    delay_typing: float
    created: float
    later_error: str | None = None
    is_followed: bool = True


@dataclass
class Contact:
    """What WhatsApp knows of a phone: whether it is there, in which registered form, under which LID."""

    exists: bool = True
    registered_as: str | None = None
    lid: str | None = None


@dataclass
class DeliveryError:
    """The next `times` deliveries (to `phone`, or to anybody) fail with this text."""

    error: str
    error_code: str | None = None
    phone: str | None = None
    times: int = 1


@dataclass
class Instance:
    """Z-API's side of one number (zapi contract 8, item 6). Times are epoch seconds."""

    id: str
    token: str
    client_token: str | None
    phone: str
    name: str
    connected: bool = True
    trial: bool = False
    lapsed: bool = False
    ban: str | None = None
    stale_status: bool = False
    webhooks_stopped: bool = False
    disable_enqueue_when_disconnected: bool = False
    notify_sent_by_me: bool = False
    slow_s: float = 0.0
    webhooks: dict[str, str] = field(default_factory=dict)
    queue: deque[Message] = field(default_factory=deque)
    held_inbound: list[dict[str, Any]] = field(default_factory=list)
    contacts: dict[str, Contact] = field(default_factory=dict)
    delivery_errors: list[DeliveryError] = field(default_factory=list)
    sends_at: deque[float] = field(default_factory=deque)
    drainer: asyncio.Task[None] | None = None

    def summary(self) -> dict[str, Any]:
        """What the control interface shows, credentials included: they are the simulator's own."""
        return {
            "id": self.id,
            "token": self.token,
            "client_token": self.client_token,
            "phone": self.phone,
            "name": self.name,
            "connected": self.connected,
            "lapsed": self.lapsed,
            "ban": self.ban,
            "trial": self.trial,
            "queued": len(self.queue),
            "disable_enqueue_when_disconnected": self.disable_enqueue_when_disconnected,
            "notify_sent_by_me": self.notify_sent_by_me,
            "webhooks": dict(self.webhooks),
        }


def numbered(index: int) -> dict[str, Any]:
    """The configuration of the simulator's own instance number `index` (from 1): the same after each
    start."""
    return {
        "id": f"5100{index:028X}",
        "token": f"51A0{index:020X}",
        "client_token": "SimulatedAccountTokenS1",
        "phone": f"55519{90000000 + index:08d}",
        "name": f"Simulado {index}",
    }


def configured(config: Mapping[str, Any], index: int) -> Instance:
    """An instance from its configuration; what is left out is as in `numbered(index)`."""
    if unknown := set(config) - _CONFIGURABLE:
        known = ", ".join(sorted(_CONFIGURABLE))
        raise BadSettingError(f"unknown instance fields {', '.join(sorted(unknown))}; there are {known}")
    merged = {**numbered(index), **config}
    url = merged.pop("webhook_url", None)
    return Instance(**merged, webhooks=dict.fromkeys(WEBHOOK_KINDS, url) if url else {})
