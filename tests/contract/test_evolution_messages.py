"""What Evolution API's events say of messages: who wrote what to whom, and what became of what we sent."""

from datetime import datetime
from typing import Any

import pytest

from shared.providers.evolution_events import Ignored, parse_event
from tests.contract.evolution_payloads import AT, SENT_ID, message_of, update, upsert


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        ({"conversation": "oi"}, "text", "oi"),
        ({"extendedTextMessage": {"text": "com link", "contextInfo": {}}}, "text", "com link"),
        (
            {"imageMessage": {"url": "https://m/i", "mimetype": "image/jpeg", "caption": "foto"}},
            "image",
            "foto",
        ),
        ({"imageMessage": {"url": "https://m/i", "caption": ""}}, "image", None),
        ({"videoMessage": {"caption": "veja"}}, "video", "veja"),
        ({"documentMessage": {"fileName": "a.pdf", "caption": "leia"}}, "document", "leia"),
        (
            {"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "leia"}}}},
            "document",
            "leia",
        ),
        ({"audioMessage": {"ptt": True, "mimetype": "audio/ogg"}}, "audio", None),
        ({"stickerMessage": {}}, "sticker", None),
        ({"reactionMessage": {"text": "👍", "key": {"id": SENT_ID}}}, "reaction", None),
        ({"locationMessage": {"degreesLatitude": 1.0}}, "location", None),
        ({"contactMessage": {"displayName": "Ana"}}, "contact", None),
        (
            {"buttonsResponseMessage": {"selectedDisplayText": "Sim", "selectedButtonId": "1"}},
            "button_answer",
            "Sim",
        ),
        ({"listResponseMessage": {"title": "Opção 2"}}, "list_answer", "Opção 2"),
        ({"pollCreationMessage": {"name": "Quando?"}}, "poll", "Quando?"),
        ({"pollUpdateMessage": {"vote": {}}}, "poll_vote", None),
        ({"protocolMessage": {"type": "REVOKE"}}, "notice", None),
        ({"ephemeralMessage": {"message": {"conversation": "some"}}}, "text", "some"),
        ({"viewOnceMessageV2": {"message": {"imageMessage": {"caption": "uma vez"}}}}, "image", "uma vez"),
        ({"messageContextInfo": {}, "conversation": "oi"}, "text", "oi"),
        ({"conversation": ["odd"]}, "text", None),
        ({"conversation": "a\x00b\ud83dc"}, "text", "a\ufffdb\ufffdc"),
        ({"somethingNew": {"x": 1}}, "unsupported", None),
        ({"imageMessage": "odd"}, "unsupported", None),
        ({}, "waiting", None),
        ([], "unsupported", None),
        ("odd", "unsupported", None),
    ],
)
def test_each_kind_of_content(content: Any, kind: str, text: str | None) -> None:
    """What a person wrote or chose is text, whichever shape it came in; a reaction is none, media has no
    address."""
    message = message_of(upsert(content))

    assert (kind, text, None) == (message.message_kind, message.text, message.media_url)


def test_a_reaction_names_what_it_is_to() -> None:
    """A reaction refers to the message that it is to."""
    message = message_of(upsert({"reactionMessage": {"text": "👍", "key": {"id": SENT_ID}}}))

    assert message.reference_message_id == SENT_ID


@pytest.mark.parametrize(
    "content",
    [
        {"editedMessage": {"message": {"protocolMessage": {"editedMessage": {"conversation": "novo"}}}}},
        {"protocolMessage": {"editedMessage": {"conversation": "novo"}}},
        {"editedMessage": {"message": {"conversation": "novo"}}},
    ],
    ids=["both", "protocol", "wrapper"],
)
def test_an_edit_is_known_as_one(content: Any) -> None:
    """An edit carries the new text and the old id, and is news beside the first."""
    message = message_of(upsert(content))

    assert (message.is_edit, message.message_kind, message.text) == (True, "text", "novo")
    assert message.event_key != message_of(upsert()).event_key


