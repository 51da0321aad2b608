"""What was seen to leave a number is matched with what we cannot tell of: one message and one sighting, or no
verdict."""

import uuid
from typing import Any

import pytest

from tests.database.states import in_state
from tests.database.uncertain import (
    MINUTE_S,
    PERSON,
    SHORT_FORM,
    attempt_of,
    delivery,
    evidence,
    gather,
    outgoing,
    uncertain,
)
from tests.database.world import HOUR_S, BentClock, World

SEEN = ("outgoing_event", "sent")


@pytest.fixture
def number(world: World, bent_clock: BentClock) -> uuid.UUID:
    """A number that sends at once, in a time that the test moves."""
    return world.number(gap=(0, 0))


@pytest.mark.parametrize("phone", [PERSON, SHORT_FORM])
@pytest.mark.parametrize("event", ["echo", "delivery"])
def test_one_sighting_confirms(world: World, number: uuid.UUID, phone: str, event: str) -> None:
    """The echo with the text, or the delivery without one, under either form of the phone: accepted, with the
    provider's id, so that later receipts apply."""
    message = uncertain(world, number)
    if event == "echo":
        outgoing(world, number, "P1", phone=phone)
    else:
        delivery(world, number, "P1", phone=phone)
    assert world.state(message) == "unknown"
    assert gather(world, message) == "accepted"
    assert SEEN in evidence(world, message)
    assert world.receipt(number, "P1", "read") == message
    assert world.message(message)["delivery_state"] == "read"


def test_repeating_changes_nothing(world: World, number: uuid.UUID) -> None:
    """Gathering twice gives the same state and one row of evidence."""
    message = uncertain(world, number)
    outgoing(world, number, "P1")
    assert [gather(world, message), gather(world, message)] == ["accepted", "accepted"]
    assert evidence(world, message) == [SEEN]


NOT_THE_MESSAGE: dict[str, dict[str, Any]] = {
    "another text": {"text": "Tudo bem?"},
    "typed by hand, with the same text": {"sent_by": "hand"},
    "nobody says who sent it": {"sent_by": "unsaid"},
    "another person": {"phone": "5511912345678"},
    "a picture": {"kind": "image", "text": None},
    "before its time": {"at": "2025-06-10 11:59:54-03"},
    "after its time": {"at": "2025-06-10 12:15:01-03"},
}


@pytest.mark.parametrize("facts", NOT_THE_MESSAGE.values(), ids=list(NOT_THE_MESSAGE))
def test_what_cannot_be_it_confirms_nothing(world: World, number: uuid.UUID, facts: dict[str, Any]) -> None:
    """Another text, a hand, another person, another kind, another time: it stays unknown."""
    message = uncertain(world, number)
    outgoing(world, number, "P1", **facts)
    assert gather(world, message) == "unknown"
    assert evidence(world, message) == []


@pytest.mark.parametrize("at", ["2025-06-10 11:59:56-03", "2025-06-10 12:14:59-03"])
def test_the_window_is_five_seconds_before_to_fifteen_minutes_after(
    world: World, number: uuid.UUID, at: str
) -> None:
    """The provider's clock may be a little early, and its queue slow."""
    message = uncertain(world, number)
    outgoing(world, number, "P1", at=at)
    assert gather(world, message) == "accepted"


