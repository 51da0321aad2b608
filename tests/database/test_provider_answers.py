"""What providers answer when they are asked: what they stored as sent, and what waits in their queue."""

import json
import uuid

import pytest

from tests.database.test_decisions import DECIDE
from tests.database.uncertain import (
    PERSON,
    asked,
    attempt_of,
    delivery,
    evidence,
    gather,
    outgoing,
    presume,
    quiet,
    trace,
    uncertain,
)
from tests.database.world import BentClock, World

CONFLICT = "WP004"
INVALID = "WP003"
NOTHING = ("provider_queue", "nothing")


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number that sends at once, in a time that the test moves."""
    return world.number(gap=(0, 0))


def test_what_the_provider_stored_as_sent_confirms(world: World, number: uuid.UUID) -> None:
    """Found by a search, with its time and text."""
    message = uncertain(world, number)
    found = trace("P1", at=None, happened_at="2025-06-10T15:00:03Z")
    assert asked(world, message, found, source="provider_search") == 0
    assert gather(world, message) == "accepted"
    assert evidence(world, message) == [("provider_search", "sent")]


def test_what_waits_in_the_queue_is_known_by_its_id_and_stays_unknown(
    world: World, number: uuid.UUID
) -> None:
    """It has not left: it takes the id, so that its delivery settles it, and may not be sent again
    meanwhile."""
    message = uncertain(world, number)
    asked(world, message, trace("P1"))
    assert gather(world, message) == "unknown"
    assert evidence(world, message) == [("provider_queue", "waiting")]
    assert world.refusal(DECIDE, message, "resend", "Ana") == CONFLICT
    assert "waits in the provider's queue" in world.value(
        "select messaging.explain(%s) ->> 'because'", message
    )
    delivery(world, number, "P1")
    assert world.state(message) == "accepted"


def purged(world: World, number: uuid.UUID, *provider_ids: str) -> None:
    """The number goes down, and a worker empties its provider's queue."""
    world.value("select messaging.set_instance_status(%s, 'disconnected', 'test')", number)
    [row] = world.rows("select return_token from messaging.take_returns()")
    entries = json.dumps([{"message_id": one, "phone": PERSON, "text": "Oi"} for one in provider_ids])
    world.value("select messaging.note_queue(%s, %s, %s)", number, row["return_token"], entries)
    finish = "select * from messaging.finish_return(%s, %s, %s)"
    world.rows(finish, number, row["return_token"], len(provider_ids))


@pytest.mark.parametrize("by", ["withdrawal", "purge"])
def test_what_was_taken_out_of_the_queue_waits_there_no_more(
    world: World, number: uuid.UUID, bent_clock: BentClock, by: str
) -> None:
    """Looking again at what we knew before does not put it back: it is not withdrawn over and over, and its
    rule, or a person, may send it again. Should the provider still have it, it waits again."""
    message = uncertain(world, number, on_unknown="resend_once")
    asked(world, message, trace("P1"))
    gather(world, message)
    bent_clock.forward(1)
    if by == "purge":
        purged(world, number, "P1")
    else:
        world.value("select messaging.note_withdrawn(%s)", attempt_of(world, message))
    bent_clock.forward(1)

    assert gather(world, message) == "unknown"
    assert not world.value("select messaging.waits_at_provider(%s)", message)
    assert world.value("select messaging.presumed(%s)", message) == "not_sent"
    bent_clock.forward(1)
    asked(world, message, trace("P1"))
    gather(world, message)
    assert world.value("select messaging.waits_at_provider(%s)", message)
    assert presume(world, message) == "unknown"
    asked(world, message)
    world.value("select messaging.note_withdrawn(%s)", attempt_of(world, message))
    bent_clock.forward(1)
    assert (gather(world, message), presume(world, message)) == ("unknown", "queued")


def test_the_echo_of_what_waited_in_the_queue_confirms(world: World, number: uuid.UUID) -> None:
    """Its delivery was lost, its echo came."""
    message = uncertain(world, number)
    asked(world, message, trace("P1"))
    gather(world, message)
    outgoing(world, number, "P1")
    assert gather(world, message) == "accepted"


def test_what_left_the_queue_without_a_word_is_neither(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Sent, or withdrawn by somebody: the queue cannot tell; so no silence, and a person may resend."""
    message = uncertain(world, number)
    asked(world, message, trace("P1"))
    gather(world, message)
    quiet(world, number, bent_clock, message)
    assert (gather(world, message), presume(world, message)) == ("unknown", "unknown")
    assert evidence(world, message) == [("provider_queue", "waiting"), NOTHING]
    assert world.decide(message, "resend") == "queued"


def test_what_was_dropped_while_it_waits_is_to_be_withdrawn_there(world: World, number: uuid.UUID) -> None:
    """Asked for until the provider says that it did; a message that is not dropped is never withdrawn."""
    message = uncertain(world, number)
    asked(world, message, trace("P1"))
    gather(world, message)
    take = "select withdraw_queue_id, attempt_id from messaging.take_unknowns(true)"
    assert [row["withdraw_queue_id"] for row in world.rows(take)] == [None]
    world.decide(message, "drop")
    rows = world.rows(take)
    assert [row["withdraw_queue_id"] for row in rows] == ["ZP1"]
    world.value("select messaging.note_withdrawn(%s)", rows[0]["attempt_id"])
    assert [row["withdraw_queue_id"] for row in world.rows(take)] == [None]
    assert evidence(world, message)[-1] == ("provider_queue", "not_sent")


def test_odd_answers_are_refused(world: World, number: uuid.UUID) -> None:
    """A source that is none, and attempts of two numbers in one answer."""
    note = "select messaging.note_traces(array(select id from messaging.attempts), %s, '[]')"
    uncertain(world, number)
    assert world.refusal(note, "hearsay") == INVALID
    uncertain(world, world.number(gap=(0, 0)))
    assert world.refusal(note, "provider_queue") == INVALID
