"""Reports of agencies' clients: the due ones handed to the outbox, one sent or previewed now, settings, the
log.

Who is due, with which figures, and who speaks is SQL's (migrations 0056-0058); the text is in
shared/texts_pt/agency. The cron function and the pages both come here: the page's "Enviar agora" needs no
key of the cron's (bug 30).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from shared import outbox
from shared.agency_messages import enqueue_each, phone_of
from shared.db import Calls, Row, as_json
from shared.errors import InvalidInput
from shared.redaction import phone_tail
from shared.texts_pt import agency

PURPOSE = "agency_report"
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
# What whatsapp_report_logs is told of a message (messaging.log_report).
_LOGGED = ("client_id", "spoken_by", "sent_from", "period_start", "period_end")


@dataclass(frozen=True)
class Report:
    """One client's report as messaging.report_as_of has it. `unsent`: the code of why it cannot go
    (texts_pt/agency.unsent); `text` is empty where the figures make none."""

    facts: Mapping[str, Any] = field(repr=False)
    dedupe_key: str
    phone: str | None = field(repr=False)
    text: str = field(repr=False)
    unsent: str | None

    @classmethod
    def from_row(cls, facts: Mapping[str, Any], dedupe_key: str | None = None) -> Self:
        """With a key of its own, or that of its period."""
        phone, unsent, text = phone_of(facts["phone"]), facts["unsent"], ""
        try:
            text = agency.report(facts)
        except (ArithmeticError, ValueError, TypeError, KeyError):
            # Such as a NaN in an adopted table: this client's report fails, and nobody else's.
            unsent = unsent or "refused"
        if phone is None:
            unsent = unsent or "wrong_phone"
        return cls(facts, dedupe_key or facts["dedupe_key"], phone, text, unsent)

    def message(self, enqueued_by: str, run_id: str | None) -> outbox.NewMessage:
        """As the outbox takes it: on the number that speaks for the client."""
        kept = {name: self.facts[name] for name in _LOGGED}
        return outbox.NewMessage(
            purpose=PURPOSE,
            phone=self.phone or "",
            dedupe_key=self.dedupe_key,
            enqueued_by=enqueued_by,
            text=self.text,
            instance_id=UUID(str(self.facts["instance_id"])),
            subject_id=str(self.facts["client_id"]),
            run_id=run_id,
            facts=kept | {"report_period_type": self.facts["period_type"]},
        )


@dataclass(frozen=True)
class Handed:
    """What a run came to: `sent` were handed to the outbox now, `repeated` before, `failed` could not be."""

    sent: int
    repeated: int
    failed: int


@dataclass(frozen=True)
class SentNow:
    """What "Enviar agora" came to. `created` False with an id: the same click had enqueued it before.
    Without an id `why` says, in Portuguese, what to change. `expected_at` None: nobody can tell when (the
    number is down)."""

    message_id: int | None
    created: bool
    spoken_by: str | None
    sent_from: str | None
    expected_at: datetime | None = None
    unsent: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Preview:
    """What would go now: the text, to whom ("…1234"), who speaks; and what keeps it, in Portuguese, if
    anything."""

    text: str = field(repr=False)
    phone_tail: str | None
    spoken_by: str | None
    sent_from: str | None
    unsent: str | None
    why: str | None


@dataclass(frozen=True)
class Delivery:
    """A row of messaging.report_deliveries: a message and where it stands, or (message_id None) a report of
    the log that never became one; there `log_status` is "success" or "error"."""

    message_id: int | None
    happened_at: datetime
    purpose: str
    client_id: UUID | None
    client_label: str | None
    phone_tail: str | None
    dispatch_state: str | None
    delivery_state: str | None
    held_by: str | None
    reason: str | None
    expected_at: datetime | None
    expires_at: datetime | None
    spoken_by: str | None
    sent_from: str | None
    period_start: date | None
    period_end: date | None
    log_status: str | None


def due(db: Calls, client_id: UUID | None = None, *, key: str | None = None) -> tuple[int, list[Report]]:
    """How many settings run by themselves, and the reports that are due now. With a `key`: this client's
    report, due or not, under that key."""
    found = db.call_one("messaging.due_reports", p_client_id=client_id, p_forced=key is not None)[
        "due_reports"
    ]
    return found["active"], [Report.from_row(facts, key) for facts in found["reports"]]


def forced_key(client_id: UUID, nonce: str) -> str:
    """The key of a report that somebody asked for: the same nonce is the same message."""
    return f"report:{client_id}:manual:{nonce}"


def hand_over(db: Calls, reports: Sequence[Report], *, enqueued_by: str, run_id: str | None) -> Handed:
    """Enqueues each once; what cannot go is logged, once for its period, and keeps no other."""
    sendable = [report for report in reports if report.unsent is None]
    told = enqueue_each(db, [report.message(enqueued_by, run_id) for report in sendable])
    refused = [report for report, each in zip(sendable, told, strict=True) if each.message_id is None]
    _log_unsent(db, [*(report for report in reports if report.unsent is not None), *refused])
    created = sum(each.created for each in told)
    return Handed(created, len(told) - created - len(refused), len(reports) - len(told) + len(refused))


def send_now(db: Calls, person_db: Calls, client_id: UUID, nonce: str) -> SentNow:
    """The report of a manager's own client, now: whatever its schedule, whatever was sent today; once per
    nonce, so a double click is one message. `person_db` acts as the manager and decides what is theirs
    (Forbidden, NotFound); `db` is the service's."""
    if not _NONCE.fullmatch(nonce):
        raise InvalidInput("nonce must be 8 to 64 letters, digits, hyphens or underscores")
    report = _own(person_db, client_id, forced_key(client_id, nonce))
    speaks = (report.facts["spoken_by"], report.facts["sent_from"])
    if report.unsent is None:
        [told] = enqueue_each(db, [report.message("report-now", None)])
        if told.message_id is not None:
            return SentNow(
                told.message_id, told.created, *speaks, expected_at=_expected_at(db, told.message_id)
            )
    _log_unsent(db, [report])
    unsent = report.unsent or "refused"
    return SentNow(None, False, *speaks, unsent=unsent, why=agency.unsent(unsent))


