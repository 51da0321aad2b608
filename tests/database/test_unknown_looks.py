"""When evidence is looked for, when somebody is told, and when what was seen is forgotten."""

import uuid

import pytest

from tests.database.uncertain import MINUTE_S, evidence, gather, outgoing, uncertain
from tests.database.world import HOUR_S, BentClock, World


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number that sends at once, in a time that the test moves."""
    return world.number(gap=(0, 0))


def test_each_unknown_is_looked_at_once_a_minute_then_once_an_hour(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """By one worker; on demand always."""
    message = uncertain(world, number)

    def taken(everything: bool = False) -> list[int]:
        rows = world.rows("select message_id from messaging.take_unknowns(%s)", everything)
        return [row["message_id"] for row in rows]

    assert (taken(), taken(), taken(everything=True)) == ([message], [], [message])
    bent_clock.forward(MINUTE_S)
    assert (taken(), taken()) == ([message], [])
    bent_clock.forward(HOUR_S)
    assert (taken(), taken()) == ([message], [])
    bent_clock.forward(30 * MINUTE_S)
    assert taken() == []
    bent_clock.forward(30 * MINUTE_S)
    assert taken() == [message]


def test_who_is_uncertain_for_an_hour_is_told_once(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Told, it is no finding after a day; untold, it is (I11). Uncertain again after a resend, it is told
    again."""
    message = uncertain(world, number)
    tell = "select message_id from messaging.tell_unknowns()"
    assert world.rows(tell) == []
    bent_clock.forward(25 * HOUR_S)
    assert world.findings() == {"unknown_untold"}
    assert world.rows(tell) == [{"message_id": message}]
    assert (world.rows(tell), world.findings()) == ([], set())
    bent_clock.forward(MINUTE_S)
    world.decide(message, "resend")
    world.record(world.begun(message), "unknown")
    bent_clock.forward(25 * HOUR_S)
    assert world.findings() == {"unknown_untold"}
    assert world.rows(tell) == [{"message_id": message}]


def test_sightings_are_forgotten_after_a_week(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """They hold a person's phone; evidence that was found in them stays."""
    message = uncertain(world, number)
    outgoing(world, number, "P1")
    gather(world, message)
    bent_clock.forward(8 * 24 * HOUR_S)
    world.rows("select * from messaging.tell_unknowns()")
    assert world.value("select count(*) from messaging.sightings") == 0
    assert evidence(world, message) == [("outgoing_event", "sent")]
