"""The judgement: what the provider's book says of every text that was enqueued, beside what our tables say.

Lost: in no state at all, or accepted by our tables and never by the provider. Duplicated: accepted twice by
the provider. Unexpected: accepted by the provider, while our tables say that it was not sent or know nothing
of it. Recovered: unknown by our tables for a time, and yet it had arrived, and was confirmed later. Stuck: in
a state in which nothing can stay.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from scripts.simulator.process import ControlledServer
from scripts.soak.book import Book
from scripts.soak.stage import ENDED
from shared.errors import RoletaError

# The provider's simulator loses one event in twenty: of about one message in 400 both that say who sent it,
# and a status that is left confirms nothing. A share is asked for where that is no matter of luck.
CONFIRMED_SHARE, SHARE_OF_AT_LEAST = 0.99, 1_000
# "sending" claims nothing; that nothing stays in it is another promise.
MAY_BE_SENT = ("accepted", "unknown", "sending")
# Database and simulator read one clock of one machine; this is the rounding of their seconds.
CLOCK_ROUNDING_S = 0.001

_STORED = "select content ->> 'text', dispatch_state from messaging.outbox"
_EVER_UNKNOWN = """
    select distinct m.content ->> 'text'
    from messaging.history as h join messaging.outbox as m on m.id = h.message_id
    where h.to_state = 'unknown'
"""
_PRESUMED_NOT_SENT = """
    select m.content ->> 'text'
    from messaging.unknown_messages(1000000) as u join messaging.outbox as m on m.id = u.message_id
    where u.presumed = 'not_sent'
"""


class BrokenPromise(RoletaError):
    """Something happened that must never happen."""


@dataclass(frozen=True)
class Verdict:
    """What was found. Texts name messages. `unknown_ever`: those that were unknown at any time; `confirmed`:
    the sent ones of them that are accepted now; `told`: the sent ones of which a receipt reached us;
    `recognisable`: those of which one said that the API sent them; `called_unsent`: the sent ones that are
    presumed not to be."""

    states: Counter[str]
    lost: list[str]
    duplicated: list[str]
    unexpected: list[str]
    unknown_ever: int
    unknown_sent: int
    confirmed: int
    told: int
    told_confirmed: int
    recognisable: int
    recognisable_confirmed: int
    called_unsent: list[str]
    ambiguous_faults: int
    left_begun: int = 0
    smallest_gap_s: float | None = None
    promised_gap_s: float = 0.0
    findings: list[str] = field(default_factory=list)

    @property
    def stuck(self) -> int:
        """Messages in a state in which nothing may stay."""
        return sum(count for state, count in self.states.items() if state not in ENDED)

    @property
    def unknown_but_sent(self) -> int:
        """Unknown to this moment, and the provider has it."""
        return self.unknown_sent - self.confirmed

    @property
    def unknown_limit(self) -> int:
        """How many may have become unknown: there is a reason for each."""
        return self.ambiguous_faults + self.left_begun

    def broken(self, *, partial: bool = False) -> list[str]:
        """A line per promise that was not kept; `partial`: the run was ended early, and may have a rest."""
        found = [
            f"{len(texts)} {sin}: {', '.join(texts[:5])}"
            for sin, texts in (
                ("lost", self.lost),
                ("duplicated", self.duplicated),
                ("unexpected", self.unexpected),
                ("sent and presumed not sent", self.called_unsent),
            )
            if texts
        ]
        if self.stuck and not partial:
            found.append(f"{self.stuck} stuck: {dict(self.states)}")
        if self.unknown_ever > self.unknown_limit:
            found.append(f"{self.unknown_ever} became unknown, with a reason for {self.unknown_limit}")
        if self.recognisable_confirmed < self.recognisable and not partial:
            found.append(f"{self.recognisable_confirmed} confirmed of {self.recognisable} recognisable")
        share_is_due = self.told >= SHARE_OF_AT_LEAST and not partial
        if share_is_due and self.told_confirmed < CONFIRMED_SHARE * self.told:
            found.append(f"{self.told_confirmed} confirmed of {self.told} unknowns with a receipt")
        if self.smallest_gap_s is not None and self.smallest_gap_s < self.promised_gap_s - CLOCK_ROUNDING_S:
            found.append(f"a gap of {self.smallest_gap_s:.4f} s where {self.promised_gap_s} s were promised")
        return [*found, *self.findings]

    def check(self) -> None:
        """BrokenPromise where anything was lost, doubled, unexpected, stuck, unknown without a reason, too
        close, or found by an audit view."""
        print(self)
        if broken := self.broken():
            raise BrokenPromise("; ".join(broken))

    def __str__(self) -> str:
        return (
            f"{sum(self.states.values())} messages: {dict(self.states)}; lost {len(self.lost)}, "
            f"duplicated {len(self.duplicated)}, unexpected {len(self.unexpected)}; unknown "
            f"{self.states['unknown']} (of these sent {self.unknown_but_sent}), "
            f"ever unknown {self.unknown_ever} against {self.ambiguous_faults} ambiguous faults + "
            f"{self.left_begun} that can have begun unrecorded; "
            f"recovered {self.confirmed}; audit findings {len(self.findings)}"
        )


def judge(
    url: str,
    simulator: ControlledServer,
    texts: Sequence[str],
    left_begun: int = 0,
    promised_gap_s: float = 0.0,
) -> Verdict:
    """Compare. `left_begun`: how many attempts can have begun and not been recorded, as was counted when
    they were left."""
    book = Book.read(simulator.log)
    with psycopg.connect(url) as connection:
        stored: dict[str, str] = dict(connection.execute(_STORED).fetchall())
        doubtful = {text for (text,) in connection.execute(_EVER_UNKNOWN)}
        presumed = {text for (text,) in connection.execute(_PRESUMED_NOT_SENT)}
    sent = {text for text in doubtful if book.times[text]}
    confirmed = {text for text in sent if stored[text] == "accepted"}
    told, ours = sent & book.told, sent & book.recognisable
    return Verdict(
        states=Counter(stored.values()),
        lost=[
            text
            for text in texts
            if text not in stored or (stored[text] == "accepted" and not book.times[text])
        ],
        duplicated=[text for text, count in book.times.items() if count > 1],
        unexpected=[text for text in book.times if stored.get(text) not in MAY_BE_SENT],
        unknown_ever=len(doubtful),
        unknown_sent=len(sent),
        confirmed=len(confirmed),
        told=len(told),
        told_confirmed=len(told & confirmed),
        recognisable=len(ours),
        recognisable_confirmed=len(ours & confirmed),
        called_unsent=sorted(presumed & sent),
        ambiguous_faults=book.ambiguous,
        left_begun=left_begun,
        smallest_gap_s=book.smallest_gap_s,
        promised_gap_s=promised_gap_s,
        findings=audit_findings(url),
    )


def audit_findings(url: str) -> list[str]:
    """One line per row in any view of schema `audit`: what the database finds wrong with itself."""
    with psycopg.connect(url) as connection:
        return audit_findings_over(connection)


def audit_findings_over(connection: psycopg.Connection[Any]) -> list[str]:
    """The same as this session sees it, with what it has not committed."""
    if connection.execute("select to_regclass('audit.findings')").fetchone() == (None,):
        return []
    rows = connection.execute("select finding, evidence from audit.findings limit 20").fetchall()
    return [f"audit.{finding}: {evidence}" for finding, evidence in rows]