def preview(person_db: Calls, client_id: UUID) -> Preview:
    """What send_now would send for a manager's own client. Forbidden, NotFound."""
    report = _own(person_db, client_id)
    return Preview(
        text=report.text,
        phone_tail=phone_tail(report.phone) if report.phone else None,
        spoken_by=report.facts["spoken_by"],
        sent_from=report.facts["sent_from"],
        unsent=report.unsent,
        why=None if report.unsent is None else agency.unsent(report.unsent),
    )


def settings(person_db: Calls, client_id: UUID) -> dict[str, Any]:
    """How the report of a manager's own client is set, or the defaults (messaging.report_settings)."""
    found: dict[str, Any] = person_db.call_one("messaging.report_settings", p_client_id=client_id)[
        "report_settings"
    ]
    return found


def save_settings(person_db: Calls, client_id: UUID, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes the fields given; a phone may be written as people write it. InvalidInput begins with the
    name of the field that is wrong, and a colon."""
    given = with_digits(changes, "phone_number")
    row = person_db.call_one(
        "messaging.save_report_settings", p_client_id=client_id, p_settings=as_json(given)
    )
    saved: dict[str, Any] = row["save_report_settings"]
    return saved


def deliveries(person_db: Calls, client_id: UUID | None = None, *, limit: int = 50) -> list[Delivery]:
    """What a manager's agency wrote, newest first: to one client, or to all."""
    rows = person_db.call("messaging.report_deliveries", p_client_id=client_id, p_limit=limit)
    return [_delivery(row) for row in rows]


def with_digits(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The same fields with the phone in `name` as digits with country code. InvalidInput names the field."""
    written = values.get(name)
    if not isinstance(written, str):
        return dict(values)
    digits = phone_of(written) if written.strip() else ""
    if digits is None:
        raise InvalidInput(
            f"{name}: is no telephone number: give area code and number, such as 11 98765-4321"
        )
    return {**values, name: digits}


def _own(person_db: Calls, client_id: UUID, key: str | None = None) -> Report:
    row = person_db.call_one("messaging.report_now", p_client_id=client_id)
    return Report.from_row(row["report_now"], key)


def _expected_at(db: Calls, message_id: int) -> datetime | None:
    found = db.call_one("messaging.forecast", p_message_id=message_id)["forecast"]
    # PostgREST gives a lone value as text.
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def _log_unsent(db: Calls, reports: Sequence[Report]) -> None:
    if not reports:
        return
    rows = [
        {
            **{name: report.facts[name] for name in (*_LOGGED, "agency_id", "period_type")},
            "dedupe_key": report.dedupe_key,
            "error_message": agency.unsent(report.unsent or "refused"),
        }
        for report in reports
    ]
    db.call("messaging.log_unsent_reports", p_reports=as_json(rows))


def _delivery(row: Row) -> Delivery:
    values = {each.name: row[each.name] for each in fields(Delivery)}
    for name in ("period_start", "period_end"):
        # PostgREST gives a date as text.
        values[name] = date.fromisoformat(values[name]) if isinstance(values[name], str) else values[name]
    return Delivery(**values)
