"""A simulated week from an empty database to its verdict."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

import psycopg

from scripts.simulate import checks, town
from scripts.simulate.checks import Attempt
from scripts.simulate.driver import Driver
from scripts.simulate.life import Life, TownAgent
from shared.db import Database
from shared.settings import Settings

# A Monday, midnight in São Paulo.
START = datetime(2026, 11, 16, tzinfo=town.ZONE)
_NOT_DURABLE = """
    do $$ begin
        execute format('alter database %I set synchronous_commit = off', current_database());
    end $$
"""


@dataclass(frozen=True)
class Plan:
    """How large the town is and how long it is watched. `replies_per_hour`: turns of each number by day."""

    people: int = 500
    numbers: int = 4
    replies_per_hour: float = 60
    days: int = 7
    seed: int = 20_261_116


class Kind(NamedTuple):
    """One kind of message; minutes are from enqueue to begin."""

    kind: str
    left: int
    expired: int
    withdrawn: int
    waiting: int
    people: int
    median_min: float
    longest_min: float


@dataclass(frozen=True)
class Week:
    """What came of it."""

    plan: Plan
    begun: Sequence[Attempt]
    violations: Sequence[str]
    inbound: int
    duplicates: int
    states: dict[tuple[str, str], int]

    @property
    def smallest_gap_s(self) -> float:
        """Seconds, over all numbers."""
        return checks.smallest_gap_s(self.begun)

    def table(self) -> list[Kind]:
        """What became of each kind of message."""
        return [self._kind(purpose) for purpose in sorted({purpose for purpose, _ in self.states})]

    def _kind(self, purpose: str) -> Kind:
        left = [attempt for attempt in self.begun if attempt.purpose == purpose]
        waits = [(attempt.begun_at - attempt.enqueued_at).total_seconds() / 60 for attempt in left] or [0.0]
        return Kind(
            purpose,
            left=len(left),
            expired=self.states.get((purpose, "expired"), 0),
            withdrawn=self.states.get((purpose, "withdrawn"), 0),
            waiting=sum(self.states.get((purpose, state), 0) for state in ("draft", "queued", "held")),
            people=len({attempt.phone for attempt in left}),
            median_min=round(median(waits), 1),
            longest_min=round(max(waits), 1),
        )


def simulate(url: str, plan: Plan) -> Week:
    """Runs the week on a migrated, empty database that may be thrown away: its clock is replaced."""
    source = random.Random(plan.seed)  # noqa: S311 - an invented town
    with psycopg.connect(url, autocommit=True) as setup:
        # For the sessions to come: durability is not what is looked at.
        setup.execute(_NOT_DURABLE)
    with (
        psycopg.connect(url, autocommit=True) as connection,
        Database(url, max_size=2, application_name="roleta simulate") as db,
    ):
        agent = TownAgent(source)
        settings = Settings(agent_url="http://town.invalid")
        driver = Driver(connection, db, settings, agent, source, START)
        life = Life(
            driver,
            town.build(connection, source, people=plan.people, numbers=plan.numbers, start=START),
            source,
            START,
            plan.days,
        )
        life.plan(plan.replies_per_hour)
        driver.run_until(START + timedelta(days=plan.days))
        begun = checks.attempts(connection)
        states = connection.execute(
            "select purpose, dispatch_state, count(*) from messaging.outbox group by 1, 2"
        ).fetchall()
        return Week(
            plan, begun, checks.violations(connection, life, begun), life.inbound, len(life.duplicates),
            {(purpose, state): count for purpose, state, count in states},
        )  # fmt: skip
