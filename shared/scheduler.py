"""Runs each scheduled function once per slot across all workers.

Which slots there are: shared/cron; who takes one: messaging.take_run; what runs: edge/runs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from shared.cron import Slots
from shared.db import Calls, as_json
from shared.errors import RoletaError

# Far longer than a run takes: it only enqueues. So long a run waits to be tried again after its worker died.
LEASE_S = 600.0
# A slot that was refused is another worker's, or over; asked about again since that worker may die.
_ASK_AGAIN = timedelta(minutes=1)

Run = Callable[[str, str], Mapping[str, object]]


@dataclass(frozen=True)
class PastRun:
    """The latest run of a function, or what is known of one that never ran (`run_state` "never").

    `run_state`: running, done, waiting (to be tried again), overtaken, failed, never (messaging.recent_runs).
    """

    function_name: str
    first_seen_at: datetime
    run_id: str | None
    slot_at: datetime | None
    worker: str | None
    taken_count: int | None
    started_at: datetime | None
    finished_at: datetime | None
    answer: Mapping[str, object] | None
    error: str | None
    run_state: str


class Scheduler:
    """One per worker; any number of workers share the slots. `tick` is for one thread at a time."""

    def __init__(
        self,
        entries: Sequence[tuple[str, str]],
        *,
        time_zone: str,
        db: Calls,
        run: Run,
        log: FilteringBoundLogger,
    ) -> None:
        """`entries`: (slug, cron expression in `time_zone`). `run(slug, run_id)` runs the function.

        InvalidInput names an expression that cannot be read.
        """
        self._slots = {slug: Slots(expression, time_zone) for slug, expression in entries}
        self._db = db
        self._run = run
        self._log = log
        self._refused: dict[str, tuple[datetime, datetime]] = {}

    def tick(self, worker: str, stopped: Callable[[], bool] = lambda: False) -> int:
        """Runs what is due and nobody else has taken; how many runs it took, failed ones included.

        The time is the database's. A run that fails is recorded, and taken again when its lease ends. Errors
        of the database pass through; what was taken then is taken again when its lease ends.
        """
        if not self._slots:
            return 0
        # Also before the first slot comes: what was missed before a function was first seen stays missed.
        now: datetime = self._db.call_one("messaging.see_schedules", p_functions=list(self._slots))["seen_at"]
        taken = 0
        for slug, slots in self._slots.items():
            if stopped():
                break
            slot = slots.latest(now)
            if slot is None or self._was_just_refused(slug, slot, now):
                continue
            rows = self._db.call(
                "messaging.take_run", p_function=slug, p_slot=slot, p_worker=worker, p_lease_s=LEASE_S
            )
            if rows:
                taken += 1
                self._run_slot(slug, slot, rows[0]["run_id"], rows[0]["lease_token"])
            else:
                self._refused[slug] = (slot, now)
        return taken

    def _was_just_refused(self, slug: str, slot: datetime, now: datetime) -> bool:
        refused_slot, refused_at = self._refused.get(slug, (None, now))
        return slot == refused_slot and refused_at <= now < refused_at + _ASK_AGAIN

    def _run_slot(self, slug: str, slot: datetime, run_id: str, token: UUID) -> None:
        answer: dict[str, object] | None = None
        error: str | None = None
        self._log.info("run.started", function=slug, run_id=run_id)
        try:
            # Through JSON, so that an answer that no caller could be given is this run's failure.
            answer = json.loads(json.dumps(dict(self._run(slug, run_id)), allow_nan=False))
        except RoletaError as problem:
            error = str(problem)
            self._log.error("run.failed", function=slug, run_id=run_id, why=error)
        except Exception as problem:
            # Only its kind is stored: the text of a defect may hold a person's words.
            error = f"{type(problem).__name__}: a defect; the worker's log has the traceback"
            self._log.exception("run.failed", function=slug, run_id=run_id)
        finished = self._db.call_one(
            "messaging.finish_run",
            p_function=slug,
            p_slot=slot,
            p_token=token,
            p_answer=None if answer is None else as_json(answer),
            p_error=error,
        )["finish_run"]
        if not finished:
            self._log.warning("run.lost", function=slug, run_id=run_id)
        elif error is None:
            self._log.info("run.done", function=slug, run_id=run_id)


def latest_runs(db: Calls) -> dict[str, PastRun]:
    """The latest run of each function that has, or had, a schedule, by the function's name."""
    rows = db.call("messaging.recent_runs", p_limit=1)
    return {row["function_name"]: PastRun(**row) for row in rows}
