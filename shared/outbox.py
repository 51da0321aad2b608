"""The Python face of the outbox: enqueue, look, stop. SQL decides (migrations 0013, 0017, 0018, 0025).

Claiming and sending live in shared/dispatcher; what a number is, in shared/instances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.db import Calls, Row, as_json


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """What one enqueue asks for; `text` is short for the content {"kind": "text", "text": ...}.

    `instance_id` None: the profile's number, else the default one. Times None: now, and the purpose's expiry.
    `facts`: what its effects will write into the app. `compose`: who writes its text before it goes
    (shared/compose); the given text stands where that fails.
    """

    purpose: str
    phone: str = field(repr=False)
    dedupe_key: str
    enqueued_by: str
    text: str | None = field(default=None, repr=False)
    content: Mapping[str, Any] | None = field(default=None, repr=False)
    profile_id: UUID | None = None
    instance_id: UUID | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    time_zone: str | None = None
    subject_id: str | None = None
    on_unknown: str | None = None
    run_id: str | None = None
    facts: Mapping[str, Any] | None = field(default=None, repr=False)
    compose: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As messaging.enqueue reads it, without what is not set."""
        content = self.content if self.content is not None else {"kind": "text", "text": self.text}
        values: dict[str, Any] = {
            "purpose": self.purpose,
            "phone": self.phone,
            "dedupe_key": self.dedupe_key,
            "enqueued_by": self.enqueued_by,
            "content": dict(content),
            "profile_id": self.profile_id and str(self.profile_id),
            "instance_id": self.instance_id and str(self.instance_id),
            "not_before": self.not_before and self.not_before.isoformat(),
            "expires_at": self.expires_at and self.expires_at.isoformat(),
            "time_zone": self.time_zone,
            "subject_id": self.subject_id,
            "on_unknown": self.on_unknown,
            "run_id": self.run_id,
            "facts": self.facts and dict(self.facts),
            "compose": self.compose,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Enqueued:
    """Where a message stands after enqueue; `created` False: the dedupe key existed and the earlier message
    stands. `same_request` False: it asked for something else."""

    message_id: int
    dedupe_key: str
    instance_id: UUID
    created: bool
    same_request: bool


@dataclass(frozen=True)
class CancelCount:
    """How many messages of one number and state a cancel takes (or, as a preview, would take)."""

    instance_id: UUID
    instance_name: str
    dispatch_state: str
    messages: int


@dataclass(frozen=True)
class PoolRow:
    """One number in messaging.pool_overview; times None where nothing is waiting or known."""

    instance_id: UUID
    name: str
    provider: str
    in_pool: bool
    is_default: bool
    status: str
    halted_reason: str | None
    accepts_new: bool
    people: int
    seats: int
    over_seats: bool
    gap_min_s: float
    gap_max_s: float
    replies: int
    timed: int
    bulk: int
    held: int
    unknown: int
    in_flight: int
    accepted_hour: int
    next_send_at: datetime | None
    queue_empty_at: datetime | None
    last_accepted_at: datetime | None


@dataclass(frozen=True)
class Return:
    """One number that comes back, or whose provider's queue was purged within a week (messaging.returns)."""

    instance_id: UUID
    instance_name: str
    down_since: datetime | None
    returned_at: datetime | None
    is_prepared: bool
    failures: int
    failure: str | None
    gap_factor: float
    ramp_until: datetime | None
    ramp_messages_left: int
    purged: int


@dataclass(frozen=True)
class Move:
    """One row of the history of messages; `phone_tail` is the last four digits."""

    history_id: int
    message_id: int
    instance_name: str
    purpose: str
    to_state: str
    happened_at: datetime
    phone_tail: str
    reason: str | None


@dataclass(frozen=True)
class RetriedEffect:
    """One failed effect that was tried again."""

    effect_id: int
    message_id: int
    succeeded: bool


def enqueue(
    db: Calls,
    *,
    purpose: str,
    phone: str,
    dedupe_key: str,
    enqueued_by: str,
    text: str | None = None,
    content: Mapping[str, Any] | None = None,
    profile_id: UUID | None = None,
    instance_id: UUID | None = None,
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    time_zone: str | None = None,
    subject_id: str | None = None,
    on_unknown: str | None = None,
    run_id: str | None = None,
    facts: Mapping[str, Any] | None = None,
    compose: str | None = None,
) -> Enqueued:
    """One message, once per dedupe key. InvalidInput says what the outbox does not take."""
    message = NewMessage(
        purpose=purpose,
        phone=phone,
        dedupe_key=dedupe_key,
        enqueued_by=enqueued_by,
        text=text,
        content=content,
        profile_id=profile_id,
        instance_id=instance_id,
        not_before=not_before,
        expires_at=expires_at,
        time_zone=time_zone,
        subject_id=subject_id,
        on_unknown=on_unknown,
        run_id=run_id,
        facts=facts,
        compose=compose,
    )
    return enqueue_many(db, [message])[0]


def enqueue_many(db: Calls, messages: Sequence[NewMessage]) -> list[Enqueued]:
    """Up to 1,000 messages in one transaction, all or none; answers in the order given.

    A dedupe key twice in one list is enqueued once, as first asked.
    """
    payload = as_json([message.to_json() for message in messages])
    return [Enqueued(**row) for row in db.call("messaging.enqueue_many", p_messages=payload)]


def run_forecast(db: Calls, run_id: str) -> datetime | None:
    """When the last waiting message of a run should leave; None when none waits on a number that can send."""
    found = db.call_one("messaging.run_forecast", p_run_id=run_id)["run_forecast"]
    # PostgREST gives a lone value as text.
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def return_notes(db: Calls, message_id: int) -> list[str]:
    """What the return of its number means for a message, a sentence each; none where it means nothing. The
    times in them are ISO 8601."""
    return [str(row["note"]) for row in db.call("messaging.return_notes", p_message_id=message_id)]


def explain(db: Calls, message_id: int) -> dict[str, Any]:
    """Why a message stands where it stands, and its history; no phone in full. NotFound for a strange id."""
    told: dict[str, Any] = db.call_one("messaging.explain", p_message_id=message_id)["explain"]
    return told


def cancel(
    db: Calls,
    *,
    by: str,
    why: str,
    preview: bool = True,
    message_id: int | None = None,
    run_id: str | None = None,
    function: str | None = None,
    instance_id: UUID | None = None,
) -> list[CancelCount]:
    """Withdraws what has not begun, of just one message, run, function or number; a preview only counts."""
    rows = db.call(
        "messaging.cancel",
        p_by=by,
        p_why=why,
        p_preview=preview,
        p_message_id=message_id,
        p_run_id=run_id,
        p_enqueued_by=function,
        p_instance_id=instance_id,
    )
    return [CancelCount(**row) for row in rows]


def has_enqueued(db: Calls, function: str) -> bool:
    """Whether anything was ever enqueued under this name."""
    return bool(db.call_one("messaging.has_enqueued", p_enqueued_by=function)["has_enqueued"])


def is_run(db: Calls, run_id: str) -> bool:
    """Whether a run of this name enqueued anything, or is one of the scheduler's."""
    return bool(db.call_one("messaging.is_run", p_run_id=run_id)["is_run"])


def pause_all(db: Calls, *, by: str, why: str | None = None) -> bool:
    """Stops every claim and begin; False if everything was paused already."""
    return bool(db.call_one("messaging.pause_all", p_by=by, p_why=why)["pause_all"])


def resume_all(db: Calls, *, by: str) -> bool:
    """Ends pause_all; False if nothing was paused."""
    return bool(db.call_one("messaging.resume_all", p_by=by)["resume_all"])


def pool_overview(db: Calls) -> list[PoolRow]:
    """One row per number, the default one first."""
    return [_pool_row(row) for row in db.call("messaging.pool_overview")]


def returns(db: Calls) -> list[Return]:
    """The numbers of which there is something to say after they were down, by name."""
    return [Return(**{**row, "gap_factor": float(row["gap_factor"])}) for row in db.call("messaging.returns")]


def recent_moves(db: Calls, *, after_id: int = 0, limit: int = 100) -> list[Move]:
    """The latest moves with a history id above `after_id`, oldest first."""
    return [Move(**row) for row in db.call("messaging.recent_moves", p_after_id=after_id, p_limit=limit)]


def retry_effects(db: Calls, *, limit: int = 100) -> list[RetriedEffect]:
    """Tries again what accepted messages could not write into the app's tables."""
    return [RetriedEffect(**row) for row in db.call("messaging.retry_effects", p_limit=limit)]


def expire_due(db: Calls, *, limit: int = 1000) -> int:
    """Ends what is past its expiry; how many."""
    return int(db.call_one("messaging.expire_due", p_limit=limit)["expire_due"])


def wake_forgotten(db: Calls) -> int:
    """Wakes numbers that sleep on a queue; how many: 0, or there is a defect to report."""
    return int(db.call_one("messaging.wake_forgotten")["wake_forgotten"])


def audit_findings(db: Calls, *, limit: int = 100) -> list[Row]:
    """Rows of {finding, evidence} from the audit views: none, or something is wrong."""
    return db.call("messaging.audit_findings", p_limit=limit)


def _pool_row(row: Row) -> PoolRow:
    return PoolRow(**{**row, "gap_min_s": float(row["gap_min_s"]), "gap_max_s": float(row["gap_max_s"])})
