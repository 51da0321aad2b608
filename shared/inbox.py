"""The Python face of the inbox: events stored once, people's turns taken and ended (migration 0013).

What an event means is read in shared/providers; who may bring one, in shared/webhook_auth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.db import Calls


@dataclass(frozen=True)
class Accepted:
    """What became of an event. `is_new` False: a repeat, nothing changed, `event_id` None.

    `ignored_reason` is the reason given, or "user_not_found" for a message of a stranger.
    """

    event_id: int | None
    is_new: bool
    ignored_reason: str | None


@dataclass(frozen=True)
class Turn:
    """One person's unanswered messages, oldest first, leased to one worker.

    Each of `events` is {"event_id", "message_kind", "text"}; the answer leaves from `instance_id`.
    """

    person_key: str = field(repr=False)
    lease_token: UUID
    profile_id: UUID
    profile_name: str | None = field(repr=False)
    instance_id: UUID | None
    phone: str | None = field(repr=False)
    last_event_id: int | None
    events: list[dict[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class Finished:
    """`finished` False: the lease was lost, nothing was enqueued, another worker answers."""

    finished: bool
    message_ids: list[int]


def accept(
    db: Calls,
    *,
    instance_id: UUID,
    event_key: str,
    kind: str,
    payload: Mapping[str, Any],
    phone: str | None = None,
    text: str | None = None,
    message_kind: str | None = None,
    happened_at: datetime | None = None,
    ignored_reason: str | None = None,
    receipt: str | None = None,
    receipt_ids: Sequence[str] = (),
    error: str | None = None,
    error_class: str | None = None,
    debounce_s: float = 2.0,
) -> Accepted:
    """Stores an authentic event and applies it, in one transaction. `payload` comes already redacted."""
    row = db.call_one(
        "messaging.accept_event",
        p_instance_id=instance_id,
        p_event_key=event_key,
        p_kind=kind,
        p_payload=dict(payload),
        p_phone=phone,
        p_text=text,
        p_message_kind=message_kind,
        p_happened_at=happened_at,
        p_ignored_reason=ignored_reason,
        p_receipt=receipt,
        p_receipt_ids=list(receipt_ids),
        p_error=error,
        p_error_class=error_class,
        p_debounce_s=debounce_s,
    )
    return Accepted(**row)


def same_phone(db: Calls, one: str, other: str) -> bool:
    """Whether two phones are one person, by the database's own rule."""
    keys = [db.call_one("messaging.phone_key", p_phone=phone)["phone_key"] for phone in (one, other)]
    return bool(keys[0] == keys[1])


def claim_turn(db: Calls, worker: str, *, lease_s: float = 60.0) -> Turn | None:
    """The turn of one person who has gone silent, leased for `lease_s`; None when nobody waits."""
    rows = db.call("messaging.claim_turn", p_worker=worker, p_lease_s=lease_s)
    return Turn(**{**rows[0], "events": rows[0]["events"] or []}) if rows else None


def finish_turn(db: Calls, turn: Turn, texts: Sequence[str], *, by: str, debounce_s: float = 2.0) -> Finished:
    """Enqueues the answer and ends the turn in one transaction; what came meanwhile makes the next turn."""
    row = db.call_one(
        "messaging.finish_turn",
        p_person_key=turn.person_key,
        p_lease_token=turn.lease_token,
        p_last_event_id=turn.last_event_id,
        p_texts=list(texts),
        p_by=by,
        p_debounce_s=debounce_s,
    )
    return Finished(finished=row["finished"], message_ids=row["message_ids"] or [])
