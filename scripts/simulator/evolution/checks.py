"""JSON-schema validation (evolution contract 2, 4, 5, 6): the real one's very texts are what counts."""

from collections.abc import Mapping
from typing import Any

from scripts.simulator.evolution.refusals import invalid

_TYPES: dict[str, type | tuple[type, ...]] = {"boolean": bool, "string": str, "array": list, "object": dict}
EVENTS = [
    *("APPLICATION_STARTUP", "QRCODE_UPDATED", "MESSAGES_SET", "MESSAGES_UPSERT", "MESSAGES_EDITED"),
    *("MESSAGES_UPDATE", "MESSAGES_DELETE", "SEND_MESSAGE", "SEND_MESSAGE_UPDATE", "CONTACTS_SET"),
    *("CONTACTS_UPSERT", "CONTACTS_UPDATE", "PRESENCE_UPDATE", "CHATS_SET", "CHATS_UPSERT", "CHATS_UPDATE"),
    *("CHATS_DELETE", "GROUPS_UPSERT", "GROUP_UPDATE", "GROUP_PARTICIPANTS_UPDATE", "CONNECTION_UPDATE"),
    *("LABELS_EDIT", "LABELS_ASSOCIATION", "CALL", "TYPEBOT_START", "TYPEBOT_CHANGE_STATUS"),
    *("REMOVE_INSTANCE", "LOGOUT_INSTANCE", "INSTANCE_CREATE", "INSTANCE_DELETE", "STATUS_INSTANCE"),
]
_NUMBER_PATTERN = 'number does not match pattern "^\\\\d+[\\\\.@\\\\w-]+"'
CREATE_TYPES = {
    "qrcode": "boolean",
    "token": "string",
    "webhookUrl": "string",
    "webhookByEvents": "boolean",
    "webhookEvents": "array",
    "rejectCall": "boolean",
    "msgCall": "string",
    "groupsIgnore": "boolean",
    "alwaysOnline": "boolean",
    "readMessages": "boolean",
    "readStatus": "boolean",
    "syncFullHistory": "boolean",
}
_TEXT = {"text": "string", "linkPreview": "boolean", "mentionsEveryOne": "boolean"}
_MEDIA = {"mimetype": "string", "media": "string", "fileName": "string", "caption": "string"}
_MEDIA_KINDS = ("image", "document", "video", "audio")


def event_names(with_history: bool) -> list[str]:
    """What can be subscribed to; 2.4 has one more."""
    return [*EVENTS, "MESSAGING_HISTORY_SET"] if with_history else EVENTS


def check_create(body: Mapping[str, Any]) -> None:
    """Types only: nothing is required by the schema."""
    wrong = _wrong_types(body, CREATE_TYPES)
    number = body.get("number")
    if number is not None and not isinstance(number, str):
        wrong.append("number is not of a type(s) string")
    elif number is not None and not (len(number) > 1 and number[0].isdigit()):
        wrong.append(_NUMBER_PATTERN)
    _end(wrong)


def check_text(body: Mapping[str, Any]) -> None:
    """sendText."""
    _end(_missing(body, "number", "text") + _number(body) + _wrong_types(body, _TEXT) + _delay(body))


def check_media(body: Mapping[str, Any]) -> None:
    """sendMedia."""
    wrong = _missing(body, "number", "mediatype") + _number(body)
    if "mediatype" in body and body["mediatype"] not in _MEDIA_KINDS:
        wrong.append(f"mediatype is not one of enum values: {','.join(_MEDIA_KINDS)}")
    _end(wrong + _wrong_types(body, _MEDIA) + _delay(body))


def check_audio(body: Mapping[str, Any]) -> None:
    """sendWhatsAppAudio."""
    _end(_missing(body, "number") + _number(body) + _delay(body))


def check_numbers(body: Mapping[str, Any]) -> None:
    """whatsappNumbers."""
    _end(_missing(body, "numbers") + _wrong_types(body, {"numbers": "array"}))


def check_webhook(body: Mapping[str, Any], names: list[str]) -> None:
    """webhook/set: nested under `webhook`, names in UPPER_SNAKE."""
    _end(_missing(body, "webhook") or _wrong_types(body, {"webhook": "object"}))
    inner = body["webhook"]
    wrong = _missing(inner, "enabled", "url", of="webhook")
    types = {"enabled": "boolean", "url": "string", "byEvents": "boolean", "base64": "boolean"}
    wrong += _wrong_types(inner, {**types, "headers": "object", "events": "array"}, of="webhook.")
    if isinstance(inner.get("events"), list):
        allowed = ",".join(names)
        wrong += [
            f"webhook.events[{index}] is not one of enum values: {allowed}"
            for index, event in enumerate(inner["events"])
            if event not in names
        ]
    _end(wrong)


def _end(wrong: list[str]) -> None:
    if wrong:
        raise invalid(wrong)


def _missing(body: Mapping[str, Any], *names: str, of: str = "instance") -> list[str]:
    return [f'{of} requires property "{name}"' for name in names if name not in body]


def _wrong_types(body: Mapping[str, Any], types: Mapping[str, str], of: str = "") -> list[str]:
    return [
        f"{of}{name} is not of a type(s) {kind}"
        for name, kind in types.items()
        if name in body and not isinstance(body[name], _TYPES[kind])
    ]


def _number(body: Mapping[str, Any]) -> list[str]:
    # Schemas with a description of their own say that in place of the rule.
    return ["Invalid format"] if "number" in body and not isinstance(body["number"], str) else []


def _delay(body: Mapping[str, Any]) -> list[str]:
    given = body.get("delay", 0)
    fits = isinstance(given, int) and not isinstance(given, bool)
    return [] if fits else ["Enter a value in milliseconds"]
