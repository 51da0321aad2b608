"""What happens to messages whose time is over, wherever they wait, and to unknowns that are let go."""

import pytest

from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.world import BentClock, World

PERSON = "5511987654321"
EXPIRE = "select messaging.expire_due(%s)"


def test_what_waited_too_long_expires_on_whatever_number(world: World, bent_clock: BentClock) -> None:
    """Queued on a number that is down, held behind an unknown, timed for later: expired at its time, not
    before."""
    down, busy = world.number(), world.number(gap=(0, 0))
    queued = world.enqueue(down)
    world.set_status(down, "paused")
    world.record(world.begun(world.enqueue(busy, phone=PERSON)), "unknown")
    held = world.enqueue(busy, phone=PERSON)
    world.claim()
    assert world.state(held) == "held"
    bent_clock.forward(6 * 3600 - 1)
    assert world.value(EXPIRE, 1000) == 0
    bent_clock.forward(1)
    assert world.value(EXPIRE, 1000) == 2
    for message in (queued, held):
        row = world.message(message)
        assert (row["dispatch_state"], row["reason"], row["held_by"]) == (
            "expired",
            "its time was over",
            None,
        )


def test_an_expired_message_is_never_claimed_even_without_the_sweep(
    world: World, bent_clock: BentClock
) -> None:
    """The claim itself puts it away, and takes the next one in the same call."""
    number = world.number()
    late = world.enqueue(number)
    bent_clock.forward(6 * 3600)
    fresh = world.enqueue(number)
    assert [row.message_id for row in world.claim()] == [fresh]
    assert world.state(late) == "expired"


def test_what_is_in_flight_does_not_expire(world: World, bent_clock: BentClock) -> None:
    """Leased and sending messages have a worker that says how they end."""
    number, other = world.number(), world.number()
    sending = world.enqueue(number, expires_at=bent_clock.now().replace(second=30))
    attempt = world.begun(sending)
    leased = world.enqueue(other, expires_at=bent_clock.now().replace(second=30))
    world.claim()
    bent_clock.forward(40)
    assert world.value(EXPIRE, 1000) == 0
    assert (world.state(sending), world.state(leased)) == ("sending", "leased")
    assert world.record(attempt)["dispatch_state"] == "accepted"


UNKNOWNS = {"hold": "unknown", "resend_once": "unknown", "drop": "withdrawn"}


@pytest.mark.parametrize(("rule", "state"), UNKNOWNS.items())
def test_an_unknown_at_its_end_follows_its_rule(
    world: World, bent_clock: BentClock, rule: str, state: str
) -> None:
    """drop lets it go and releases what it held; the others stay for evidence or a person."""
    number = world.number(gap=(0, 0))
    unknown = world.enqueue(number, phone=PERSON, on_unknown=rule)
    world.record(world.begun(unknown), "unknown")
    behind = world.enqueue(number, phone=PERSON, expires_at=bent_clock.now().replace(day=12))
    world.claim()
    bent_clock.forward(7 * 3600)
    world.value(EXPIRE, 1000)
    assert (world.state(unknown), world.state(behind)) == (state, "held" if state == "unknown" else "queued")
    assert [row.message_id for row in world.claim()] == ([] if state == "unknown" else [behind])


def test_the_sweep_goes_on_where_its_limit_stopped_it(world: World, bent_clock: BentClock) -> None:
    """Thousands are swept in bites; every number that lost its queue sleeps."""
    numbers = [world.number() for _ in range(3)]
    world.enqueue_many([world.wanted(number) for number in numbers * 10])
    bent_clock.forward(6 * 3600)
    swept = [world.value(EXPIRE, 8) for _ in range(6)]
    assert (sum(swept), swept[-1]) == (30, 0)
    assert all(world.sender(number)["ready_at"] is None for number in numbers)


def test_the_sweep_waits_for_a_claim_and_leaves_what_it_took(
    world: World, another: Worlds, bent_clock: BentClock
) -> None:
    """claim first: it expires the message itself; the sweep that waited finds nothing left to do."""
    number = world.number()
    late = world.enqueue(number)
    bent_clock.forward(6 * 3600)
    claimer, sweeper = another(), another()
    with claimer.connection.transaction():
        assert claimer.claim() == []
        waiting = Waiting(sweeper, world, lambda: sweeper.value(EXPIRE, 1000))
        assert waiting.is_waiting
    assert (waiting.result(), world.state(late)) == (0, "expired")
