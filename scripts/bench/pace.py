"""How long a campaign takes at a human pace, in virtual time: the real SQL, a clock that jumps."""

import heapq
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from scripts.bench.clients import Connection
from scripts.bench.progress import Progress
from scripts.bench.report import Report

GAP_S = (25.0, 45.0)
SEND_S = (0.3, 2.0)  # what a send at Z-API takes (pacing measurements, 3.8)
# Noon of a working day in São Paulo; the messages are of a kind that knows no quiet hours.
START = datetime(2026, 3, 3, 15, tzinfo=UTC)
BATCH = 100

_CLOCK = """
    create or replace function messaging.clock() returns timestamptz language sql volatile security invoker
    as $$ select current_setting('bench.clock')::timestamptz $$
"""
_NUMBERS = """
    insert into public.whatsapp_instances (name, zapi_instance_id, zapi_token, zapi_client_token, max_users)
    select 'Number ' || n, 'I' || n, 'T' || n, 'C' || n, 1000000 from generate_series(1, %(numbers)s) as n
"""
_MESSAGES = """
    select count(*) from messaging.enqueue_many((
        select jsonb_agg(jsonb_build_object(
            'purpose', 'direct', 'phone', '55119' || lpad(m::text, 8, '0'), 'dedupe_key', 'bench:' || m,
            'enqueued_by', 'bench', 'instance_id', i.ids[1 + m %% %(numbers)s::integer],
            'content', jsonb_build_object('kind', 'text', 'text', 'Bench message ' || m),
            'expires_at', messaging.clock() + interval '30 days'
        ))
        from generate_series(%(first)s::integer, %(last)s::integer) as m
        cross join (select array_agg(id order by name) as ids from public.whatsapp_instances) as i
    ))
"""
# The end of the slowest number if its gaps were all there is: no send time, no worker, no database.
_IDEAL = """
    select max(n.gaps) from (
        select sum(g.gap_s) as gaps
        from (
            select
                a.instance_id, a.gap_s,
                row_number() over (partition by a.instance_id order by a.begun_at desc) as from_the_end
            from messaging.attempts as a
        ) as g
        where g.from_the_end > 1
        group by g.instance_id
    ) as n
"""
_SMALLEST = """
    select min(extract(epoch from d.begun_at - d.previous)) from (
        select a.begun_at, lag(a.ended_at) over (partition by a.instance_id order by a.begun_at) as previous
        from messaging.attempts as a
    ) as d
"""


@dataclass(frozen=True)
class Campaign:
    """So many messages, dealt evenly over so many numbers, all due at once."""

    messages: int
    numbers: int


FULL = Campaign(10_000, 50)
QUICK = Campaign(1_000, 20)
TINY = Campaign(40, 4)


def measure(url: str, report: Report, progress: Progress, campaign: Campaign) -> None:
    """Fill the report: makespan of ours, of the ideal with the same gaps, and of the seed's sleeping loop."""
    random_ = random.Random(report.seed)
    with psycopg.connect(url, autocommit=True) as connection:
        # A virtual run in a throw-away database: durability is not what is measured.
        connection.execute("set synchronous_commit = off")
        driver = Driver(connection, random_)
        with progress.step(f"enqueueing {campaign.messages:,} messages"):
            _prepare(connection, driver, campaign, report.seed)
        with progress.step(f"sending them on {campaign.numbers} numbers in virtual time"):
            ours_s = driver.run(campaign.messages)
        ideal_s = _number(connection, _IDEAL)
        smallest_s = _number(connection, _SMALLEST)
    seed_s = sum(random_.uniform(*GAP_S) + random_.uniform(*SEND_S) for _ in range(campaign.messages))
    report.rows += [
        _row("roleta", ours_s, ideal_s),
        _row("ideal: the gaps alone", ideal_s, ideal_s),
        _row("seed: one function that sleeps", seed_s, ideal_s),
    ]
    report.target(
        "seconds that the smallest pause between two sends of a number lies under 25 s",
        round(max(GAP_S[0] - smallest_s, 0), 6), 0,
    )  # fmt: skip
    report.notes += [
        f"{campaign.messages:,} messages dealt evenly over {campaign.numbers} numbers, gaps "
        f"{GAP_S[0]:g}-{GAP_S[1]:g} s from the end of a send to the next, a send takes "
        f"{SEND_S[0]:g}-{SEND_S[1]:g} s; smallest pause found {smallest_s:.3f} s.",
        "Real claim, begin and record; messaging.clock() is a setting that one driver moves from event to "
        "event. The ideal has the very gaps that this run drew; the seed's loop is added up, not run.",
    ]


