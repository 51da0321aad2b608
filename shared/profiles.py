"""The Python face of profiles: signing up, and finding one. Seat and welcome are SQL's (migration 0011)."""

from dataclasses import dataclass
from uuid import UUID

from shared import texts_pt
from shared.db import Calls


@dataclass(frozen=True)
class SignUp:
    """What became of a sign-up. `no_room`: all numbers are full, the default one serves; `message_id` None:
    nothing was enqueued, because the profile existed or there is no number at all."""

    profile_id: UUID
    already_exists: bool
    instance_id: UUID | None
    no_room: bool
    message_id: int | None


def sign_up(
    db: Calls,
    *,
    name: str,
    phone: str,
    email: str | None,
    enqueued_by: str,
    strategy: str = "random",
    run_id: str | None = None,
) -> SignUp:
    """Profile, seat and welcome in one transaction; one profile per phone in any of its forms."""
    row = db.call_one(
        "messaging.sign_up",
        p_name=name,
        p_phone=phone,
        p_email=email,
        p_welcome_text=texts_pt.welcome(name),
        p_enqueued_by=enqueued_by,
        p_strategy=strategy,
        p_run_id=run_id,
    )
    return SignUp(**row)


def profile_of_user(db: Calls, user_id: UUID) -> UUID | None:
    """The profile of an app's user id; None when there is none."""
    found: UUID | None = db.call_one("messaging.profile_of_user", p_user_id=user_id)["profile_of_user"]
    return found


def profile_of_phone(db: Calls, phone: str) -> UUID | None:
    """The profile of a phone in any of its forms; None for a stranger."""
    found: UUID | None = db.call_one("messaging.find_profile", p_phone=phone)["find_profile"]
    return found
