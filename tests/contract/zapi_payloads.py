"""Sample webhook payloads of Z-API with invented values (zapi contract 5.2, 5.4, 5.5)."""

from datetime import UTC, datetime
from typing import Any

MOMENT_MS = 1_790_000_000_000
AT = datetime.fromtimestamp(MOMENT_MS / 1000, UTC)


def received(**changes: Any) -> dict[str, Any]:
    """A text message from a person; `changes` replace fields."""
    return {
        "type": "ReceivedCallback",
        "instanceId": "SIM1",
        "connectedPhone": "5551900000001",
        "messageId": "3EB0SIM000000000001",
        "phone": "5551900000002",
        "chatLid": "100000000000001@lid",
        "fromMe": False,
        "fromApi": False,
        "momment": MOMENT_MS,
        "status": "RECEIVED",
        "senderName": "Contato",
        "isGroup": False,
        "text": {"message": "oi"},
        **changes,
    }


def bare(**changes: Any) -> dict[str, Any]:
    """The same without any content."""
    payload = received(**changes)
    del payload["text"]
    return payload


def delivery(**changes: Any) -> dict[str, Any]:
    """What follows a send: handed over, or `error`."""
    fixed = {"type": "DeliveryCallback", "instanceId": "SIM1", "phone": "5551900000002", "momment": MOMENT_MS}
    return {**fixed, "messageId": "3EB0SIM1", "zaapId": "ZAAP1", **changes}


def status(name: Any, **changes: Any) -> dict[str, Any]:
    """What became of a message."""
    fixed = {"type": "MessageStatusCallback", "instanceId": "SIM1", "phone": "5551900000002"}
    return {**fixed, "status": name, "ids": ["3EB0SIM1"], "momment": MOMENT_MS, **changes}
