"""The Python face of the inbox: events stored once, turns taken and ended (migrations 0016, 0030-0032, 0055).

What an event means is read in shared/providers; who may bring one, in shared/webhook_auth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.db import Calls, as_json


@dataclass(frozen=True)
class Accepted:
    """What became of an event. `is_new` False: a repeat, nothing changed, `event_id` None.

    `ignored_reason` is the reason given, or for a message "user_not_found" (a stranger),
    "profile_lookup_error" (the app's profiles cannot be read), "already_opted_out" (said stop before),
    "human_takeover" (one of us speaks by hand).
    """

    event_id: int | None
    is_new: bool
    ignored_reason: str | None


@dataclass(frozen=True)
class Turn:
    """One person's unanswered messages, in the order in which they were written, leased to one worker.

    Each of `events` is {"event_id", "message_kind", "text", "media_url", "command"}; the answer leaves from
    `instance_id`. `facts` (empty where the app's tables cannot be read): "status", "plan",
    "trial_conversations_count", "limit_told_s" (seconds since), "pending_content", "pending_context",
    "session_active", "open_rating" {"session_id"}, "announced_session" {"session_id"} (about to begin),
    "awaiting_confirmation" {"session_id", "date", "time"}; and always "opted_out".
    """

    person_key: str = field(repr=False)
    lease_token: UUID
    profile_id: UUID
    profile_name: str | None = field(repr=False)
    instance_id: UUID | None
    phone: str | None = field(repr=False)
    last_event_id: int | None
    events: list[dict[str, Any]] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Part:
    """One message of an answer: its words, and where the provider fetches them spoken, if they are."""

    text: str = field(repr=False)
    spoken_url: str | None = field(default=None, repr=False)


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
    lid: str | None = None,
    text: str | None = None,
    message_kind: str | None = None,
    media_url: str | None = None,
    command: str | None = None,
    happened_at: datetime | None = None,
    ignored_reason: str | None = None,
    takeover_s: float | None = None,
    receipt: str | None = None,
    receipt_ids: Sequence[str] = (),
    error: str | None = None,
    error_class: str | None = None,
    sent_by: str | None = None,
    queue_id: str | None = None,
    debounce_s: float = 2.0,
) -> Accepted:
    """Stores an authentic event and applies it, in one transaction. `payload` comes already redacted.

    `lid`: what else the person of `phone` is called. `takeover_s`: one of us typed this message by hand, so
    the bot keeps quiet for so long. `receipt_ids`: the provider's ids that the event is about. `sent_by`: a
    message left our number, by "api", "hand" or "unsaid".
    """
    row = db.call_one(
        "messaging.accept_event",
        p_instance_id=instance_id,
        p_event_key=event_key,
        p_kind=kind,
        p_payload=dict(payload),
        p_phone=phone,
        p_lid=lid,
        p_text=text,
        p_message_kind=message_kind,
        p_media_url=media_url,
        p_command=command,
        p_happened_at=happened_at,
        p_ignored_reason=ignored_reason,
        p_takeover_s=takeover_s,
        p_receipt=receipt,
        p_receipt_ids=list(receipt_ids),
        p_error=error,
        p_error_class=error_class,
        p_sent_by=sent_by,
        p_queue_id=queue_id,
        p_debounce_s=debounce_s,
    )
    return Accepted(**row)


@dataclass(frozen=True)
class AcceptedForAgency:
    """What became of an event of an agency's number. `opted`: "out" or "in" where a stop or a start changed
    something; `is_new` False: a repeat, nothing changed, `event_id` None."""

    event_id: int | None
    is_new: bool
    opted: str | None


def accept_for_agency(
    db: Calls,
    *,
    instance_id: UUID,
    event_key: str,
    kind: str,
    payload: Mapping[str, Any],
    phone: str | None = None,
    lid: str | None = None,
    text: str | None = None,
    message_kind: str | None = None,
    happened_at: datetime | None = None,
    from_me: bool = False,
    command: str | None = None,
    receipt: str | None = None,
    receipt_ids: Sequence[str] = (),
    error: str | None = None,
    sent_by: str | None = None,
) -> AcceptedForAgency:
    """As `accept`, for a number of an agency or of one of its clients, where no bot answers.

    `phone` may be a LID; `command`: what a person orders who wrote to this number alone.
    """
    row = db.call_one(
        "messaging.accept_agency_event",
        p_instance_id=instance_id,
        p_event_key=event_key,
        p_kind=kind,
        p_payload=dict(payload),
        p_phone=phone,
        p_lid=lid,
        p_text=text,
        p_message_kind=message_kind,
        p_happened_at=happened_at,
        p_from_me=from_me,
        p_command=command,
        p_receipt=receipt,
        p_receipt_ids=list(receipt_ids),
        p_error=error,
        p_sent_by=sent_by,
    )
    return AcceptedForAgency(**row)


def same_phone(db: Calls, one: str, other: str) -> bool:
    """Whether two phones are one person, by the database's own rule."""
    keys = [db.call_one("messaging.phone_key", p_phone=phone)["phone_key"] for phone in (one, other)]
    return bool(keys[0] == keys[1])


def claim_turn(db: Calls, worker: str, *, lease_s: float = 60.0) -> Turn | None:
    """The turn of one person who has gone silent, leased for `lease_s`; None when nobody waits."""
    rows = db.call("messaging.claim_turn", p_worker=worker, p_lease_s=lease_s)
    return Turn(**{**rows[0], "events": rows[0]["events"] or []}) if rows else None


def recent_messages(db: Calls, profile_id: UUID, *, limit: int = 30) -> list[dict[str, str]]:
    """What was lately said with the person, oldest first, as {"role": "user" | "assistant", "content"}."""
    rows = db.call("messaging.recent_messages", p_profile_id=profile_id, p_limit=limit)
    return [{"role": row["role"], "content": row["content"]} for row in rows]


def finish_turn(
    db: Calls,
    turn: Turn,
    parts: Sequence[Part],
    *,
    by: str,
    result: Mapping[str, Any] | None = None,
    debounce_s: float = 2.0,
) -> Finished:
    """Enqueues the answer, writes what it means into the app and ends the turn, in one transaction.

    What came meanwhile makes the next turn, which then also takes up what this answer did not get to say.
    `result` may hold "transcripts" {event_id: text}, "counts" (a trial conversation), "limit_told", "rating"
    {"session_id", "rating"}, "confirmed_session_id", "begun_session_id", "journeys_paused",
    "do_not_disturb_h", "command" (a stop or start that was spoken), "conversation" ("open" or "closed"),
    "said" (the pending content that this answer was given).
    """
    row = db.call_one(
        "messaging.finish_turn",
        p_person_key=turn.person_key,
        p_lease_token=turn.lease_token,
        p_last_event_id=turn.last_event_id,
        p_bubbles=as_json([{"text": part.text, "spoken_url": part.spoken_url} for part in parts]),
        p_result=dict(result or {}),
        p_by=by,
        p_debounce_s=debounce_s,
    )
    return Finished(finished=row["finished"], message_ids=row["message_ids"] or [])
