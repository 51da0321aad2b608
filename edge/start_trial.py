"""start-trial: a stranger signs up, gets a number of the pool and, at that number's pace, the welcome."""

import re

from edge.body import required_text, text_field
from edge.functions import Answer, Call
from shared import phones, profiles
from shared.errors import InvalidInput
from shared.texts_pt import account

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


def handle(call: Call) -> Answer:
    """{name, phone, email?} -> {"success", "profileId", "message"}, or {"alreadyExists", "message"} for a
    phone that is known in any form (functions 2.11; foreign numbers are welcome, bug 18).

    429 with Retry-After beyond the limits for a phone, an address or all strangers; who sends the service key
    is held to the first alone.

    "warning": "no_room" comes with a profile that got no seat; the default number serves it. Where there is
    no number at all, "no_number": then nobody is told to wait for a message.
    """
    name = " ".join(required_text(call.body, "name", longest=120).split())
    phone = phones.normalize(required_text(call.body, "phone", longest=40))
    email = text_field(call.body, "email", longest=254, required=False)
    if email is not None and not _EMAIL.fullmatch(email):
        raise InvalidInput("email is no e-mail address: it looks like name@example.com")
    signed = profiles.sign_up(
        call.db,
        name=name,
        phone=phone,
        email=email,
        enqueued_by="start-trial",
        strategy=call.settings.allocation_strategy,
        limits=profiles.Limits(
            address=call.address,
            per_phone=call.settings.sign_ups_per_phone,
            per_address=call.settings.sign_ups_per_address,
            seats_percent=call.settings.sign_up_seats_percent,
        ),
    )
    if signed.already_exists:
        return {"alreadyExists": True, "message": account.ALREADY_SIGNED_UP}
    answer: Answer = {"success": True, "profileId": str(signed.profile_id), "message": account.SIGNED_UP}
    if signed.no_room:
        call.log.warning("sign_up.no_room", profile_id=str(signed.profile_id))
        answer["warning"] = "no_room"
    if signed.message_id is None:
        # Nothing could be enqueued, and nothing will be by itself: a person must look.
        call.log.error("sign_up.no_number", profile_id=str(signed.profile_id))
        answer |= {"message": account.SIGNED_UP_IN_SILENCE, "warning": "no_number"}
    return answer
