"""What a message of Evolution API carries: its kind and its text (evolution contract 6, `data` by event).
Part of evolution_messages.

Media has no address here: WhatsApp's own needs a key, and we ask for no base64.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.providers.facts import text

# Envelopes around the message proper; the inner one is under "message".
_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "documentWithCaptionMessage",
    "editedMessage",
)
_DEEPEST = 5


@dataclass(frozen=True)
class Shape:
    """One kind of content: under which names a person's words are; a reaction's emoji is no text."""

    kind: str
    texts: tuple[str, ...] = ()


# Looked at in this order; keys that we do not know are passed over.
_SHAPES: Mapping[str, Shape] = {
    "extendedTextMessage": Shape("text", ("text",)),
    "imageMessage": Shape("image", ("caption",)),
    "videoMessage": Shape("video", ("caption",)),
    "documentMessage": Shape("document", ("caption",)),
    "audioMessage": Shape("audio"),
    "stickerMessage": Shape("sticker"),
    "buttonsResponseMessage": Shape("button_answer", ("selectedDisplayText", "selectedButtonId")),
    "templateButtonReplyMessage": Shape("button_answer", ("selectedDisplayText", "selectedId")),
    "listResponseMessage": Shape("list_answer", ("title", "description")),
    "reactionMessage": Shape("reaction"),
    "locationMessage": Shape("location"),
    "liveLocationMessage": Shape("location"),
    "contactMessage": Shape("contact"),
    "contactsArrayMessage": Shape("contact"),
    "pollCreationMessage": Shape("poll", ("name",)),
    "pollCreationMessageV3": Shape("poll", ("name",)),
    "pollUpdateMessage": Shape("poll_vote"),
    "protocolMessage": Shape("notice"),
}


@dataclass(frozen=True)
class ReceivedContent:
    """`text` is what a person wrote or chose; `reference` is the id of the message that a reaction is to."""

    kind: str
    text: str | None = None
    media_type: str | None = None
    reference: str | None = None
    is_edit: bool = False


def read_content(message: Any) -> ReceivedContent:
    """The content of `data.message`; kind "waiting" where it has none yet (it could not be decrypted),
    "unsupported" where we know none of its keys."""
    if message is None or message == {}:
        return ReceivedContent("waiting")
    is_edit = False
    for _ in range(_DEEPEST):
        wrapper = next((name for name in _WRAPPERS if _has_inner(message, name)), None)
        if wrapper is None:
            break
        is_edit = is_edit or wrapper == "editedMessage"
        message = message[wrapper]["message"]
    if not isinstance(message, Mapping):
        return ReceivedContent("unsupported", is_edit=is_edit)
    if edited := _edited(message):
        return ReceivedContent(edited.kind, edited.text, edited.media_type, edited.reference, is_edit=True)
    # Extended text is flattened to this too (contract 6).
    if "conversation" in message:
        return ReceivedContent("text", text(message["conversation"]), is_edit=is_edit)
    for key, shape in _SHAPES.items():
        value = message.get(key)
        if isinstance(value, Mapping):
            said = next((found for name in shape.texts if (found := text(value.get(name)))), None)
            return ReceivedContent(
                shape.kind, said, text(value.get("mimetype")), _target(value), is_edit=is_edit
            )
    return ReceivedContent("unsupported", is_edit=is_edit)


def _has_inner(message: Any, wrapper: str) -> bool:
    inner = message.get(wrapper) if isinstance(message, Mapping) else None
    return isinstance(inner, Mapping) and isinstance(inner.get("message"), Mapping)


def _edited(message: Mapping[str, Any]) -> ReceivedContent | None:
    """An edit inside a protocol message."""
    protocol = message.get("protocolMessage")
    inner = protocol.get("editedMessage") if isinstance(protocol, Mapping) else None
    if not isinstance(inner, Mapping) or "protocolMessage" in inner:
        return None
    return read_content(inner)


def _target(value: Mapping[str, Any]) -> str | None:
    key = value.get("key")
    return text(key.get("id")) if isinstance(key, Mapping) else None
