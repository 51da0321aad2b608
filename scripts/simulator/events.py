"""The webhook payloads that the simulator posts (zapi contract 5.2 to 5.6), built from plain values."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from scripts.simulator.instances import Instance, Message

TRIAL_NOTICE = "[MENSAGEM DE TESTE: CONTA EM PERÍODO DE AVALIAÇÃO]\n"


def now_ms() -> int:
    """Epoch milliseconds, the unit of `momment` in message, delivery and status events."""
    return int(time.time() * 1000)


def new_message_id() -> str:
    """A WhatsApp-like id."""
    return "3EB0" + uuid.uuid4().hex[:18].upper()


def lid_of(phone: str) -> str:
    """The LID that a phone has where its contact names none: the same each time, from which no phone
    follows."""
    return f"{uuid.uuid5(uuid.NAMESPACE_OID, phone).int % 10**15:015d}@lid"


def delivery(instance: Instance, message: Message, error: str | None, code: str | None) -> dict[str, Any]:
    """DeliveryCallback: handed to WhatsApp, or `error` (contract 5.4)."""
    payload: dict[str, Any] = {
        "type": "DeliveryCallback",
        "instanceId": instance.id,
        "phone": message.phone,
        "messageId": message.message_id,
        "zaapId": message.zaap_id,
        "momment": now_ms(),
    }
    if error:
        payload["error"] = error
    if code:
        payload["errorCode"] = code
    return payload


def status(instance: Instance, message: Message, name: str) -> dict[str, Any]:
    """MessageStatusCallback (contract 5.5)."""
    return {
        "type": "MessageStatusCallback",
        "instanceId": instance.id,
        "status": name,
        "ids": [message.message_id],
        "momment": now_ms(),
        "phone": message.phone,
        "phoneDevice": 0,
        "isGroup": message.phone.endswith("-group"),
    }


def received(instance: Instance, phone: str, content: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """ReceivedCallback (contract 5.2); `changes` replace fields of the envelope."""
    contact = instance.contacts.get(phone)
    return {
        "type": "ReceivedCallback",
        "instanceId": instance.id,
        "connectedPhone": instance.phone,
        "messageId": new_message_id(),
        "phone": phone,
        "chatLid": (contact.lid if contact else None) or lid_of(phone),
        "fromMe": False,
        "fromApi": False,
        "momment": now_ms(),
        "status": "RECEIVED",
        "chatName": "Contato",
        "senderName": "Contato",
        "senderPhoto": None,
        "photo": None,
        "isGroup": phone.endswith("-group"),
        "isNewsletter": phone.endswith("@newsletter"),
        "isStatusReply": False,
        "isEdit": False,
        "broadcast": False,
        "waitingMessage": False,
        "forwarded": False,
        "participantPhone": None,
        "participantLid": None,
        "referenceMessageId": None,
        "messageExpirationSeconds": 0,
        **changes,
        **content,
    }


def echo(instance: Instance, message: Message) -> dict[str, Any]:
    """What "notify sent by me" gives back for a message that left through the API."""
    text = (TRIAL_NOTICE if instance.trial else "") + (message.text or "")
    content: dict[str, Any] = {"text": {"message": text}}
    if message.kind != "text":
        content = {message.kind: {f"{message.kind}Url": message.media, "caption": message.text}}
    marks = {"fromMe": True, "fromApi": True, "messageId": message.message_id, "status": "SENT"}
    return received(instance, message.phone, content, **marks)


def connected(instance: Instance) -> dict[str, Any]:
    """ConnectedCallback (contract 5.6)."""
    fields = {"type": "ConnectedCallback", "connected": True, "momment": now_ms()}
    return {**fields, "instanceId": instance.id, "phone": instance.phone}


def disconnected(instance: Instance) -> dict[str, Any]:
    """DisconnectedCallback: no phone, and its time in *seconds* (contract 5.1, unit trap)."""
    fields = {"type": "DisconnectedCallback", "disconnected": True, "error": "Device has been disconnected"}
    return {**fields, "momment": int(time.time()), "instanceId": instance.id}
