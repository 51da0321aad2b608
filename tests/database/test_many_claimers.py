"""64 claimers over one queue: every message goes to exactly one of them, and none is passed over for good."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from tests.database.world import Connect, Connection, World

CLAIMERS = 64
NUMBERS = 200
# Three times 64 are fewer than the numbers: there is something to take for everybody.
BATCH = 3

_NUMBERS = """
    select messaging.add_instance('Number ' || n, 'I' || n, 'T' || n, 'C' || n, 'test')
    from generate_series(1, %s) as n
"""
_MESSAGES = """
    select count(*) from messaging.enqueue_many((
        select jsonb_agg(jsonb_build_object(
            'purpose', 'direct', 'phone', '55119' || lpad(m::text, 8, '0'), 'dedupe_key', 'many:' || m,
            'enqueued_by', 'test', 'content', jsonb_build_object('kind', 'text', 'text', 'oi'),
            'instance_id', (%s::uuid[])[1 + m %% %s]
        ))
        from generate_series(%s::integer, %s::integer - 1) as m
    ))
"""
_ANYTHING = "select exists (select from messaging.outbox where dispatch_state = 'queued')"
_CLAIM = "select message_id, lease_token from messaging.claim('test', %s)"
_BEGIN = "select attempt_id, refusal from messaging.begin_attempt(%s, %s, 'test')"
_RECORD = "select dispatch_state from messaging.record_attempt(%s, 'accepted', %s)"


@pytest.mark.own_database
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(2_000, id="2k", marks=pytest.mark.scoreboard("R1", tier="commit", small=True)),
        pytest.param(
            10_000, id="10k", marks=[pytest.mark.slow, pytest.mark.scoreboard("R1", tier="landing")]
        ),
    ],
)
def test_64_claimers_share_the_queue_without_overlap_and_pass_over_nobody(
    world: World, connect: Connect, messages: int
) -> None:
    """Each claims, begins and records until nothing is queued: every message was leased once, to one of them,
    each begin was let through, and in the end all are accepted."""
    instances = [row[0] for row in world.connection.execute(_NUMBERS, [NUMBERS]).fetchall()]
    _without_gap(world, instances)
    for start in range(0, messages, 1000):
        world.value(_MESSAGES, instances, NUMBERS, start, start + 1000)
    gate = threading.Barrier(CLAIMERS)

    def work(claimer: Connection) -> list[int]:
        gate.wait(60)
        return list(_take_all(claimer))

    with ThreadPoolExecutor(CLAIMERS) as pool:
        taken = list(pool.map(work, [connect() for _ in range(CLAIMERS)]))
    times = Counter(message_id for mine in taken for message_id in mine)
    assert len(times) == messages
    assert set(times.values()) == {1}
    assert world.value("select count(*) from messaging.outbox where dispatch_state = 'accepted'") == messages
    print(f"{messages} messages, from {min(map(len, taken))} to {max(map(len, taken))} a claimer")


def _take_all(claimer: Connection) -> Iterator[int]:
    """What one claimer leases until nothing is queued; each is begun and recorded."""
    while claimer.execute(_ANYTHING).fetchone() == (True,):
        for message_id, lease_token in claimer.execute(_CLAIM, [BATCH]).fetchall():
            yield message_id
            begun = claimer.execute(_BEGIN, [message_id, lease_token]).fetchone()
            assert begun is not None
            assert begun[1] is None, begun[1]
            claimer.execute(_RECORD, [begun[0], f"M{message_id}"])


def _without_gap(world: World, instances: list[UUID]) -> None:
    world.value(
        "select count(messaging.set_gaps(i, 0, 0, 'test', 0.01, 1)) from unnest(%s::uuid[]) as i", instances
    )
