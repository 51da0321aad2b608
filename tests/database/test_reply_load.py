"""What many answers do to the bulk lane of a number: hours of it in virtual time, which the test alone moves.

The driver jumps to whatever comes next: an answer to enqueue, a send that ends, or the number's next slot.
"""

import heapq
import itertools
import random
import uuid
from collections.abc import Iterator

import pytest

from tests.database.world import BentClock, World

pytestmark = pytest.mark.slow

SEND_S = 1.0


def regular(per_hour: float) -> Iterator[float]:
    """Arrivals at even distances."""
    return (n * 3600 / per_hour for n in itertools.count(1))


def poisson(per_hour: float) -> Iterator[float]:
    """Arrivals that know nothing of each other, with a fixed seed."""
    source = random.Random(17)
    return itertools.accumulate(source.expovariate(per_hour / 3600) for _ in itertools.count())


class Simulation:
    """One number with a bulk backlog, and answers that arrive; `begun` are the seconds at which bulk
    messages began."""

    def __init__(self, world: World, clock: BentClock, answers: Iterator[float]) -> None:
        self.world, self.clock, self.answers = world, clock, answers
        self.now = 0.0
        self.begun: list[float] = []
        self.answered = 0
        self._ends: list[tuple[float, int]] = []
        world.rows("select setseed(0.5)")
        self.number: uuid.UUID = world.number()
        bulk = world.purpose("news")
        world.enqueue_many(world.wanted(self.number, purpose=bulk) for _ in range(150))

    def run(self, seconds: float) -> "Simulation":
        """Lets so much virtual time pass."""
        answer = next(self.answers)
        while self.now < seconds:
            self._take()
            ready = self.world.value("select messaging.ready_in_s()")
            waits = [
                answer,
                *(end for end, _ in self._ends[:1]),
                *([] if ready is None else [self.now + ready]),
            ]
            # A microsecond more than the floating point wait, or the clock stands still just before the slot.
            step = max(min(waits) - self.now, 0) + 1e-6
            self.clock.forward(step)
            self.now += step
            while self._ends and self._ends[0][0] <= self.now:
                self.world.record(heapq.heappop(self._ends)[1])
            while answer <= self.now:
                self.world.reply(self.number, f"55119{90_000_000 + self.answered % 500:08d}")
                self.answered += 1
                answer = next(self.answers)
        return self

    def _take(self) -> None:
        for claimed in self.world.claim():
            begun = self.world.begin(claimed)
            heapq.heappush(self._ends, (self.now + SEND_S, begun["attempt_id"]))
            if claimed.lane == "bulk":
                self.begun.append(self.now)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the begins of two bulk messages."""
        return [later - earlier for earlier, later in itertools.pairwise(self.begun)]

    @property
    def share(self) -> float:
        """Which part of the free rate (a gap of 35 s on average, and the send) the bulk lane keeps."""
        return (35 + SEND_S) / (sum(self.gaps) / len(self.gaps))


def test_without_answers_the_gaps_are_as_promised(world: World, bent_clock: BentClock) -> None:
    """Each 25 to 45 s after the end of the one before, 35 s on average."""
    free = Simulation(world, bent_clock, iter([float("inf")])).run(3600)
    assert len(free.gaps) > 90
    assert all(25 + SEND_S <= gap <= 45 + SEND_S + 0.001 for gap in free.gaps)
    assert free.share == pytest.approx(1, abs=0.05)


ARRIVALS = {"regular": regular, "poisson": poisson}


@pytest.mark.parametrize("kind", ARRIVALS)
@pytest.mark.parametrize("minutes", [30, pytest.param(180, marks=pytest.mark.slow)])
def test_600_answers_an_hour_leave_the_bulk_lane_80_percent(
    world: World, bent_clock: BentClock, kind: str, minutes: int
) -> None:
    """A chatty evening costs the backlog at most a fifth of its pace, and every answer leaves at once."""
    busy = Simulation(world, bent_clock, ARRIVALS[kind](600)).run(60 * minutes)
    assert busy.share >= 0.8
    assert busy.answered > 8 * minutes
    waited = world.value(
        "select max(a.begun_at - o.not_before) from messaging.attempts as a"
        " join messaging.outbox as o on o.id = a.message_id where a.lane = 'reply'"
    )
    assert waited.total_seconds() <= SEND_S


@pytest.mark.parametrize("kind", ARRIVALS)
def test_twice_as_many_answers_still_let_the_bulk_lane_move(
    world: World, bent_clock: BentClock, kind: str
) -> None:
    """At 1,200 an hour no message waits more than 120 s beyond its time: a fifth of the pace is left at
    the worst."""
    busy = Simulation(world, bent_clock, ARRIVALS[kind](1200)).run(1200)
    assert max(busy.gaps) <= 45 + SEND_S + 120 + 0.001
    assert busy.share >= {"regular": 0.2, "poisson": 0.6}[kind]
