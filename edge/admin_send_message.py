"""admin-send-message: somebody of the team writes to one person, from that person's own number."""

import uuid

from edge.body import required_text, text_field
from edge.functions import Answer, Call
from edge.idempotency import idempotency_key
from shared import outbox, phones, profiles
from shared.errors import Conflict, InvalidInput, NotFound


def handle(call: Call) -> Answer:
    """{user_id | phone, message} -> {"success": true, "message_id"}; 404 for whoever has no profile.

    The original sent from the environment's number and was open to anybody (functions 0 and 2.15). The text
    enters the person's history once it is accepted. An Idempotency-Key header makes a repeat safe.
    """
    text = required_text(call.body, "message", longest=65_536)
    person = _person(call)
    if person.phone is None:
        raise InvalidInput("this profile has no phone: give it one first")
    message = outbox.enqueue(
        call.db,
        purpose="direct",
        phone=person.phone,
        text=text,
        dedupe_key=f"admin:{idempotency_key(call.headers)}",
        enqueued_by="admin-send-message",
        profile_id=person.profile_id,
    )
    if not message.same_request:
        raise Conflict("this Idempotency-Key was used for another message: use a new one")
    return {"success": True, "message_id": message.message_id}


def _person(call: Call) -> profiles.Contact:
    """Who is meant. Where both are given, they must mean the same person."""
    user_id = text_field(call.body, "user_id", longest=36, required=False)
    phone = text_field(call.body, "phone", longest=40, required=False)
    if user_id is None and phone is None:
        raise InvalidInput("user_id or phone is missing: say to whom")
    found = {
        *([profiles.profile_of_user(call.db, _uuid(user_id))] if user_id is not None else []),
        *([profiles.profile_of_phone(call.db, phones.normalize(phone))] if phone is not None else []),
    }
    if len(found) > 1:
        raise InvalidInput("user_id and phone are not the same person's: give one of them")
    profile_id = found.pop()
    person = profiles.contact(call.db, profile_id) if profile_id is not None else None
    if person is None:
        raise NotFound("there is no profile with this user_id or phone")
    return person


def _uuid(given: str) -> uuid.UUID:
    try:
        return uuid.UUID(given)
    except ValueError:
        raise InvalidInput("user_id must be a UUID") from None