def test_a_late_event_counts_by_when_it_happened(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """Told an hour later, of the time of the attempt: it is the message."""
    message, at = uncertain(world, number), bent_clock.now()
    bent_clock.forward(60 * MINUTE_S)
    outgoing(world, number, "P1", at=at)
    assert gather(world, message) == "accepted"


def test_another_number_or_tenant_confirms_nothing(world: World, number: uuid.UUID) -> None:
    """The same person and text from another number, or one of another tenant: not this message."""
    message = uncertain(world, number)
    outgoing(world, world.number(), "P1")
    world.client_numbers(1)
    others = world.value("select id from public.whatsapp_instances where agency_id is not null")
    world.rows(
        "select * from messaging.accept_agency_event(%s, 'e1', 'message', '{}', p_phone => %s,"
        " p_text => 'Oi', p_message_kind => 'text', p_from_me => true, p_receipt_ids => array['P2'],"
        " p_sent_by => 'api')",
        others,
        PERSON,
    )
    assert world.value("select count(*) from messaging.sightings") == 2
    assert gather(world, message) == "unknown"


def test_two_sightings_are_no_verdict(world: World, number: uuid.UUID) -> None:
    """Which of them it was cannot be told; and nothing says that it was not sent."""
    message = uncertain(world, number)
    outgoing(world, number, "P1")
    outgoing(world, number, "P2")
    assert gather(world, message) == "unknown"


def test_two_messages_are_no_verdict(world: World, number: uuid.UUID) -> None:
    """Two uncertain messages with one text to one person: one sighting confirms neither."""
    messages = [uncertain(world, number) for _ in range(2)]
    outgoing(world, number, "P1")
    assert [gather(world, each) for each in messages] == ["unknown", "unknown"]


def test_texts_tell_two_messages_apart(world: World, number: uuid.UUID) -> None:
    """With its text each sighting fits one message only."""
    messages = [uncertain(world, number, text) for text in ("Bom dia", "Boa noite")]
    for place, text in enumerate(("Bom dia", "Boa noite")):
        outgoing(world, number, f"P{place}", text=text)
        delivery(world, number, f"P{place}")
    assert [gather(world, each) for each in messages] == ["accepted", "accepted"]


def test_a_message_in_flight_is_a_candidate_too(world: World, number: uuid.UUID) -> None:
    """What left may be the one whose answer is still on its way: no verdict before that has come."""
    message = uncertain(world, number)
    flying = world.enqueue(number, phone=PERSON, purpose="answer")
    attempt = world.begun(flying)
    outgoing(world, number, "P1")
    assert gather(world, message) == "unknown"
    world.record(attempt, p_provider_message_id="P1")
    assert gather(world, message) == "unknown"
    assert world.state(flying) == "accepted"


def test_an_id_that_is_taken_confirms_nothing_else(world: World, number: uuid.UUID) -> None:
    """The echo of a message that was accepted is that message's."""
    accepted = world.enqueue(number, phone=PERSON, purpose="answer")
    world.record(world.begun(accepted), p_provider_message_id="P1")
    message = uncertain(world, number)
    outgoing(world, number, "P1")
    assert gather(world, message) == "unknown"


def test_the_echo_and_the_delivery_of_one_message_are_one_sighting(world: World, number: uuid.UUID) -> None:
    """And where the echo shows a hand, or another text, the delivery does not confirm either."""
    message = uncertain(world, number)
    delivery(world, number, "P1")
    outgoing(world, number, "P1", sent_by="hand")
    assert gather(world, message) == "unknown"
    other = uncertain(world, number, phone="5511955554444")
    delivery(world, number, "P2", phone="5511955554444")
    outgoing(world, number, "P2", phone="5511955554444", text="Outra coisa")
    assert gather(world, other) == "unknown"


def test_white_space_and_the_line_of_a_trial_account_are_no_other_text(
    world: World, number: uuid.UUID
) -> None:
    """Providers trim, and a trial account says that it is one."""
    message = uncertain(world, number, "  Oi,\r\nAna ")
    outgoing(world, number, "P1", text="[MENSAGEM DE TESTE: CONTA EM PERÍODO DE AVALIAÇÃO]\nOi,\nAna")
    assert gather(world, message) == "accepted"


def test_a_definite_failure_of_what_is_recognised_rejects(world: World, number: uuid.UUID) -> None:
    """The delivery that failed tells of an id that nobody knew: the message is that one, and was refused."""
    message = uncertain(world, number)
    delivery(world, number, "P1", error="Phone number does not exist")
    assert gather(world, message) == "rejected"
    assert evidence(world, message) == [("receipt", "not_sent")]
    assert world.message(message)["delivery_error"] == "Phone number does not exist"


def test_receipts_that_came_before_the_id_was_known_apply(world: World, number: uuid.UUID) -> None:
    """A receipt for an id that nobody owns is kept, and told when the message takes the id."""
    message = uncertain(world, number)
    assert world.receipt(number, "P1", "delivered") is None
    outgoing(world, number, "P1")
    assert gather(world, message) == "accepted"
    assert world.message(message)["delivery_state"] == "delivered"


def test_a_receipt_for_the_id_that_an_unknown_came_with_is_evidence(world: World) -> None:
    """It settles at once, as ever, and stands as evidence with its source."""
    for receipt, state, says in (("delivered", "accepted", "sent"), ("failed", "rejected", "not_sent")):
        message = in_state(world, "unknown")
        world.receipt(world.message(message)["instance_id"], f"P{message}", receipt)
        assert world.state(message) == state
        assert evidence(world, message) == [("receipt", says)]


def test_the_echo_of_the_id_that_an_unknown_came_with_confirms(world: World, number: uuid.UUID) -> None:
    """By its id, whatever its words."""
    message = world.enqueue(number, phone=PERSON, purpose="answer")
    world.record(world.begun(message), "unknown", p_provider_message_id="P1")
    outgoing(world, number, "P1", text="edited since")
    assert gather(world, message) == "accepted"


def test_what_is_accepted_needs_no_evidence(world: World, number: uuid.UUID) -> None:
    """Nothing is written for what we know: evidence is about the uncertain."""
    message = world.enqueue(number, phone=PERSON)
    world.record(world.begun(message), p_provider_message_id="P1")
    outgoing(world, number, "P1")
    world.receipt(number, "P1", "read")
    assert (gather(world, message), evidence(world, message)) == ("accepted", [])
    assert world.value("select count(*) from messaging.sightings") == 0


LATE = [
    ("accepted", "sent", "accepted"),
    ("rejected", "not_sent", "rejected"),
    ("not_sent", "not_sent", "unknown"),
]


@pytest.mark.parametrize("late", LATE, ids=lambda late: late[0])
def test_a_late_answer_is_evidence(
    world: World, number: uuid.UUID, bent_clock: BentClock, late: tuple[str, str, str]
) -> None:
    """A worker that wakes up after its lease tells what it saw. That nothing was sent settles nothing by
    itself: whether it goes again is the rule's, or a person's."""
    outcome, says, state = late
    message = world.enqueue(number, phone=PERSON, purpose="answer")
    attempt = world.begun(message)
    bent_clock.forward(5 * MINUTE_S)
    world.claim()
    assert world.state(message) == "unknown"
    world.record(attempt, outcome)
    assert (world.state(message), evidence(world, message)) == (state, [("late_answer", says)])


@pytest.mark.parametrize("by", ["receipt", "echo", "late answer"])
@pytest.mark.parametrize("state", ["queued", "leased"])
def test_a_resend_that_has_not_begun_is_taken_back(
    world: World, number: uuid.UUID, bent_clock: BentClock, by: str, state: str
) -> None:
    """Decided to go again, and then the first attempt turns out to have been sent: it does not go twice, its
    effect is written, and the number goes on."""
    profile = world.profile(PERSON)
    message = world.enqueue(number, phone=PERSON, profile_id=profile, purpose="welcome")
    attempt = world.begun(message)
    if by == "late answer":
        bent_clock.forward(5 * MINUTE_S)
        world.claim()
    else:
        world.record(attempt, "unknown", p_provider_message_id="P1" if by == "receipt" else None)
    world.decide(message, "resend")
    claimed = world.claim() if state == "leased" else []
    assert world.state(message) == state
    if by == "receipt":
        world.receipt(number, "P1", "delivered")
    elif by == "echo":
        outgoing(world, number, "P1")
        gather(world, message)
    else:
        world.record(attempt, p_provider_message_id="P1")
    assert world.state(message) == "withdrawn"
    assert "the first attempt was sent" in world.message(message)["reason"]
    assert world.value("select count(*) from public.messages") == 1
    for lease in claimed:
        assert world.begin(lease)["refusal"] == "the lease is no longer held"
    following = world.enqueue(number)
    assert [row.message_id for row in world.claim()] == [following]


def test_evidence_against_a_resend_that_went_out_stands(world: World, number: uuid.UUID) -> None:
    """Both left: the message is accepted once, and what contradicts the decision is kept and told."""
    message = uncertain(world, number)
    world.decide(message, "resend")
    world.record(world.begun(message), p_provider_message_id="P2")
    outgoing(world, number, "P1")
    assert gather(world, message) == "accepted"
    assert evidence(world, message) == [SEEN]
    told = world.value("select messaging.explain(%s)", message)
    assert [each["says"] for each in told["evidence"]] == ["sent"]
    assert [each["decision"] for each in told["decisions"]] == ["resend"]


def test_an_earlier_attempt_that_failed_does_not_undo_a_later_one(world: World, number: uuid.UUID) -> None:
    """Of two attempts that we cannot tell of, the first's failure says nothing of the second."""
    message = world.enqueue(number, phone=PERSON, purpose="answer")
    world.record(world.begun(message), "unknown", p_provider_message_id="P1")
    world.decide(message, "resend")
    world.record(world.begun(message), "unknown")
    world.receipt(number, "P1", "failed")
    assert world.state(message) == "unknown"


def test_evidence_releases_what_was_held(world: World, bent_clock: BentClock) -> None:
    """A confirmation is a settlement: what waited for this person goes on."""
    number = world.number(gap=(0, 0))
    message = uncertain(world, number, purpose="direct")
    held = world.enqueue(number, phone=PERSON)
    world.claim()
    assert world.state(held) == "held"
    outgoing(world, number, "P1")
    gather(world, message)
    assert world.state(held) == "queued"


ENDINGS = ["not_sent", "unknown", "rejected", "nothing said"]


@pytest.mark.parametrize("proof", ["late answer", "receipt", "sighting"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_proof_of_the_first_attempt_counts_however_the_second_ends(
    world: World, number: uuid.UUID, bent_clock: BentClock, ending: str, proof: str
) -> None:
    """It comes while the second is under way: the message is accepted then, with its effect, is uncertain for
    nobody, and does not go a third time."""
    message = uncertain(world, number, purpose="welcome", on_unknown="hold")
    first = attempt_of(world, message)
    if proof == "receipt":
        world.rows("update messaging.attempts set provider_message_id = 'P1' where id = %s", first)
    world.decide(message, "resend")
    second = world.begun(message)
    if proof == "late answer":
        world.record(first, "accepted", p_provider_message_id="P1")
    elif proof == "receipt":
        world.receipt(number, "P1", "read")
    else:
        world.rows("update messaging.attempts set provider_message_id = 'P1' where id = %s", first)
        outgoing(world, number, "P1")
        gather(world, message)

    if ending == "nothing said":
        bent_clock.forward(HOUR_S)
        world.claim()
    else:
        world.record(second, ending, p_detail="it ended so")

    assert world.state(message) == "accepted"
    assert world.value("select messaging.presumed(%s)", message) is None
    bent_clock.forward(HOUR_S)
    assert world.claim() == []
    assert "attempt" in world.value("select reason from messaging.outbox where id = %s", message)


def test_what_the_provider_reported_as_failed_is_no_proof(
    world: World, number: uuid.UUID, bent_clock: BentClock
) -> None:
    """It had taken the first attempt and could not deliver it: the second that did not leave goes again."""
    message = uncertain(world, number)
    first = attempt_of(world, message)
    world.decide(message, "resend")
    second = world.begun(message)
    world.record(first, "accepted", p_provider_message_id="P1")
    world.receipt(number, "P1", "failed")

    world.record(second, "not_sent", p_detail="no connection")

    assert world.state(message) == "queued"
