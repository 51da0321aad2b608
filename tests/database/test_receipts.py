"""apply_receipt: before the answer, after it, twice, out of order; and what a receipt settles."""

import itertools
import json
import random

import pytest

from tests.database.world import BentClock, World

FORWARD = ["sent", "failed", "delivered", "read"]


@pytest.mark.slow
def test_a_thousand_receipts_before_their_answers_are_all_applied(world: World) -> None:
    """Shuffled, with duplicates, each before record_attempt: every message ends at its furthest receipt."""
    source = random.Random(7)
    numbers = [world.number(gap=(0, 0)) for _ in range(50)]
    world.enqueue_many(world.wanted(number) for number in numbers * 20)
    apply = (
        "select messaging.apply_receipt(%s, %s, r) from unnest(%s::text[]) with ordinality as r (r, n)"
        " order by n"
    )
    for _ in range(20):
        begun = [world.begin(claimed) for claimed in world.claim(200)]
        for row in begun:
            receipts = ["sent", "delivered", "read"] * 2
            source.shuffle(receipts)
            world.rows(apply, row["instance_id"], f"P{row['attempt_id']}", receipts)
        for row in begun:
            world.record(row["attempt_id"], p_provider_message_id=f"P{row['attempt_id']}")
    assert world.rows(
        "select dispatch_state, delivery_state, count(*) from messaging.outbox group by 1, 2"
    ) == [{"dispatch_state": "accepted", "delivery_state": "read", "count": 1000}]
    assert world.value("select count(*) from messaging.receipts where message_id is not null") == 3000


@pytest.mark.own_database
def test_delivery_only_moves_forward(world: World) -> None:
    """In whatever order the four receipts come, the furthest one stands after each."""
    number = world.number(gap=(0, 0))
    for n, order in enumerate(itertools.permutations(FORWARD)):
        message = world.enqueue(number)
        world.record(world.begun(message), p_provider_message_id=f"P{n}")
        furthest = -1
        for receipt in order:
            assert world.receipt(number, f"P{n}", receipt) == message
            furthest = max(furthest, FORWARD.index(receipt))
            assert world.message(message)["delivery_state"] == FORWARD[furthest]


def test_a_receipt_twice_is_one_receipt(world: World) -> None:
    """Safe to repeat: the same answer, one row, no second move."""
    number = world.number()
    message = world.enqueue(number)
    world.record(world.begun(message), p_provider_message_id="P1")
    before = world.rows("select * from messaging.history")
    assert [world.receipt(number, "P1", "delivered") for _ in range(3)] == [message] * 3
    assert world.value("select count(*) from messaging.receipts") == 1
    assert world.rows("select * from messaging.history") == before


def test_a_receipt_belongs_to_its_number(world: World) -> None:
    """The same provider id on another number is another message's, or nobody's."""
    number, other = world.number(), world.number()
    message = world.enqueue(number)
    world.record(world.begun(message), p_provider_message_id="P1")
    assert world.receipt(other, "P1", "read") is None
    assert world.message(message)["delivery_state"] is None


def test_a_failure_with_a_restriction_halts_the_number(world: World) -> None:
    """WhatsApp refusing to carry anything more is a matter of the number, felt by the very next claim."""
    number = world.number(gap=(0, 0))
    message = world.enqueue(number)
    world.enqueue(number)
    world.record(world.begun(message), p_provider_message_id="P1")
    world.receipt(number, "P1", "failed", p_error="463", p_error_class="restriction")
    assert world.instance(number)["halted_reason"] == "restricted"
    assert world.claim() == []


def test_a_repeated_restriction_does_not_undo_a_persons_resume(world: World) -> None:
    """A provider that tells the same failure again tells nothing new: the number that a person resumed
    stays active."""
    number = world.number()
    world.receipt(number, "P1", "failed", p_error_class="restriction")
    world.set_status(number, "active")
    world.receipt(number, "P1", "failed", p_error_class="restriction")
    assert world.instance(number)["halted_reason"] is None


def test_a_settled_unknown_releases_what_it_held(world: World, bent_clock: BentClock) -> None:
    """While we cannot tell, the person's next message is held; the late answer lets it go, and its number
    wakes."""
    number = world.number()
    first = world.enqueue(number, phone="5511987654321")
    attempt = world.begun(first)
    second = world.enqueue(number, phone="551187654321")
    other = world.enqueue(number)
    bent_clock.forward(71)
    assert [row.message_id for row in world.claim()] == [other]
    assert (world.state(first), world.state(second)) == ("unknown", "held")
    assert world.message(second)["held_by"] == f"message {first}"
    world.record(attempt)
    assert world.state(second) == "queued"


def test_an_unknown_to_one_person_holds_neither_others_nor_an_answer(world: World) -> None:
    """Replies do not wait for the settling of a paced message, and other people are not concerned."""
    number = world.number(gap=(0, 0))
    world.record(world.begun(world.enqueue(number, phone="5511987654321")), "unknown")
    other = world.enqueue(number, phone="5511900000001")
    answer = world.reply(number, "5511987654321")
    assert {row.message_id for row in world.claim()} == {other, answer}


NO_SENSE = {
    "'{}', 'P', 'seen'": "WP003",
    "'{}', 'P', null": "WP003",
    "gen_random_uuid(), 'P', 'read'": "WP002",
}


def test_a_receipt_that_makes_no_sense_is_refused(world: World) -> None:
    """No such receipt, no such number; nothing is stored."""
    number = world.number()
    apply = "select messaging.apply_receipt({})"
    assert {words: world.refusal(apply.format(words.format(number))) for words in NO_SENSE} == NO_SENSE
    assert world.value("select count(*) from messaging.receipts") == 0


def test_an_event_with_a_receipt_is_applied_once(world: World) -> None:
    """accept_event stores and applies in one call; the repeated event changes nothing."""
    number = world.number()
    message = world.enqueue(number)
    world.record(world.begun(message), p_provider_message_id="P1")
    accept = (
        "select is_new from messaging.accept_event(%s, 'delivery:P1', 'delivery', %s,"
        " p_receipt => 'delivered', p_receipt_ids => array['P1', 'P2'])"
    )
    assert [world.value(accept, number, json.dumps({})) for _ in range(2)] == [True, False]
    assert world.message(message)["delivery_state"] == "delivered"
    assert world.value("select count(*) from messaging.receipts where message_id is null") == 1
