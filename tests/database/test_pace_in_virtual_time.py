"""The pace of numbers over hours, in the database's own bent clock: several workers, some of which die."""

import heapq
import random
from collections.abc import Iterator
from itertools import count, pairwise

import pytest

from tests.database.test_uniformity import chi_square_p
from tests.database.world import BentClock, World

GAP_MIN_S, GAP_MAX_S = 25.0, 45.0
BINS = 10


def send_all(world: World, clock: BentClock, *, workers: int, deaths: int, seed: int) -> int:
    """Every due message is claimed by some worker, begun, and recorded 0.3 to 2 s later, until nothing is
    due; at `deaths` random moments a worker forgets what it holds. How many attempts were left begun."""
    source = random.Random(seed)
    world.rows("select setseed(%s)", 1 / (1 + seed))
    waiting = world.value("select count(*) from messaging.outbox")
    dying = set(source.sample(range(int(waiting * 0.9)), deaths))
    endings: list[tuple[object, int]] = []
    claims = count()
    left_begun = 0
    while True:
        for claimed in world.claim(worker=f"w{source.randrange(workers)}"):
            dies = next(claims) in dying
            if dies and source.random() < 0.5:
                continue
            attempt = world.begin(claimed)["attempt_id"]
            if dies:
                left_begun += 1
                continue
            ends_at = world.value(
                "select now + make_interval(secs => %s) from messaging.bent_clock", source.uniform(0.3, 2)
            )
            heapq.heappush(endings, (ends_at, attempt))
        due = world.value("select min(ready_at) from messaging.senders")
        if not endings and due is None:
            return left_begun
        if endings and (due is None or endings[0][0] <= due):
            ends_at, attempt = heapq.heappop(endings)
            clock.move_to(max(ends_at, clock.now()))
            world.record(attempt, source.choices(["accepted", "rejected", "unknown"], [90, 5, 5])[0])
        else:
            clock.move_to(max(due, clock.now()))


def distances(world: World) -> Iterator[float]:
    """Seconds between the begins of neighbouring paced attempts of the same number."""
    rows = world.rows(
        "select instance_id, begun_at from messaging.attempts order by instance_id, begun_at, id"
    )
    for earlier, later in pairwise(rows):
        if earlier["instance_id"] == later["instance_id"]:
            yield (later["begun_at"] - earlier["begun_at"]).total_seconds()


@pytest.mark.parametrize(
    ("numbers", "each", "workers", "deaths"),
    [
        pytest.param(
            1, 100, 3, 3, id="commit",
            marks=pytest.mark.scoreboard("R7", tier="commit", small=True),
        ),
        pytest.param(
            5, 500, 8, 20, id="landing",
            marks=[pytest.mark.slow, pytest.mark.scoreboard("R7", tier="landing")],
        ),
    ],
)  # fmt: skip
def test_paced_messages_keep_25_to_45_seconds_whoever_sends_and_whoever_dies(
    *, world: World, bent_clock: BentClock, numbers: int, each: int, workers: int, deaths: int
) -> None:
    """Hours of virtual time: no two begins of a number closer than 25 s; every gap that was promised lies in
    25-45 s and was kept; the gaps are spread evenly between (p > 0.001, fixed seed)."""
    for _ in range(numbers):
        number = world.number()
        world.enqueue_many(world.wanted(number, expires_at="2025-06-15T00:00:00Z") for _ in range(each))
    left_begun = send_all(world, bent_clock, workers=workers, deaths=deaths, seed=7)

    between = list(distances(world))
    gaps = [
        float(row["gap_s"])
        for row in world.rows("select gap_s from messaging.attempts where gap_s is not null")
    ]
    counted = [0] * BINS
    for gap in gaps:
        counted[min(int((gap - GAP_MIN_S) / (GAP_MAX_S - GAP_MIN_S) * BINS), BINS - 1)] += 1
    spread = chi_square_p(counted)
    print(
        f"{len(between)} distances, the smallest {min(between):.3f} s; {len(gaps)} gaps"
        f" {min(gaps):.2f}-{max(gaps):.2f} s, spread p = {spread:.3f}; {deaths} deaths, {left_begun} begun"
    )
    assert len(between) == numbers * (each - 1)
    assert min(between) >= GAP_MIN_S
    assert GAP_MIN_S <= min(gaps) <= max(gaps) <= GAP_MAX_S
    assert spread > 0.001
    assert world.value("select count(*) from messaging.outbox where dispatch_state = 'unknown'") >= left_begun
    assert world.findings() == set()
