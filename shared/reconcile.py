"""Looks for evidence on messages of which we cannot tell whether they were sent: asks providers, tells SQL.

What evidence means, and what follows from it, is decided in the database (migrations 0062 to 0066): here
nothing is sent, and nothing is concluded. Each step may be repeated without harm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any

from structlog.typing import FilteringBoundLogger

from shared.db import Calls, Row, as_json
from shared.dispatcher import ProviderFactory
from shared.providers.base import Provider, ProviderError, Sought, Trace

# As messaging.matches has it.
BEFORE, AFTER = timedelta(seconds=5), timedelta(minutes=15)
AT_ONCE = 200
SLOT_FUNCTION = "reconcile"
EVERY_HOUR = "7 * * * *"


@dataclass
class Findings:
    """What one pass did: how many messages were looked at, what was found, whom it could not ask; and of a
    pass over everything, how many are left."""

    looked_at: int = 0
    confirmed: int = 0
    refused: int = 0
    resent: int = 0
    withdrawn_at_provider: int = 0
    still_unknown: int = 0
    presumed_not_sent: int = 0
    told: int = 0
    not_asked: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a run's answer."""
        return dict(vars(self))


class Reconciler:
    """One pass over what is due. Any number of workers may run it: each message is taken by one of them."""

    def __init__(self, db: Calls, provider_for: ProviderFactory, log: FilteringBoundLogger) -> None:
        self._db = db
        self._provider_for = provider_for
        self._log = log

    def run_once(
        self, *, everything: bool = False, tell: bool = False, stopped: Callable[[], bool] = lambda: False
    ) -> Findings:
        """Looks for evidence on fresh unknowns once a minute, on older ones once an hour; `everything`: on
        all of them now, whenever they were looked at. `tell`: says those aloud that nobody was told of.
        `stopped`: asked before each number.

        Errors of the database pass through; a provider that cannot be asked is noted.
        """
        found = Findings()
        last = 0
        while rows := self._db.call(
            "messaging.take_unknowns", p_all=everything, p_after=last, p_limit=AT_ONCE
        ):
            last = max(row["message_id"] for row in rows)
            found.looked_at += len(rows)
            for _, of_number in groupby(rows, key=lambda row: row["instance_id"]):
                if stopped():
                    return found
                self._look(list(of_number), found)
        if everything:
            self._count_unknown(found)
        if tell:
            found.told = self._tell()
        return found

    def _look(self, rows: list[Row], found: Findings) -> None:
        """All messages of one number: what is at hand first, then what its provider says of the rest."""
        open_rows = [row for row in rows if self._gather(row, found) == "unknown"]
        dropped = [row for row in rows if row["withdraw_queue_id"] is not None]
        if not open_rows and not dropped:
            return
        name = rows[0]["instance_name"]
        try:
            provider = self._provider_for(rows[0])
            if open_rows and self._ask(provider, open_rows):
                open_rows = [row for row in open_rows if self._gather(row, found) == "unknown"]
            for row in dropped:
                provider.withdraw(row["withdraw_queue_id"])
                self._db.call("messaging.note_withdrawn", p_attempt_id=row["attempt_id"])
                found.withdrawn_at_provider += 1
                self._log.info("withdrawn at the provider", message_id=row["message_id"], instance=name)
        except (ValueError, ProviderError) as error:
            # Without its answer there is no silence either.
            found.not_asked[name] = str(error)
            self._log.warning("the provider was not asked", instance=name, why=str(error))
        for row in open_rows:
            self._presume(row, found)

    def _ask(self, provider: Provider, rows: Sequence[Row]) -> bool:
        """Tells SQL what the provider has of these; whether there was anything."""
        sought = [Sought(row["phone"], row["begun_at"] - BEFORE, row["begun_at"] + AFTER) for row in rows]
        traces = provider.traces(sought)
        self._db.call(
            "messaging.note_traces",
            p_attempt_ids=[row["attempt_id"] for row in rows],
            p_source=provider.traces_from,
            p_traces=as_json([_as_json(trace) for trace in traces]),
        )
        return bool(traces)

    def _gather(self, row: Row, found: Findings) -> str:
        state = str(
            self._db.call_one("messaging.gather_evidence", p_message_id=row["message_id"])["gather_evidence"]
        )
        if state != row["dispatch_state"]:
            found.confirmed += state in ("accepted", "withdrawn")
            found.refused += state == "rejected"
            self._log.info(
                "settled by evidence", message_id=row["message_id"], was=row["dispatch_state"], now=state
            )
        return state

    def _presume(self, row: Row, found: Findings) -> None:
        if self._db.call_one("messaging.presume", p_message_id=row["message_id"])["presume"]:
            found.resent += 1
            self._log.warning("sent again once, after recorded silence", message_id=row["message_id"])

    def _count_unknown(self, found: Findings) -> None:
        rows = self._db.call("messaging.unknown_messages", p_limit=10_000)
        found.still_unknown = len(rows)
        found.presumed_not_sent = sum(row["presumed"] == "not_sent" for row in rows)

    def _tell(self) -> int:
        """Aloud: a person has to decide, and nothing else will."""
        rows = self._db.call("messaging.tell_unknowns")
        for row in rows:
            self._log.error(
                "uncertain for an hour: decide on the page, or see roleta why",
                message_id=row["message_id"],
                instance=row["instance_name"],
                purpose=row["purpose"],
                rule=row["on_unknown"],
                presumed=row["presumed"],
            )
        return len(rows)


def _as_json(trace: Trace) -> dict[str, Any]:
    happened_at = trace.happened_at
    return {**vars(trace), "happened_at": happened_at.isoformat() if happened_at else None}
