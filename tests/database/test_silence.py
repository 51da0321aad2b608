"""What providers answer when they are asked, silence while the channel is proven alive, and the rule that a
message fixed when it was enqueued."""

import json
import uuid

import pytest

from tests.database.test_decisions import DECIDE, decisions
from tests.database.uncertain import (
    MINUTE_S,
    PERSON,
    SHORT_FORM,
    asked,
    attempt_of,
    delivery,
    evidence,
    gather,
    heard,
    outgoing,
    presume,
    status,
    trace,
    uncertain,
)
from tests.database.world import HOUR_S, BentClock, World

CONFLICT, INVALID = "WP004", "WP003"
NOTHING, SILENCE = ("provider_queue", "nothing"), ("silence", "nothing")
UNSENT = ("silence", "not_sent")


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number that sends at once, in a time that the test moves."""
    return world.number(gap=(0, 0))


def quiet(world: World, number: uuid.UUID, bent_clock: BentClock, message: int) -> None:
    """A quarter of an hour in which others write and nothing is seen of the message; its provider has
    nothing."""
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(15 * MINUTE_S - 1)
    asked(world, message)


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