def _row(way: str, seconds: float, ideal_s: float) -> dict[str, Any]:
    return {"way": way, "hours": round(seconds / 3600, 3), "beside_ideal": round(seconds / ideal_s, 3)}


def _prepare(connection: Connection, driver: "Driver", campaign: Campaign, seed: int) -> None:
    connection.execute(_CLOCK)
    driver.set_clock(START)
    connection.execute("select setseed(%s)", [seed % 1_000_000 / 1_000_000])
    connection.execute(_NUMBERS, {"numbers": campaign.numbers})
    for first in range(0, campaign.messages, 1000):
        last = min(first + 1000, campaign.messages) - 1
        connection.execute(_MESSAGES, {"numbers": campaign.numbers, "first": first, "last": last})
    connection.execute("vacuum (analyze) messaging.outbox")


def _number(connection: Connection, query: str) -> float:
    found = connection.execute(query.encode()).fetchone()
    if found is None or found[0] is None:
        raise RuntimeError("the bench sent nothing")
    return float(found[0])


@dataclass
class Driver:
    """One worker in virtual time: at each moment it ends what is due, then claims; then the clock jumps."""

    connection: Connection
    random_: random.Random
    now: datetime = START
    under_way: list[tuple[datetime, int]] = field(default_factory=list)

    def set_clock(self, now: datetime) -> None:
        """What messaging.clock() says in this connection from now on."""
        self.now = now
        self.connection.execute("select set_config('bench.clock', %s, false)", [now.isoformat()])

    def run(self, messages: int) -> float:
        """Until so many are accepted; the virtual seconds from the first claim to the last acceptance."""
        left = messages
        while left := left - self._end_what_is_due():
            if not self._begin_what_is_ready():
                self.set_clock(self._next_event())
        return (self.now - START).total_seconds()

    def _end_what_is_due(self) -> int:
        ended = 0
        while self.under_way and self.under_way[0][0] <= self.now:
            _, attempt = heapq.heappop(self.under_way)
            self.connection.execute(
                "select * from messaging.record_attempt(%s, 'accepted', %s)", [attempt, f"M{attempt}"]
            )
            ended += 1
        return ended

    def _begin_what_is_ready(self) -> int:
        claimed = self.connection.execute(
            "select message_id, lease_token from messaging.claim('bench', %s)", [BATCH]
        ).fetchall()
        for message in claimed:
            begun = self.connection.execute(
                "select attempt_id from messaging.begin_attempt(%s, %s, 'bench')", message
            ).fetchone()
            if begun is None or begun[0] is None:
                raise RuntimeError("a message that was just claimed could not begin")
            ends_at = self.now + timedelta(seconds=self.random_.uniform(*SEND_S))
            heapq.heappush(self.under_way, (ends_at, begun[0]))
        return len(claimed)

    def _next_event(self) -> datetime:
        """The end of a send, or the moment at which a number is due."""
        found = self.connection.execute("select messaging.ready_in_s()").fetchone()
        events = [ends_at for ends_at, _ in self.under_way[:1]]
        if found is not None and found[0] is not None:
            # Rounded up to the clock's microsecond, or the number would not be due yet.
            events.append(self.now + timedelta(seconds=found[0]) + timedelta(microseconds=1))
        if not events:
            raise RuntimeError("messages are left and nothing will ever be due: a defect of the pacing")
        return max(min(events), self.now)
