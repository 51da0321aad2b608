"""Silence while the channel is proven alive, and the rule that a message fixed when it was enqueued."""

import uuid

import pytest

from tests.database.test_decisions import decisions
from tests.database.uncertain import (
    MINUTE_S,
    PERSON,
    SHORT_FORM,
    asked,
    evidence,
    gather,
    heard,
    outgoing,
    presume,
    quiet,
    status,
    uncertain,
)
from tests.database.world import HOUR_S, BentClock, World

NOTHING = ("provider_queue", "nothing")
SILENCE = ("silence", "nothing")
UNSENT = ("silence", "not_sent")


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number that sends at once, in a time that the test moves."""
    return world.number(gap=(0, 0))


@pytest.mark.parametrize("rule", ["hold", "drop"])
def test_silence_calls_nothing_unsent_where_the_machine_does_not_act_on_it(
    world: World, number: uuid.UUID, bent_clock: BentClock, rule: str
) -> None:
    """Every event of a message may be lost: whoever decides is told of the silence, with no verdict."""
    message = uncertain(world, number, on_unknown=rule)
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "unknown"
    assert evidence(world, message) == [NOTHING, SILENCE]
    assert [row["presumed"] for row in world.rows("select * from messaging.unknown_messages()")] == [None]
    assert "presumably not" not in world.value("select messaging.explain(%s) ->> 'because'", message)


def test_silence_says_not_sent_where_the_rule_is_to_send_again(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """It is evidence, kept with its source: what the one resend rests on."""
    message = uncertain(world, number, on_unknown="resend_once")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "queued"
    assert evidence(world, message) == [NOTHING, UNSENT]


def test_a_dead_channel_says_nothing(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """No other event since: perhaps nothing of that number reaches us."""
    message = uncertain(world, number)
    bent_clock.forward(60 * MINUTE_S)
    asked(world, message)
    presume(world, message)
    assert SILENCE not in evidence(world, message)
    heard(world, number)
    presume(world, message)
    assert SILENCE in evidence(world, message)


def test_another_number_proves_nothing_for_this_one(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Each number's channel is its own."""
    message = uncertain(world, number)
    heard(world, world.number())
    bent_clock.forward(15 * MINUTE_S)
    asked(world, message)
    presume(world, message)
    assert evidence(world, message) == [NOTHING]


