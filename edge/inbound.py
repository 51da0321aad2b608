"""What a webhook's facts ask for: why nothing at all, who is behind an address, whether a hand took over.

Shared by webhooks, whatever the provider; storing is shared/inbox.
"""

import re

from shared import phones
from shared.providers.base import ProviderEvent

_LID = re.compile(r"[0-9]{5,20}@lid")
# What a person puts into a chat; a reaction or a notice is no conversation.
_SPOKEN_KINDS = frozenset({"text", "audio", "image", "video", "document", "sticker", "location", "contact"})


def ignored_reason(event: ProviderEvent) -> str | None:
    """Why an event asks for no answer; the order of the checks is the original's (functions 2.2)."""
    if event.kind == "other":
        return "status_only_event"
    if event.kind != "message":
        return None
    phone = event.phone or ""
    checks = (
        (event.from_me, "own_message"),
        (event.is_group or event.is_newsletter or phone.endswith("-group"), "group_message"),
        (not phone, "missing_phone"),
        (phones.from_provider(phone) is None and not is_lid(phone), "invalid_phone"),
        # It was answered, or is about to be, as it first stood.
        (event.is_edit, "edited_message"),
        (event.is_waiting or event.message_kind == "notice", "status_only_event"),
        (event.text is None and event.message_kind != "audio", "missing_data"),
    )
    return next((reason for applies, reason in checks if applies), None)


def is_lid(address: str | None) -> bool:
    """Whether an address hides the phone of a person (zapi contract 2.5)."""
    return _LID.fullmatch(address or "") is not None


def lid_of(event: ProviderEvent) -> str | None:
    """What else the person behind the event's phone is called; None where that is not certain.

    A wrong pair would answer one person with another's words: only a chat between two tells.
    """
    alone = not (event.is_group or event.is_newsletter or event.is_broadcast)
    if event.kind != "message" or not alone or event.participant_phone or not is_lid(event.chat_lid):
        return None
    if phones.from_provider(event.phone) in (None, phones.from_provider(event.connected_phone)):
        return None
    return event.chat_lid


def takeover_s(event: ProviderEvent, setting: float) -> float | None:
    """For how long the bot keeps quiet after this event: `setting` where one of us typed it on the phone
    itself (zapi contract 5.2: fromMe and not fromApi); None otherwise, and where the setting is 0."""
    alone = not (event.is_group or event.is_newsletter or event.is_broadcast or event.is_status_reply)
    by_hand = event.kind == "message" and event.from_me and not event.from_api and alone
    said = event.message_kind in _SPOKEN_KINDS and not event.is_edit and not event.is_waiting
    return setting if by_hand and said and setting > 0 else None
