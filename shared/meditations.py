"""The Python face of meditations: to whom one goes, and which (migration 0043). Nothing is sent here."""

from dataclasses import dataclass, field
from uuid import UUID

from shared.db import Calls


@dataclass(frozen=True)
class Recipient:
    """Where a meditation goes. `profile_id` None: no profile has this phone; `phone` None: no phone."""

    profile_id: UUID | None
    phone: str | None = field(repr=False)
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Meditation:
    """One meditation; `audio_url` None: it was never recorded."""

    meditation_id: str
    title: str
    duration_seconds: int | None
    audio_url: str | None


def recipient(db: Calls, *, user_id: UUID | None, phone: str | None) -> Recipient:
    """The person of the app's user id, else of the phone. The phone given wins over the profile's."""
    rows = db.call("messaging.meditation_recipient", p_user_id=user_id, p_phone=phone)
    return Recipient(**rows[0]) if rows else Recipient(None, phone)


def choose(
    db: Calls, *, key: str, meditation_id: str | None, category: str | None, profile_id: UUID | None
) -> Meditation | None:
    """The one named, else one of the category that the person did not get within 30 days, where there is one.

    The same key, which is the caller's, chooses the same again. None: there is no such meditation.
    """
    rows = db.call(
        "messaging.choose_meditation",
        p_key=key,
        p_meditation_id=meditation_id,
        p_category=category,
        p_profile_id=profile_id,
    )
    return Meditation(**rows[0]) if rows else None