@pytest.mark.parametrize(
    ("changes", "phone", "lid"),
    [
        ({}, "5511977770001", None),
        ({"key_remoteJid": "551177770001@s.whatsapp.net"}, "551177770001", None),
        ({"key_remoteJid": "5511977770001:12@s.whatsapp.net"}, "5511977770001", None),
        (
            {"key_remoteJid": "99887766@lid", "key_remoteJidAlt": "5511977770001@s.whatsapp.net"},
            "5511977770001",
            "99887766@lid",
        ),
        ({"key_remoteJid": "99887766@lid"}, None, "99887766@lid"),
        (
            {"key_remoteJidAlt": "99887766@lid", "key_addressingMode": "lid"},
            "5511977770001",
            "99887766@lid",
        ),
        ({"key_remoteJid": "120363000000000001@g.us"}, None, None),
        ({"key_remoteJid": "status@broadcast"}, None, None),
        ({"key_remoteJid": "123@newsletter"}, None, None),
        ({"key_remoteJid": "abc@s.whatsapp.net"}, None, None),
        ({"key_remoteJid": None}, None, None),
    ],
)
def test_a_phone_comes_only_from_a_persons_address(
    changes: dict[str, Any], phone: str | None, lid: str | None
) -> None:
    """Digits of a LID, a group or a channel are no phone; the alternative address tells a LID's."""
    message = message_of(upsert(**changes))

    assert (phone, lid) == (message.phone, message.chat_lid)
    assert changes.get("key_remoteJid", "5511977770001@s.whatsapp.net") == message.chat_jid


@pytest.mark.parametrize(
    ("jid", "field"),
    [
        ("120363000000000001@g.us", "is_group"),
        ("status@broadcast", "is_broadcast"),
        ("123@newsletter", "is_newsletter"),
    ],
)
def test_chats_of_many_are_marked(jid: str, field: str) -> None:
    """A group, a broadcast and a channel each have a flag of their own, on receipts too."""
    for message in (message_of(upsert(key_remoteJid=jid)), message_of(update("READ", remoteJid=jid))):
        flags = {name for name in ("is_group", "is_broadcast", "is_newsletter") if getattr(message, name)}
        assert flags == {field}


def test_what_was_typed_on_the_phone_is_from_us_but_not_by_the_api() -> None:
    """Only send.message is what the API sent; the name on our own message is ours, not the person's."""
    message = message_of(upsert(key_fromMe=True, pushName="Você"))

    assert (message.from_me, message.from_api, message.sender_name) == (True, False, None)


@pytest.mark.parametrize(
    ("status", "receipt"),
    [
        ("PENDING", None),
        ("SERVER_ACK", "sent"),
        ("DELIVERY_ACK", "delivered"),
        ("READ", "read"),
        ("PLAYED", "read"),
        ("ERROR", "failed"),
        ("DELETED", None),
        ("read", "read"),
        ("SOMETHING_NEW", None),
    ],
)
def test_each_receipt(status: str, receipt: str | None) -> None:
    """A status moves the message that its key id names, or nothing; a failure says that it is one."""
    message = message_of(update(status))

    assert (message.kind, receipt, (SENT_ID,)) == (
        message.kind,
        message.receipt,
        message.provider_message_ids,
    )
    assert bool(message.error) is (receipt == "failed")


def test_our_own_reading_is_no_receipt() -> None:
    """A status of a message that came to us moves nothing of ours."""
    assert message_of(update("READ", fromMe=False)).receipt is None


@pytest.mark.parametrize(
    "changes", [{"keyId": None}, {"keyId": ""}, {"keyId": 5}, {"status": None}, {"status": ["READ"]}]
)
def test_a_receipt_of_nothing_is_ignored(changes: dict[str, Any]) -> None:
    """The database's id alone names no message of ours."""
    assert isinstance(parse_event(update(**{"status": "READ", **changes})), Ignored)


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (1795320998, AT),
        (1795320998000, AT),
        ({"low": 1795320998, "high": 0, "unsigned": True}, AT),
        ({"low": "x"}, None),
        ("1795320998", None),
        (0, None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_the_time_of_a_message(timestamp: Any, expected: datetime | None) -> None:
    """Seconds, as a number or as the halves of a long one; nonsense gives none."""
    assert expected == message_of(upsert(messageTimestamp=timestamp)).happened_at


@pytest.mark.parametrize(
    ("event", "data", "sent_by"),
    [
        ("send.message", {}, "api"),
        ("messages.upsert", {"fromMe": True}, "hand"),
        ("messages.upsert", {}, None),
        ("send.message", {"remoteJid": "120363000000000001@g.us"}, None),
    ],
)
def test_who_made_it_leave_the_number(event: str, data: dict[str, Any], sent_by: str | None) -> None:
    """What the API sent is told as send.message alone; what was typed on the phone, as messages.upsert."""
    payload = upsert({"conversation": "oi"})
    payload["event"] = event
    payload["data"]["key"] |= data
    assert message_of(payload).sent_by == sent_by
