"""One instance: its database row and what the server holds of it in memory. Facts only, no behaviour."""

import asyncio
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SETTINGS: dict[str, Any] = {
    "rejectCall": False,
    "msgCall": "",
    "groupsIgnore": False,
    "alwaysOnline": False,
    "readMessages": False,
    "readStatus": False,
    "syncFullHistory": False,
    "wavoipToken": "",
}


def stamp() -> str:
    """Now, as Evolution writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def database_id() -> str:
    """An id as the real database makes them."""
    return "cm" + secrets.token_hex(12)[:23]


@dataclass
class Stored:
    """A message that the database knows: only of these are receipts passed on."""

    remote_jid: str
    from_me: bool
    message_id: str = field(default_factory=database_id)
    payload: dict[str, Any] | None = None  # of an inbound one, to deliver it again
    record: dict[str, Any] = field(default_factory=dict)  # as findMessages shows it


@dataclass
class Row:
    """What the database says; `disconnection*` and `owner_jid` stay filled for ever (contract 4)."""

    name: str
    integration: str
    token: str
    number: str | None = None
    business_id: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    connection_status: str = "close"
    owner_jid: str | None = None
    profile_name: str | None = None
    reason_code: int | None = None
    reason_object: str | None = None
    reason_at: str | None = None
    paired: bool = False  # whether the phone's keys are stored
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    webhook: dict[str, Any] | None = None
    messages: dict[str, Stored] = field(default_factory=dict)
    contacts: dict[str, str | None] = field(default_factory=dict)
    created_at: str = field(default_factory=stamp)
    updated_at: str = field(default_factory=stamp)

    @property
    def connects(self) -> bool:
        """Whether this is WhatsApp by QR at all; the other integrations only say "open"."""
        return self.integration == "WHATSAPP-BAILEYS"

    def listing(self) -> dict[str, Any]:
        """As fetchInstances shows it: flat, token included (I#2677)."""
        setting = {"id": self.id, **self.settings, "createdAt": self.created_at}
        return {
            "id": self.id,
            "name": self.name,
            "connectionStatus": self.connection_status,
            "ownerJid": self.owner_jid,
            "profileName": self.profile_name,
            "profilePicUrl": None,
            "integration": self.integration,
            "number": self.number,
            "businessId": self.business_id,
            "token": self.token,
            "clientName": "evolution_exchange",
            "disconnectionReasonCode": self.reason_code,
            "disconnectionObject": self.reason_object,
            "disconnectionAt": self.reason_at,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "Chatwoot": None,
            "Proxy": None,
            "Rabbitmq": None,
            "Nats": None,
            "Sqs": None,
            "Websocket": None,
            "Setting": {**setting, "updatedAt": self.updated_at, "instanceId": self.id},
            "_count": {"Message": len(self.messages), "Contact": len(self.contacts), "Chat": 0},
        }


@dataclass
class Channel:
    """What the server's memory says. `line` is what a send would find: none (never connected), unpaired (a
    QR is shown), open, down (a closed socket)."""

    row: Row
    state: str = "close"
    line: str = "none"
    count: int = 0
    code: dict[str, Any] | None = None  # the last QR, without its count
    code_until: float = 0.0  # the loop's clock
    pairing_code: str | None = None
    own_jid: str | None = None
    silent: bool = False
    socket: asyncio.Task[None] | None = None
    first_attempt: asyncio.Event | None = None  # of the event posted last
    seen: dict[str, float] = field(default_factory=dict)
    held: list[dict[str, Any]] = field(default_factory=list)

    def qr_object(self) -> dict[str, Any]:
        """The answer of connect: `{"count":n}` where there is no QR."""
        return {**(self.code or {}), "count": self.count}
