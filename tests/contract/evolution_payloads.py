"""Webhook payloads of Evolution API: those that were observed (evolution contract, appendix B), and made
ones of the same shapes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.providers.evolution_events import Message, parse_event

OBSERVED: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("evolution_webhooks.jsonl").read_text(encoding="utf-8").splitlines()
]
INSTANCE_TOKEN = "46898AE4-0000-0000-0000-THE-INSTANCE-TOKEN"
SENT_ID = "3EB05238C3DD05A98D277B"
AT = datetime.fromtimestamp(1795320998, UTC)


def upsert(message: Any = None, **changes: Any) -> dict[str, Any]:
    """A message from a person; `changes` replace fields of its data, or of its key with "key_" in front."""
    key = {
        "remoteJid": "5511977770001@s.whatsapp.net",
        "fromMe": False,
        "id": "3A157A9B8BEFF2984674",
        "participant": "",
        "addressingMode": "pn",
    }
    key |= {name[4:]: value for name, value in changes.items() if name.startswith("key_")}
    data = {
        "key": key,
        "pushName": "Cliente Um",
        "status": "DELIVERY_ACK",
        "message": {"conversation": "oi"} if message is None else message,
        "messageType": "conversation",
        "messageTimestamp": 1795320998,
        "instanceId": "564a8956-6eb7-4099-9893-b3f18ab8b6b5",
        "source": "ios",
        **{name: value for name, value in changes.items() if not name.startswith("key_")},
    }
    return event("messages.upsert", data)


def update(status: Any, **changes: Any) -> dict[str, Any]:
    """What became of a message of ours."""
    data = {
        "keyId": SENT_ID,
        "remoteJid": "5511999990001@s.whatsapp.net",
        "fromMe": True,
        "status": status,
        "messageId": "cmwrbrmxm0008pk7dv4pvgh5z",
        **changes,
    }
    return event("messages.update", data)


def event(name: Any, data: Any, **changes: Any) -> dict[str, Any]:
    """An envelope."""
    return {
        "event": name,
        "instance": "loja",
        "data": data,
        "date_time": "2026-11-22T04:16:38.929Z",
        "apikey": INSTANCE_TOKEN,
        **changes,
    }


def message_of(payload: Any) -> Message:
    """The payload's message; it must be one."""
    fact = parse_event(payload)
    assert isinstance(fact, Message)
    return fact
