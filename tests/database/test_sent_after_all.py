"""A message was to go again, expired before it could, and then its first attempt turns out to have left."""

import uuid

import pytest

from tests.database.uncertain import PERSON, attempt_of, evidence, gather, outgoing
from tests.database.world import BentClock, World

EVIDENCE = ["receipt", "echo", "late answer"]


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number of the house."""
    return world.number()


def expired_resend(world: World, number: uuid.UUID, bent_clock: BentClock) -> int:
    """A welcome of which we could not tell, to go again by a person's decision, which nothing carried in
    time."""
    message = world.enqueue(number, phone=PERSON, profile_id=world.profile(PERSON), purpose="welcome")
    world.begun(message)
    bent_clock.forward(5 * 60)
    world.claim()
    world.decide(message, "resend")
    world.set_status(number, "paused")
    bent_clock.move_to(world.message(message)["expires_at"])
    world.value("select messaging.expire_due()")
    assert world.state(message) == "expired"
    return message


def tell(world: World, number: uuid.UUID, message: int, by: str) -> None:
    """It comes to be known that the first attempt was sent."""
    if by == "receipt":
        attempt = attempt_of(world, message)
        world.rows("update messaging.attempts set provider_message_id = 'P1' where id = %s", attempt)
        world.receipt(number, "P1", "read")
    elif by == "echo":
        outgoing(world, number, "P1", at=world.message(message)["created_at"])
        gather(world, message)
    else:
        world.record(attempt_of(world, message), p_provider_message_id="P1")


@pytest.mark.parametrize("by", EVIDENCE)
def test_it_is_accepted_with_its_effect_once(
    world: World, number: uuid.UUID, bent_clock: BentClock, by: str
) -> None:
    """However it comes to be known, and told twice: `why` says that it was sent, the history has it once."""
    message = expired_resend(world, number, bent_clock)
    for _ in range(2):
        tell(world, number, message, by)
    told = world.value("select messaging.explain(%s)", message)
    assert (told["dispatch_state"], told["expected_at"]) == ("accepted", None)
    assert told["because"].endswith(": the first attempt was sent")
    assert [(each["from"], each["to"]) for each in told["history"]][-2:] == [
        ("queued", "expired"),
        ("expired", "accepted"),
    ]
    assert world.value("select count(*) from public.messages") == 1


def test_it_is_looked_for_after_the_end(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """The hourly run looks at such a message too, for a day."""
    message = expired_resend(world, number, bent_clock)
    take = "select message_id from messaging.take_unknowns(true)"
    assert world.rows(take) == [{"message_id": message}]
    bent_clock.forward(24 * 3600)
    assert world.rows(take) == []


def test_a_failure_leaves_it_expired(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """What the provider took and could not deliver was not sent."""
    message = expired_resend(world, number, bent_clock)
    world.rows("update messaging.attempts set provider_message_id = 'P1'")
    world.receipt(number, "P1", "failed")
    assert (world.state(message), evidence(world, message)) == ("expired", [("receipt", "not_sent")])


@pytest.mark.parametrize("by", EVIDENCE)
def test_without_its_text_it_stays_as_it_is(
    world: World, number: uuid.UUID, bent_clock: BentClock, by: str
) -> None:
    """Where retention or an erasure was faster nothing is written into the app, and the evidence stands."""
    message = expired_resend(world, number, bent_clock)
    bent_clock.forward(31 * 24 * 3600)
    world.value("select messaging.forget('texts', 30, 100)")
    assert world.message(message)["text_removed_at"] is not None
    tell(world, number, message, by)
    assert world.state(message) == "expired"
    assert world.value("select count(*) from public.messages") == 0


def test_how_often_something_ran_out_of_time_never_falls(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Keys are made of that count: one that came back would be taken for a message that was sent already."""
    message = expired_resend(world, number, bent_clock)
    count = (
        "select messaging.times_expired(o.purpose, o.profile_id, o.created_at - interval '1 s')"
        " from messaging.outbox as o where o.id = %s"
    )
    assert world.value(count, message) == 1
    tell(world, number, message, "receipt")
    assert (world.state(message), world.value(count, message)) == ("accepted", 1)
