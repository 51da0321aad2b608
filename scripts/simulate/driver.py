"""One worker in virtual time: the clock jumps from event to event; handlers, duties and SQL are real.

The provider is an answer drawn here (contract: accepted after 0.3-2 s, now and then refused or unknown): HTTP
takes real seconds, and is what tests/contract and tests/crash are for.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from edge import runs
from scripts.simulate.town import ZONE, Connection
from shared.agent import Agent
from shared.compose import DraftDuty
from shared.cron import Slots
from shared.db import Database
from shared.settings import Settings
from shared.turns import TurnDuty

WORKER = "simulate"
SEND_S = (0.3, 2.0)
TICK = timedelta(microseconds=1)
_CLOCK = """
    create table messaging.simulated_clock (now timestamptz not null) with (fillfactor = 10);
    create or replace function messaging.clock() returns timestamptz
    language sql volatile security definer set search_path = ''
    as 'select c.now from messaging.simulated_clock as c';
"""
_MOVE = "update messaging.simulated_clock set now = %s"
_DUE = """
    select
        (select min(s.ready_at) from messaging.senders as s),
        (select min(t.ready_at) from messaging.turns as t)
"""

# When the next number and the next turn are due; None: nobody waits.
Due = tuple[datetime | None, datetime | None]


@dataclass(frozen=True)
class Sent:
    """One accepted message, as whoever received it would tell."""

    message_id: int
    purpose: str
    phone: str
    at: datetime


@dataclass
class Driver:
    """`after_send` is called with every accepted message; it may plan what the person does next."""

    connection: Connection
    db: Database
    settings: Settings
    agent: Agent
    source: random.Random
    now: datetime
    after_send: Callable[[Sent], None] = lambda _: None
    _planned: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        log = structlog.get_logger("roleta.simulate")
        self.connection.execute(_CLOCK)
        self.connection.execute("insert into messaging.simulated_clock values (%s)", [self.now])
        self._turns = TurnDuty(self.db, self.settings, log, self.agent)
        self._drafts = DraftDuty(self.db, self.agent, log)
        self._scheduler = runs.scheduler(self.db, self.settings, log)
        self._slots = {
            function.slug: Slots(function.schedule, str(ZONE))
            for function in runs.cron_functions()
            if function.schedule is not None
        }
        self._scheduler.tick(WORKER)
        self._next_slot = self._following()

    def plan(self, at: datetime, what: Callable[[], object]) -> None:
        """Does something at a moment to come."""
        heapq.heappush(self._planned, (max(at, self.now), next(self._order), what))

    def compose(self) -> None:
        """Gives every draft its text, as a worker does within seconds of a run."""
        while self._drafts.run_once(WORKER):
            pass

    def run_until(self, end: datetime) -> None:
        """Lets everything happen that happens before `end`; the clock then stands there."""
        due = self._due()
        while True:
            sender, turn = self._work(due)
            moments = [self._next_slot, *(each for each in (sender, turn) if each is not None)]
            if self._planned:
                moments.append(self._planned[0][0])
            # Rounded up to the clock's microsecond, or what is due would not be due yet.
            at = max(min(moments), self.now + TICK)
            due = self._move_to(min(at, end))
            if at >= end:
                return

    def _work(self, due: Due) -> Due:
        """Everything that is due now; then when the next number and the next turn are. `due`: what was known
        of them before anything happened."""
        for _ in range(10_000):
            busy = False
            while self._planned and self._planned[0][0] <= self.now:
                heapq.heappop(self._planned)[2]()
                busy = True
            if self._next_slot <= self.now:
                self._scheduler.tick(WORKER)
                self.compose()
                self._next_slot = self._following()
                busy = True
            if busy:
                due = self._due()
            sender, turn = due
            if turn is not None and turn <= self.now:
                busy |= self._turns.run_once(WORKER)
                due = self._due()
                sender = due[0]
            if sender is not None and sender <= self.now:
                busy |= self._send()
                due = self._due()
            if not busy:
                return due
        raise RuntimeError("the simulated moment does not end: a defect of the pacing")

    def _send(self) -> bool:
        claimed = self.connection.execute(
            "select message_id, lease_token from messaging.claim(%s, 200)", [WORKER]
        ).fetchall()
        for message_id, token in claimed:
            begun = self.connection.execute(
                "select attempt_id, purpose, phone from messaging.begin_attempt(%s, %s, %s)",
                [message_id, token, WORKER],
            ).fetchone()
            if begun is not None and begun[0] is not None:
                ends_at = self.now + timedelta(seconds=self.source.uniform(*SEND_S))
                self.plan(ends_at, self._ending(message_id, *begun))
        return bool(claimed)

    def _ending(self, message_id: int, attempt_id: int, purpose: str, phone: str) -> Callable[[], None]:
        outcome = self.source.choices(["accepted", "rejected", "unknown"], [0.994, 0.003, 0.003])[0]

        def end() -> None:
            self.connection.execute(
                "select messaging.record_attempt(%s, %s, %s)",
                [attempt_id, outcome, None if outcome == "rejected" else f"M{attempt_id}"],
            )
            if outcome == "accepted":
                self.after_send(Sent(message_id, purpose, phone, self.now))
            elif outcome == "unknown":
                # The receipt tells, some minutes later.
                self.plan(self.now + timedelta(minutes=self.source.uniform(1, 10)), receipt)

        def receipt() -> None:
            self.connection.execute(
                "select messaging.apply_receipt(a.instance_id, a.provider_message_id, 'delivered')"
                " from messaging.attempts as a where a.id = %s",
                [attempt_id],
            )
            self.after_send(Sent(message_id, purpose, phone, self.now))

        return end

    def _due(self) -> Due:
        row = self.connection.execute(_DUE.encode()).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def _following(self) -> datetime:
        return min(slots.following(self.now) for slots in self._slots.values())

    def _move_to(self, at: datetime) -> Due:
        self.now = at
        with self.connection.pipeline():
            self.connection.execute(_MOVE, [at])
            due = self.connection.execute(_DUE.encode())
        row = due.fetchone()
        return (row[0], row[1]) if row else (None, None)
