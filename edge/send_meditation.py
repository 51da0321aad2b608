"""send-meditation: a person is to have a meditation; its intro and audio are enqueued."""

import uuid
from collections.abc import Mapping
from typing import Any

from edge.body import text_field
from edge.functions import Answer, Call
from edge.idempotency import idempotency_key
from shared import meditations, outbox, phones
from shared.errors import Conflict, InvalidInput, NotFound
from shared.meditations import Meditation, Recipient
from shared.outbox import NewMessage
from shared.texts_pt import content


def handle(call: Call) -> Answer:
    """{meditation_id or category, phone or user_id, context?} -> {"success", "meditation_id", "audio_url",
    "duration_seconds", "message_id"} (functions 2.13); `message_id` is the audio's.

    404 where there is no such meditation, or none with an audio: then the person is told so, too. Both
    messages are stored before this answers, so nothing is lost when the caller does not wait (bug 20). A
    refused audio goes as a link. An Idempotency-Key header makes a repeat safe: the same answer, or 409
    where it asks for something else.
    """
    wanted = text_field(call.body, "meditation_id", longest=200, required=False)
    category = text_field(call.body, "category", longest=80, required=False)
    if not (wanted or category):
        raise InvalidInput("meditation_id or category is missing")
    context = text_field(call.body, "context", longest=2000, required=False)
    key = idempotency_key(call.headers)
    person = _recipient(call)
    found = meditations.choose(
        call.db,
        key=key,
        meditation_id=wanted,
        category=category,
        profile_id=person.profile_id,
    )
    if found is None:
        raise NotFound("there is no such meditation")
    if found.audio_url is None:
        apology = content.meditation_missing(person.name)
        _enqueue(call, [_message(call, person, found, dedupe_key=f"meditation_apology:{key}", text=apology)])
        raise NotFound("this meditation has no audio: the person is told so")
    message_id = _enqueue(call, _intro_and_audio(call, person, found, key, context))
    return {
        "success": True,
        "meditation_id": found.meditation_id,
        "audio_url": found.audio_url,
        "duration_seconds": found.duration_seconds,
        "message_id": message_id,
    }


def _recipient(call: Call) -> Recipient:
    given = text_field(call.body, "phone", longest=40, required=False)
    user = text_field(call.body, "user_id", longest=36, required=False)
    if not (given or user):
        raise InvalidInput("phone or user_id is missing")
    try:
        user_id = uuid.UUID(user) if user else None
    except ValueError:
        raise InvalidInput("user_id must be a UUID") from None
    phone = phones.normalize(given) if given else None
    person = meditations.recipient(call.db, user_id=user_id, phone=phone)
    if person.phone is None:
        raise InvalidInput("user_id has no phone: give one")
    return person


def _intro_and_audio(
    call: Call, person: Recipient, found: Meditation, key: str, context: str | None
) -> list[NewMessage]:
    """In the order in which they go; the audio carries what its effects need."""
    url = found.audio_url or ""
    intro = content.meditation_intro(person.name, found.title, found.duration_seconds)
    return [
        _message(call, person, found, dedupe_key=f"meditation_intro:{key}", text=intro),
        _message(
            call,
            person,
            found,
            purpose="meditation",
            dedupe_key=f"meditation:{key}",
            content={"kind": "audio", "media_url": url},
            facts={"context": context, "link_text": content.meditation_link(found.title, url)},
        ),
    ]


def _message(
    call: Call,
    person: Recipient,
    found: Meditation,
    *,
    purpose: str = "meditation_intro",
    facts: Mapping[str, Any] | None = None,
    **said: Any,
) -> NewMessage:
    return NewMessage(
        purpose=purpose,
        phone=person.phone or "",
        enqueued_by=call.function,
        profile_id=person.profile_id,
        facts={"meditation_id": found.meditation_id, **(facts or {})},
        **said,
    )


def _enqueue(call: Call, messages: list[NewMessage]) -> int:
    """All or none; the last one's id. Conflict where the key stood for something else."""
    last = outbox.enqueue_many(call.db, messages)[-1]
    if not last.same_request:
        raise Conflict("this Idempotency-Key was used for another meditation: use a new one")
    return last.message_id
