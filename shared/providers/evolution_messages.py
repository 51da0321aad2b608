"""What Evolution API tells about messages: those that came or left, and what became of them (evolution
contract 6). Part of evolution_events; pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import phones
from shared.providers.base import ProviderEvent, Receipt, SentBy
from shared.providers.evolution_contents import read_content
from shared.providers.facts import digest, key, moment, text

_RECEIPTS: Mapping[str, Receipt] = {
    "SERVER_ACK": "sent",
    "DELIVERY_ACK": "delivered",
    "READ": "read",
    "PLAYED": "read",
    "ERROR": "failed",
}
_PERSON = "@s.whatsapp.net"
_DEVICE = re.compile(r"[:_]\d+(?=@)")


@dataclass(frozen=True)
class Message(ProviderEvent):
    """A message (kind "message"), or what became of one (kind "delivery"). `chat_jid` is the address that an
    answer goes to, as it came; `instance_external_id` is the instance's name."""

    chat_jid: str | None = None

    @property
    def instance(self) -> str | None:
        """As every fact has it."""
        return self.instance_external_id


def message(
    event: str, instance: str | None, data: Mapping[str, Any], *, from_api: bool = False
) -> Message | None:
    """messages.upsert, or (`from_api`) send.message: what the API sent comes as the latter alone, what was
    typed on the phone as the former. None where it is no message."""
    ids = data.get("key")
    if not isinstance(ids, Mapping):
        return None
    message_id, chat = text(ids.get("id")), text(ids.get("remoteJid"))
    from_me = from_api or ids.get("fromMe") is True
    content = read_content(data.get("message"))
    # The status is left out: the same message may be delivered again (contract 1.10) with another one, and
    # must not be answered twice. An edit has the id of what it changes, and what could not be decrypted may
    # come again as text.
    stage = "waiting" if content.kind == "waiting" else "message"
    sent_by: SentBy = "api" if from_api else "hand"
    if content.is_edit:
        stage = digest("edit", content.text)
    return Message(
        kind="message",
        event_key=key([event, message_id, stage]) if message_id else digest(event, data),
        instance_external_id=instance,
        provider_type=event,
        phone=phone_of(chat) or phone_of(ids.get("remoteJidAlt")),
        chat_lid=_lid(chat) or _lid(ids.get("remoteJidAlt")),
        participant_phone=phone_of(ids.get("participant")),
        # On what we sent it is our own.
        sender_name=None if from_me else text(data.get("pushName")),
        from_me=from_me,
        from_api=from_api,
        is_group=_is_at(chat, "g.us"),
        is_broadcast=_is_at(chat, "broadcast"),
        is_newsletter=_is_at(chat, "newsletter"),
        is_edit=content.is_edit,
        is_waiting=content.kind == "waiting",
        sent_by=sent_by if from_me and not content.is_edit and not _is_shared(chat) else None,
        message_kind=content.kind,
        text=content.text,
        media_type=content.media_type,
        reference_message_id=content.reference,
        provider_message_ids=(message_id,) if message_id else (),
        happened_at=stored_at(data.get("messageTimestamp")),
        chat_jid=chat,
    )


def update(instance: str | None, data: Mapping[str, Any]) -> Message | None:
    """messages.update. `keyId` is the message's id; `messageId` is one of the server's database (contract
    6). None where it does not say of which message."""
    message_id = text(data.get("keyId"))
    name = (text(data.get("status")) or "").upper()
    if message_id is None or not name:
        return None
    chat, viewer = text(data.get("remoteJid")), text(data.get("participant"))
    # On a message that came to us it is we who read it.
    receipt = None if data.get("fromMe") is False else _RECEIPTS.get(name)
    return Message(
        kind="delivery",
        event_key=key(["MESSAGES_UPDATE", message_id, name, viewer or ""]),
        instance_external_id=instance,
        provider_type="MESSAGES_UPDATE",
        phone=phone_of(chat),
        chat_lid=_lid(chat),
        participant_phone=phone_of(viewer),
        from_me=data.get("fromMe") is True,
        is_group=_is_at(chat, "g.us"),
        is_broadcast=_is_at(chat, "broadcast"),
        is_newsletter=_is_at(chat, "newsletter"),
        provider_message_ids=(message_id,),
        sent_by="unsaid" if receipt and not _is_shared(chat) else None,
        receipt=receipt,
        error="the provider could not deliver it (ERROR)" if receipt == "failed" else None,
        chat_jid=chat,
    )


def phone_of(jid: Any) -> str | None:
    """The digits of one person's address; other addresses are opaque (contract 9, "@lid")."""
    address = text(jid) or ""
    return phones.from_provider(_DEVICE.sub("", address)) if address.endswith(_PERSON) else None


def _lid(jid: Any) -> str | None:
    address = text(jid) or ""
    return address if address.endswith("@lid") else None


def _is_shared(jid: str | None) -> bool:
    return any(_is_at(jid, domain) for domain in ("g.us", "broadcast", "newsletter"))


def _is_at(jid: str | None, domain: str) -> bool:
    return (jid or "").endswith(f"@{domain}")


def stored_at(value: Any) -> datetime | None:
    """Seconds, as a number or as the halves of a 64-bit one (contract 5)."""
    return moment(value.get("low") if isinstance(value, Mapping) else value)
