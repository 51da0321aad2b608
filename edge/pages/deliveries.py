"""A row of the report log in words: where a message stands, from which number, and why that one spoke."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import clock
from shared.reports import Delivery
from shared.texts_pt import pages as words
from shared.texts_pt.pages import Word

When = Callable[[datetime.datetime | None], str]


@dataclass(frozen=True)
class Entry:
    """One line of the log. `key`: what the script knows it by, "" for what never became a message."""

    key: str
    client: str
    what: str
    period: str
    when: str
    state: Word
    voice: str
    to: str

    @property
    def live(self) -> dict[str, Any]:
        """What may change while a page is open."""
        return {"key": self.key, "text": self.state.text, "tone": self.state.tone}


def entry_of(row: Delivery, when: When) -> Entry:
    """A row in words; `when` says a moment in the agency's time."""
    return Entry(
        key=str(row.message_id or ""),
        client=row.client_label or words.UNNAMED_CLIENT,
        what=words.PURPOSES.get(row.purpose, words.PURPOSE_OTHERWISE),
        period=_period(row),
        when=when(row.happened_at),
        state=state_of(row, when),
        voice=_voice(row),
        to=row.phone_tail or "",
    )


def state_of(row: Delivery, when: When) -> Word:
    """Where it stands: what the provider accepted goes by its receipts, everything else by its own state."""
    match row.dispatch_state:
        case None:
            state = _logged(row)
        case "accepted":
            state = words.DELIVERIES.get(row.delivery_state or "", words.ACCEPTED)
        case "rejected":
            state = Word(f"{words.REJECTED}: {_reason(row)}", "bad")
        case "withdrawn":
            state = Word(f"{words.WITHDRAWN}: {_reason(row)}", "idle")
        case settled if settled in words.STATES:
            state = words.STATES[settled]
        case _:
            state = _waiting(row, when)
    return state


def _logged(row: Delivery) -> Word:
    """A line of the log that never became a message."""
    if row.log_status == "success":
        return Word(words.LOGGED, "ok")
    return Word(f"{words.NOT_SENT}: {row.reason or words.NO_REASON}", "bad")


def _waiting(row: Delivery, when: When) -> Word:
    if row.dispatch_state in ("queued", "leased") and row.expected_at is not None:
        return Word(words.QUEUED_UNTIL.format(time=_soon(row.expected_at, when)), "wait")
    if row.dispatch_state == "draft":
        return Word(words.QUEUED, "wait")
    if row.held_by is not None and row.held_by.startswith("message "):
        return Word(words.HELD_BY_ANOTHER, "wait")
    # Nobody can tell when: the number is down.
    return Word(words.HELD_CLIENT if row.spoken_by == "client" else words.HELD_AGENCY, "wait")


def _soon(moment: datetime.datetime, when: When) -> str:
    """The time alone for today, and never one that has passed."""
    return when(max(moment, clock.now())).removeprefix("hoje, ")


def _reason(row: Delivery) -> str:
    return next((text for part, text in words.REASONS.items() if part in (row.reason or "")), words.NO_REASON)


def _voice(row: Delivery) -> str:
    if row.spoken_by == "client":
        return words.SPOKE_CLIENT
    return words.SPOKE_AGENCY if row.spoken_by == "agency" else words.SPOKE_NOBODY


def _period(row: Delivery) -> str:
    if row.period_start is None or row.period_end is None:
        return ""
    first, last = f"{row.period_start:%d/%m/%Y}", f"{row.period_end:%d/%m/%Y}"
    return first if first == last else f"{first} a {last}"
