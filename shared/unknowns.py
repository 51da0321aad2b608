"""Messages of which we cannot tell whether they were sent: listed with what is known, decided by a person.

Who may is decided in SQL (migration 0075), and what a decision does (0064). Evidence: shared/reconcile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from shared.db import Calls, Row

Decision = Literal["resend", "consider_sent", "drop"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)


@dataclass(frozen=True)
class Evidence:
    """What one source said of an attempt: `says` is sent, not_sent, waiting (at the provider) or nothing."""

    source: str
    says: str
    happened_at: datetime
    seen_at: datetime
    detail: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Evidence":
        """One element of messaging.evidence_of."""
        return cls(
            source=value["source"],
            says=value["says"],
            happened_at=_moment(value["happened_at"]),
            seen_at=_moment(value["seen_at"]),
            detail=value["detail"] or "",
        )


@dataclass(frozen=True)
class Unknown:
    """One uncertain message. `presumed`: "not_sent" where all evidence speaks for that, else None.

    `client_label` is of an agency's message, `person_name` of the house's; both None in `every`.
    """

    message_id: int
    instance_name: str
    purpose: str
    phone_tail: str
    text_preview: str | None = field(repr=False)
    on_unknown: str
    unknown_since: datetime
    expires_at: datetime
    presumed: str | None
    evidence: Sequence[Evidence] = ()
    waits_at_provider: bool = False
    is_house: bool = False
    spoken_by: str | None = None
    number_phone: str | None = None
    client_label: str | None = None
    person_name: str | None = None
    message_kind: str | None = None

    @classmethod
    def from_row(cls, row: Row) -> "Unknown":
        """A row of messaging.own_unknowns or messaging.unknown_messages."""
        kept = {name: value for name, value in row.items() if name in cls.__dataclass_fields__}
        evidence = [Evidence.from_json(each) for each in row["evidence"]]
        times = {name: _moment(row[name]) for name in ("unknown_since", "expires_at")}
        return cls(**kept | times | {"evidence": evidence})


def every(db: Calls, *, limit: int = 100) -> list[Unknown]:
    """Whoever's they are, those first that have waited longest: for the operator."""
    return [Unknown.from_row(row) for row in db.call("messaging.unknown_messages", p_limit=limit)]


def decide(db: Calls, message_id: int, decision: Decision, *, by: str, why: str | None = None) -> str:
    """The operator decides; where the message stands then. NotFound; Conflict where it is settled already, or
    to be resent while the provider still has it."""
    row = db.call_one(
        "messaging.decide_unknown", p_message_id=message_id, p_decision=decision, p_by=by, p_why=why
    )
    return str(row["decide_unknown"])


def own(person_db: Calls, *, limit: int = 100) -> list[Unknown]:
    """Those of whoever asks: a manager's own agency's, an admin's the house's too. Forbidden for others."""
    return [Unknown.from_row(row) for row in person_db.call("messaging.own_unknowns", p_limit=limit)]


def own_one(person_db: Calls, message_id: int) -> Unknown:
    """One of them. NotFound for another's as for none; Conflict where it is settled."""
    return Unknown.from_row(person_db.call_one("messaging.own_unknowns", p_message_id=message_id))


def count_own(person_db: Calls) -> int:
    """How many there are; 0 for whoever is no manager."""
    return int(person_db.call_one("messaging.count_own_unknowns")["count_own_unknowns"])


def decide_own(
    person_db: Calls, message_id: int, decision: Decision, *, since: datetime, why: str | None = None
) -> str:
    """Whoever is signed in decides of what they saw unknown `since` then. NotFound and Conflict as above."""
    row = person_db.call_one(
        "messaging.decide_own_unknown", p_message_id=message_id, p_decision=decision, p_why=why, p_since=since
    )
    return str(row["decide_own_unknown"])


def _moment(value: datetime | str) -> datetime:
    """PostgREST, and JSON, have times as text."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
