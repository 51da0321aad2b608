"""send-zapi-message: another service of the app has a text for one person; it is enqueued, lane timed."""

import uuid

from edge.body import required_text, text_field
from edge.functions import Answer, Call
from edge.idempotency import idempotency_key
from shared import outbox, phones, profiles
from shared.errors import Conflict, InvalidInput


def handle(call: Call) -> Answer:
    """{phone, message, user_id?, isAudio?} -> {"status": "queued", "message_id", "type": "audio" | "text"}.

    The original waited and answered "sent" with Z-API's answer, also for a text that had failed (functions
    2.3, bug 21). Here the number's pace decides when it goes; `roleta why MESSAGE` and the receipts tell.
    "audio": it will be spoken before its turn comes; where that fails, or the provider refuses the audio, the
    text goes, as in the original. Without a speech service isAudio is answered with "text" at once.
    An Idempotency-Key header makes a repeat safe: the same answer, or 409 where it asks something else.
    """
    phone = phones.normalize(required_text(call.body, "phone", longest=40))
    text = required_text(call.body, "message", longest=65_536)
    user_id = text_field(call.body, "user_id", longest=36, required=False)
    is_audio = call.body.get("isAudio", False)
    if not isinstance(is_audio, bool):
        raise InvalidInput("isAudio must be true or false")
    spoken = is_audio and call.settings.has_voice
    message = outbox.enqueue(
        call.db,
        purpose="direct",
        phone=phone,
        text=text,
        dedupe_key=f"direct:{idempotency_key(call.headers)}",
        enqueued_by="send-zapi-message",
        profile_id=_profile(call, user_id, phone) if user_id else None,
        subject_id=user_id,
        compose="speech" if spoken else None,
    )
    if not message.same_request:
        raise Conflict("this Idempotency-Key was used for another message: use a new one")
    return {"status": "queued", "message_id": message.message_id, "type": "audio" if spoken else "text"}


def _profile(call: Call, user_id: str, phone: str) -> uuid.UUID | None:
    """Only a message with a user_id enters that person's history (functions 2.3)."""
    try:
        wanted = uuid.UUID(user_id)
    except ValueError:
        raise InvalidInput("user_id must be a UUID") from None
    return profiles.profile_of_user(call.db, wanted) or profiles.profile_of_phone(call.db, phone)
