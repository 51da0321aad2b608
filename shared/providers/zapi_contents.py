"""What a ReceivedCallback carries: its kind, its text and its media (zapi contract 5.3). Part of
zapi_events."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.redaction import clean_text


@dataclass(frozen=True)
class ReceivedContent:
    """`text` is what a person wrote or chose; a reaction and a location have none."""

    kind: str
    text: str | None = None
    media_url: str | None = None
    media_type: str | None = None


@dataclass(frozen=True)
class _Shape:
    kind: str
    texts: tuple[str, ...] = ()
    url: str | None = None


# Looked at in this order: exactly one content key is expected, unknown ones are passed over (contract 5.3).
_SHAPES: Mapping[str, _Shape] = {
    "buttonsResponseMessage": _Shape("button_answer", ("message", "buttonId")),
    "listResponseMessage": _Shape("list_answer", ("title", "message", "selectedRowId")),
    "audio": _Shape("audio", (), "audioUrl"),
    "image": _Shape("image", ("caption",), "imageUrl"),
    "video": _Shape("video", ("caption",), "videoUrl"),
    "document": _Shape("document", ("caption",), "documentUrl"),
    "sticker": _Shape("sticker", (), "stickerUrl"),
    "text": _Shape("text", ("message",)),
    "reaction": _Shape("reaction"),
    "location": _Shape("location"),
    "contact": _Shape("contact"),
    "hydratedTemplate": _Shape("template", ("message",)),
    "buttonsMessage": _Shape("buttons", ("message",)),
    "carouselMessage": _Shape("carousel", ("text",)),
    "poll": _Shape("poll", ("question",)),
    "pollVote": _Shape("poll_vote"),
}


def read_content(payload: Mapping[str, Any]) -> ReceivedContent:
    """The content of one received message; kind "unsupported" where we know none of its keys."""
    for key, shape in _SHAPES.items():
        value = payload.get(key)
        if isinstance(value, Mapping) and value:
            return ReceivedContent(
                kind=shape.kind,
                text=_vote(value) if key == "pollVote" else _first(value, shape.texts),
                media_url=_first(value, (shape.url,)) if shape.url else None,
                media_type=_first(value, ("mimeType",)) if shape.url else None,
            )
    if payload.get("waitingMessage") is True:
        return ReceivedContent("waiting")
    return ReceivedContent("notice" if isinstance(payload.get("notification"), str) else "unsupported")


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    texts = (value.get(name) for name in names)
    return next((clean_text(text) for text in texts if isinstance(text, str) and text), None)


def _vote(value: Mapping[str, Any]) -> str | None:
    options = value.get("options")
    entries = options if isinstance(options, list) else []
    names = [
        entry["name"]
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    ]
    return clean_text(", ".join(names)) or None
