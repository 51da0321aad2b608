"""Drafts become messages: a worker takes one, its composer writes the text, and the message joins its queue.

Nothing is sent here, so a draft may be composed again as often as workers are lost. Whatever fails, the fixed
text stands. A composer is a module of shared/composers with
`compose(agent, db, draft) -> Composed | Withdrawn | None` (None: the fixed text stands).
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from shared import clock
from shared.agent import Agent
from shared.db import Calls, Row
from shared.errors import DatabaseUnavailable, RoletaError, place_of
from shared.redaction import clean_text

COMPOSERS = frozenset({"conversation_followup", "episode", "session_summary", "speech", "weekly_report"})
# A composer asks the agent three times at most; then there is time to read and to store.
MOST_QUESTIONS = 3
ASIDE_S = 10.0
# A draft that ends its worker each time must not end every worker.
MOST_LOST = 3
LONGEST_TEXT = 65_536


@dataclass(frozen=True)
class Draft:
    """A message that waits for its text; `content` holds the fixed one, `facts` what effects will write."""

    message_id: int
    compose: str
    purpose: str
    content: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    profile_id: UUID | None
    profile_name: str | None = field(repr=False)
    subject_id: str | None


@dataclass(frozen=True)
class Composed:
    """The text that goes instead of the fixed one; `facts` are merged into the message's own.

    `spoken_url`: where the provider fetches the text spoken, a data URI included; then that is what goes.
    """

    text: str = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    spoken_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Withdrawn:
    """This message must not go at all; `why` is for a person who asks, and holds nobody's words."""

    why: str


Verdict: TypeAlias = Composed | Withdrawn | None


Composer: TypeAlias = Callable[[Agent, Calls, Draft], Verdict]


def composer(name: str) -> Composer:
    """The composer of that name, imported when first asked for; LookupError for a name that is none."""
    if name not in COMPOSERS:
        raise LookupError("no such composer")
    found: Composer = importlib.import_module(f"shared.composers.{name}").compose
    return found


class DraftDuty:
    """What a worker does about drafts. Threads and processes may share the work."""

    def __init__(
        self,
        db: Calls,
        agent: Agent,
        log: FilteringBoundLogger,
        *,
        agent_timeout_s: float = 20.0,
        composer_named: Callable[[str], Composer] = composer,
    ) -> None:
        self._db = db
        self._agent = agent
        self._log = log
        self._composer_named = composer_named
        self._lease_s = MOST_QUESTIONS * agent_timeout_s + ASIDE_S

    def run_once(self, worker: str) -> bool:
        """Composes one draft; False when none waits.

        DatabaseUnavailable passes through: the draft's lease ends, and another worker takes it.
        """
        taken = self._db.call("messaging.take_drafts", p_worker=worker, p_limit=1, p_lease_s=self._lease_s)
        for row in taken:
            began_at = clock.monotonic()
            verdict = self._composed(row)
            finished = self._finish(row, worker, verdict)
            self._log.info(
                _told(verdict) if finished else "draft.lost",
                message_id=row["message_id"],
                compose=row["compose"],
                took_s=round(clock.monotonic() - began_at, 3),
            )
        return bool(taken)

    def _composed(self, row: Row) -> Verdict:
        """What the composer says; None, and a line in the log, where it fails."""
        if row["compose_count"] > MOST_LOST:
            self._log.error("a draft lost its workers", message_id=row["message_id"], compose=row["compose"])
            return None
        try:
            verdict = self._composer_named(row["compose"])(self._agent, self._db, _draft(row))
            return _checked(verdict)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            # Its name and place only: an error's text may hold what a person wrote.
            self._log.error(
                "a composer failed", message_id=row["message_id"], compose=row["compose"], why=place_of(error)
            )
            return None

    def _finish(self, row: Row, worker: str, verdict: Verdict) -> bool:
        try:
            return self._store(row, worker, verdict)
        except DatabaseUnavailable:
            raise
        except (RoletaError, TypeError, ValueError) as error:
            # Such as facts that are no JSON.
            self._log.error(
                "a composed text cannot be stored",
                message_id=row["message_id"],
                compose=row["compose"],
                why=place_of(error),
            )
            return self._store(row, worker, None)

    def _store(self, row: Row, worker: str, verdict: Verdict) -> bool:
        stored = self._db.call_one(
            "messaging.finish_draft",
            p_message_id=row["message_id"],
            p_compose_token=row["compose_token"],
            p_worker=worker,
            p_text=verdict.text if isinstance(verdict, Composed) else None,
            p_facts=dict(verdict.facts) if isinstance(verdict, Composed) else None,
            p_withdraw_why=verdict.why if isinstance(verdict, Withdrawn) else None,
            p_spoken_url=verdict.spoken_url if isinstance(verdict, Composed) else None,
        )
        return bool(stored["finish_draft"])


def _draft(row: Row) -> Draft:
    return Draft(
        message_id=row["message_id"],
        compose=row["compose"],
        purpose=row["purpose"],
        content=row["content"],
        facts=row["facts"],
        profile_id=row["profile_id"],
        profile_name=row["profile_name"],
        # Over PostgREST whatever looks like an id comes as one.
        subject_id=None if row["subject_id"] is None else str(row["subject_id"]),
    )


def _checked(verdict: Verdict) -> Verdict:
    if isinstance(verdict, Withdrawn):
        return Withdrawn(clean_text(verdict.why.strip())[:200] or "its composer withdrew it")
    if verdict is None:
        return None
    text = clean_text(verdict.text).strip()
    if not text or len(text) > LONGEST_TEXT:
        raise ValueError("a composed text is empty or too long")
    return replace(verdict, text=text)


def _told(verdict: Verdict) -> str:
    if isinstance(verdict, Withdrawn):
        return "draft.withdrawn"
    return "draft.composed" if verdict is not None else "draft.fixed"