def test_silence_takes_a_quarter_of_an_hour(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """A second before, it says nothing."""
    message = uncertain(world, number)
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(15 * MINUTE_S - 2)
    asked(world, message)
    presume(world, message)
    assert SILENCE not in evidence(world, message)
    bent_clock.forward(1)
    presume(world, message)
    assert SILENCE not in evidence(world, message), "the provider was asked before its time was over"
    asked(world, message)
    presume(world, message)
    assert SILENCE in evidence(world, message)


@pytest.mark.parametrize("fate", ["paused", "banned", "disconnected", "halted"])
def test_a_number_that_is_down_says_nothing(
    world: World, number: uuid.UUID, bent_clock: BentClock, fate: str
) -> None:
    """While it is not connected, or refused, nothing could be heard."""
    message = uncertain(world, number)
    quiet(world, number, bent_clock, message)
    if fate == "halted":
        world.value("select messaging.halt_instance(%s, 'token refused', 'test')", number)
    else:
        world.set_status(number, fate)
    presume(world, message)
    assert evidence(world, message) == [NOTHING]


def test_a_time_without_connection_does_not_count(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """What waited for the phone may leave when it is back: another quarter of an hour of events is asked
    for."""
    message = uncertain(world, number)
    heard(world, number)
    world.value("select messaging.record_health(%s, false)", number)
    bent_clock.forward(60 * MINUTE_S)
    world.value("select messaging.record_health(%s, true)", number)
    heard(world, number)
    asked(world, message)
    presume(world, message)
    assert SILENCE not in evidence(world, message)
    bent_clock.forward(15 * MINUTE_S)
    asked(world, message)
    presume(world, message)
    assert SILENCE in evidence(world, message)


def test_a_receipt_for_an_unknown_id_forbids_the_verdict(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """The person read something from this number, and all else that told of it was lost: it may be ours."""
    message = uncertain(world, number)
    status(world, number, "P1", "P0")
    quiet(world, number, bent_clock, message)
    assert (gather(world, message), presume(world, message)) == ("unknown", "unknown")
    assert evidence(world, message) == []


def test_a_receipt_for_what_a_hand_wrote_is_no_doubt(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Its echo shows other words: what was read was not ours."""
    message = uncertain(world, number)
    status(world, number, "P1")
    outgoing(world, number, "P1", sent_by="hand", text="Ligo já")
    quiet(world, number, bent_clock, message)
    presume(world, message)
    assert SILENCE in evidence(world, message)


@pytest.mark.parametrize("doubt", ["hand", "two", "late", "unsaid"])
def test_whatever_may_be_it_forbids_the_verdict(
    world: World, number: uuid.UUID, bent_clock: BentClock, doubt: str
) -> None:
    """Typed by hand with the same words, one of two, too late, or by nobody knows whom: neither sent nor
    unsent."""
    message = uncertain(world, number)
    if doubt == "late":
        bent_clock.forward(30 * MINUTE_S)
    outgoing(world, number, "P1", sent_by=doubt if doubt in ("hand", "unsaid") else "api", phone=SHORT_FORM)
    if doubt == "two":
        outgoing(world, number, "P2")
    quiet(world, number, bent_clock, message)
    assert (gather(world, message), presume(world, message)) == ("unknown", "unknown")
    assert evidence(world, message) == []


def test_what_says_something_else_is_no_doubt(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """The person was written to by hand, with other words: our message is still missing."""
    message = uncertain(world, number)
    outgoing(world, number, "P1", sent_by="hand", text="Ligo já")
    quiet(world, number, bent_clock, message)
    presume(world, message)
    assert SILENCE in evidence(world, message)


def test_an_unknown_that_came_with_an_id_is_never_presumed_unsent(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """The provider gave it an id: only its receipts speak."""
    message = world.enqueue(number, purpose="answer", phone=PERSON)
    world.record(world.begun(message), "unknown", p_provider_message_id="P1")
    quiet(world, number, bent_clock, message)
    presume(world, message)
    assert SILENCE not in evidence(world, message)


def test_silence_contradicted_later_confirms(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """Presumed is not certain: an echo of its own time, told late, settles it as sent."""
    message, at = uncertain(world, number), bent_clock.now()
    quiet(world, number, bent_clock, message)
    presume(world, message)
    outgoing(world, number, "P1", at=at)
    assert gather(world, message) == "accepted"
    assert evidence(world, message)[-1] == ("outgoing_event", "sent")


def test_hold_is_never_resent_by_machine(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """Silence or not: a person decides."""
    message = uncertain(world, number, on_unknown="hold")
    quiet(world, number, bent_clock, message)
    for _ in range(3):
        presume(world, message)
        bent_clock.forward(HOUR_S)
    assert (world.state(message), decisions(world, message)) == ("unknown", [])


def test_resend_once_goes_once(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """After recorded silence one resend, a decision of reconcile; uncertain again, it waits for a person."""
    message = uncertain(world, number, on_unknown="resend_once")
    assert presume(world, message) == "unknown"
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "queued"
    assert decisions(world, message) == [("resend", "reconcile", "its rule: once, after recorded silence")]
    world.record(world.begun(message), "unknown")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "unknown"
    assert len(decisions(world, message)) == 1
    assert [each for each in evidence(world, message) if each == UNSENT] == [UNSENT] * 2


def test_resend_once_is_not_added_to_a_persons_resend(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """At most two hand-overs by the rule: a person has used the second."""
    message = uncertain(world, number, on_unknown="resend_once")
    world.decide(message, "resend")
    world.record(world.begun(message), "unknown")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "unknown"
    assert [each[1] for each in decisions(world, message)] == ["Ana"]


def test_resend_once_ends_with_its_time(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """Past its expiry the rule sends nothing any more; a person still may."""
    message = uncertain(world, number, on_unknown="resend_once", expires_at="2025-06-10 12:10-03")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "unknown"
    assert world.decide(message, "resend") == "queued"


def test_drop_waits_for_its_end(world: World, number: uuid.UUID, bent_clock: BentClock) -> None:
    """Silence alone does not let it go: evidence may still come. Its expiry does."""
    message = uncertain(world, number, on_unknown="drop", expires_at="2025-06-10 13:00-03")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "unknown"
    bent_clock.forward(HOUR_S)
    world.value("select messaging.expire_due()")
    assert world.state(message) == "withdrawn"


@pytest.mark.audit_findings_expected
def test_the_rule_to_send_again_goes_once_although_its_decision_is_lost(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Two attempts that may have arrived are as many as there will be: they say so themselves."""
    message = uncertain(world, number, on_unknown="resend_once")
    quiet(world, number, bent_clock, message)
    assert presume(world, message) == "queued"
    world.record(world.begun(message), "unknown")
    world.rows("delete from messaging.decisions where message_id = %s returning id", message)
    quiet(world, number, bent_clock, message)

    assert presume(world, message) == "unknown"
