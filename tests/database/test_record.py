"""record_attempt: each outcome, said once or many times, in time or late; and the gap that it draws."""

import pytest

from tests.database.world import BentClock, World

ENDS = {"accepted": "accepted", "rejected": "rejected", "unknown": "unknown", "not_sent": "queued"}


@pytest.mark.parametrize(("outcome", "state"), ENDS.items())
def test_each_outcome_moves_the_message_to_its_state(world: World, outcome: str, state: str) -> None:
    """Three answers to "sent?", and not_sent, which is queued again."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    assert world.record(attempt, outcome) == {
        "recorded": True,
        "dispatch_state": state,
        "message_id": message,
    }
    assert world.state(message) == state


@pytest.mark.parametrize(("outcome", "state"), ENDS.items())
def test_recording_again_changes_nothing(world: World, outcome: str, state: str) -> None:
    """A worker whose answer to the commit was lost may say it again: same state, same slot, one history."""
    number = world.number()
    attempt = world.begun(world.enqueue(number))
    world.record(attempt, outcome)
    before = (world.sender(number), world.rows("select * from messaging.history order by id"))
    again = world.record(attempt, outcome)
    assert (again["recorded"], again["dispatch_state"]) == (False, state)
    assert (world.sender(number), world.rows("select * from messaging.history order by id")) == before


def test_the_first_word_stands_against_a_contradiction(world: World) -> None:
    """An attempt that was recorded as accepted is not made rejected or unsent by a later caller."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    world.record(attempt, "accepted")
    for other in ("rejected", "unknown", "not_sent"):
        assert world.record(attempt, other)["recorded"] is False
    assert world.state(message) == "accepted"


def test_an_answer_after_the_lease_still_counts_as_evidence(world: World, bent_clock: BentClock) -> None:
    """Settled as unknown meanwhile, the message becomes accepted by the worker's own late word."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    bent_clock.forward(71)
    world.claim()
    assert world.state(message) == "unknown"
    assert world.record(attempt)["recorded"] is True
    assert world.state(message) == "accepted"


def test_a_late_answer_applies_the_receipts_that_waited_for_it(world: World, bent_clock: BentClock) -> None:
    """Receipts that came before a late answer are applied by it like by one in time."""
    number = world.number()
    message = world.enqueue(number)
    attempt = world.begun(message)
    world.receipt(number, "P1", "delivered")
    bent_clock.forward(71)
    world.claim()
    world.record(attempt, p_provider_message_id="P1")
    assert world.state(message) == "accepted"
    assert world.message(message)["delivery_state"] == "delivered"


def test_a_late_refusal_settles_the_unknown_too(world: World, bent_clock: BentClock) -> None:
    """A definite refusal that came after the lease is evidence as well: the message does not stay unknown."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    bent_clock.forward(71)
    world.claim()
    world.record(attempt, "rejected", p_detail="phone does not exist")
    assert world.state(message) == "rejected"


def test_an_unknown_keeps_the_provider_id_so_that_a_receipt_can_settle_it(world: World) -> None:
    """Where an ambiguous answer bore an id, the strongest evidence (a receipt for it) still finds its
    message."""
    number = world.number()
    message = world.enqueue(number)
    world.record(world.begun(message), "unknown", p_provider_message_id="P1", p_http_status=500)
    assert world.receipt(number, "P1", "delivered") == message
    assert world.state(message) == "accepted"


def test_another_messages_provider_id_proves_nothing(world: World) -> None:
    """Two messages cannot both be the same message at the provider: the second is unknown, not accepted."""
    number = world.number(gap=(0, 0))
    first, second = world.enqueue(number), world.enqueue(number)
    world.record(world.begun(first), p_provider_message_id="P1")
    assert world.record(world.begun(second), p_provider_message_id="P1")["dispatch_state"] == "unknown"


def test_the_gap_is_counted_from_the_end_of_the_attempt(world: World, bent_clock: BentClock) -> None:
    """The next one is due 25-45 s after the record, however long the send itself took; the promise is
    kept in the row."""
    number = world.number()
    attempt = world.begun(world.enqueue(number))
    bent_clock.forward(19)
    world.record(attempt)
    waits = (world.sender(number)["next_send_at"] - bent_clock.now()).total_seconds()
    assert 25 <= waits <= 45
    assert float(world.value("select gap_s from messaging.attempts")) == pytest.approx(waits, abs=0.001)


def test_a_number_that_the_provider_refuses_is_halted_and_the_message_waits(world: World) -> None:
    """not_sent with a halt blames the number: the message is queued, and nothing is claimed until a
    person resumes."""
    number = world.number()
    message = world.enqueue(number)
    world.record(world.begun(message), "not_sent", p_halt_reason="token refused")
    assert (world.state(message), world.instance(number)["halted_reason"]) == ("queued", "token refused")
    assert world.sender(number)["ready_at"] is None
    world.set_status(number, "active")
    assert world.sender(number)["ready_at"] is not None


def test_retry_after_moves_the_slot(world: World, bent_clock: BentClock) -> None:
    """A provider that asks for 300 s gets them."""
    number = world.number()
    world.record(world.begun(world.enqueue(number)), "not_sent", p_retry_after_s=300)
    assert (world.sender(number)["next_send_at"] - bent_clock.now()).total_seconds() == 300


def test_an_absurd_retry_after_does_not_lose_the_outcome(world: World) -> None:
    """A provider's nonsense header cannot keep us from recording what happened, nor close a number for
    years."""
    number = world.number()
    message = world.enqueue(number)
    attempt = world.begun(message)
    assert world.record(attempt, "not_sent", p_retry_after_s=10**15)["dispatch_state"] == "queued"
    assert world.value("select next_send_at < now() + interval '1 day' from messaging.senders")


BROKEN_EFFECTS = {
    "a missing table": "drop table public.messages",
    "a check that refuses": "alter table public.messages add constraint never check (content = '')",
}


@pytest.mark.parametrize("breakage", BROKEN_EFFECTS.values(), ids=BROKEN_EFFECTS)
def test_a_broken_app_table_never_turns_accepted_into_unknown(world: World, breakage: str) -> None:
    """The effect fails in a block of its own: the message is accepted, and the effect is a row to replay."""
    number = world.number()
    message = world.enqueue(number, profile_id=str(world.profile("5511987654321")))
    attempt = world.begun(message)
    world.rows(breakage)
    assert world.record(attempt)["dispatch_state"] == "accepted"
    assert world.value("select count(*) from messaging.failed_effects where succeeded_at is null") == 1


def test_a_failed_effect_is_replayed_once_the_table_is_whole(world: World) -> None:
    """retry_effects writes what was missed, once."""
    profile = world.profile("5511987654321")
    attempt = world.begun(world.enqueue(world.number(), profile_id=str(profile)))
    world.rows("alter table public.messages rename to messages_away")
    world.record(attempt)
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [False]
    world.rows("alter table public.messages_away rename to messages")
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    assert world.rows("select * from messaging.retry_effects()") == []
    assert world.value("select count(*) from public.messages where role = 'assistant'") == 1


NO_SENSE = {
    "404, 'accepted', 'P'": "WP002",
    "1, 'sent'": "WP003",
    "1, null": "WP003",
    "1, 'accepted'": "WP003",
}


def test_a_record_that_makes_no_sense_is_refused(world: World) -> None:
    """No such attempt, no such outcome, accepted without the provider's id."""
    record = "select * from messaging.record_attempt({})"
    assert {words: world.refusal(record.format(words)) for words in NO_SENSE} == NO_SENSE
