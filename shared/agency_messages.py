"""What an agency's reports and alerts have in common on their way into the outbox: one that cannot go keeps
no other.

Who is due and who speaks is in SQL (migrations 0055-0059); what is said, in shared/texts_pt/agency.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared import outbox, phones
from shared.db import Calls
from shared.errors import InvalidInput

# What messaging.enqueue_many takes at once.
_BATCH = 1000


@dataclass(frozen=True)
class Enqueued:
    """What became of a message: in the outbox (`created` False: it was there before), or refused, and why."""

    message_id: int | None
    created: bool
    refusal: str | None = None


def enqueue_each(db: Calls, messages: Sequence[outbox.NewMessage]) -> list[Enqueued]:
    """Each message for itself, in their order: what the outbox does not take is answered, and the others
    go."""
    return [each for batch in _batches(messages) for each in _enqueue_batch(db, batch)]


def phone_of(written: str | None) -> str | None:
    """The digits of a phone as a manager typed it, with country code; None for what is no phone."""
    try:
        return phones.normalize(written or "")
    except InvalidInput:
        return None


def _enqueue_batch(db: Calls, batch: Sequence[outbox.NewMessage]) -> list[Enqueued]:
    try:
        return [Enqueued(each.message_id, each.created) for each in outbox.enqueue_many(db, batch)]
    except InvalidInput as error:
        if len(batch) == 1:
            return [Enqueued(None, False, str(error))]
    # All or none: one that is refused must not keep the others. It is seldom, so one by one will do.
    return [each for message in batch for each in _enqueue_batch(db, [message])]


def _batches(messages: Sequence[outbox.NewMessage]) -> Iterator[Sequence[outbox.NewMessage]]:
    return (messages[start : start + _BATCH] for start in range(0, len(messages), _BATCH))
