"""Lanes: which message of a number goes first, what a reply pushes, what the claim takes out of the way."""

import pytest

from tests.database.world import BentClock, World

PERSON = "5511987654321"


def test_timed_overtakes_bulk_and_within_a_lane_time_then_id_decide(
    world: World, bent_clock: BentClock
) -> None:
    """One number, gap zero: timed before bulk; within a lane the earlier not_before, then the smaller id."""
    number = world.number(gap=(0, 0))
    bulk = world.purpose("news")
    hour = bent_clock.now().replace(hour=10)
    last = world.enqueue(number, purpose=bulk)
    first = world.enqueue(number)
    before = world.enqueue(number, not_before=hour)
    bulk_before = world.enqueue(number, purpose=bulk, not_before=hour)
    second = world.enqueue(number)
    order = []
    for _ in range(5):
        claimed = world.claim()[0]
        order.append(claimed.message_id)
        world.record(world.begin(claimed)["attempt_id"])
    assert order == [before, first, second, bulk_before, last]


def test_what_is_timed_for_later_does_not_hold_up_bulk(world: World, bent_clock: BentClock) -> None:
    """A timed message of tonight lets the bulk of this afternoon go, and wakes the number when it is due."""
    number = world.number(gap=(0, 0))
    later = world.enqueue(number, not_before=bent_clock.now().replace(hour=20))
    bulk = world.enqueue(number, purpose=world.purpose("news"))
    world.record(world.begun(bulk))
    assert world.claim() == []
    assert world.value("select messaging.ready_in_s()") > 3600
    bent_clock.move_to(world.message(later)["not_before"])
    assert [row.message_id for row in world.claim()] == [later]


def test_replies_go_beside_a_paced_message_in_flight(world: World) -> None:
    """An answer does not wait for the slot, nor for the message that holds it."""
    number = world.number()
    world.begun(world.enqueue(number))
    answer = world.reply(number, PERSON)
    assert [row.message_id for row in world.claim()] == [answer]


def test_replies_to_one_person_go_one_at_a_time_and_in_order(world: World) -> None:
    """In any form of the phone; the second only once the first has ended; other people are not concerned."""
    number = world.number()
    first = world.reply(number, PERSON)
    second = world.reply(number, "551187654321")
    other = world.reply(number, "5511900000001")
    claimed = {row.message_id: row for row in world.claim()}
    assert set(claimed) == {first, other}
    assert world.claim() == []
    world.record(world.begin(claimed[first])["attempt_id"])
    assert [row.message_id for row in world.claim()] == [second]


def test_a_reply_that_could_not_be_sent_keeps_its_place(world: World, bent_clock: BentClock) -> None:
    """The second part of an answer never arrives before the first: it waits out the first one's back-off."""
    number = world.number()
    first, second = world.reply(number, PERSON), world.reply(number, PERSON)
    world.record(world.begun(first), "not_sent", p_detail="could not connect")
    order = []
    for _ in range(120):
        for claimed in world.claim():
            order.append(claimed.message_id)
            world.record(world.begin(claimed)["attempt_id"])
        bent_clock.forward(1)
    assert order == [first, second]


def test_a_reply_pushes_the_slot_a_little(world: World, bent_clock: BentClock) -> None:
    """A paced message does not follow an answer by less than reply_gap_s."""
    number = world.number()
    world.record(world.begun(world.reply(number, PERSON)))
    message = world.enqueue(number)
    assert world.claim() == []
    bent_clock.forward(4.9)
    assert world.claim() == []
    bent_clock.forward(0.1)
    assert [row.message_id for row in world.claim()] == [message]


def test_a_reply_never_brings_the_slot_forward(world: World, bent_clock: BentClock) -> None:
    """An answer in the middle of a gap leaves the gap as it was promised."""
    number = world.number()
    world.record(world.begun(world.enqueue(number)))
    promised = world.sender(number)["next_send_at"]
    world.record(world.begun(world.reply(number, PERSON)))
    assert world.sender(number)["next_send_at"] == promised


@pytest.mark.parametrize("ends", ["accepted", "unknown", "not_sent", "rejected"])
@pytest.mark.own_database
def test_all_replies_together_push_a_waiting_message_at_most_their_bound(
    world: World, bent_clock: BentClock, ends: str
) -> None:
    """However many answers go, and however they end, what was due at T goes by T + 120 s."""
    number = world.number()
    world.record(world.begun(world.reply(number, PERSON)))
    message = world.enqueue(number)
    due = bent_clock.now()
    gone = None
    for n in range(100):
        for claimed in world.claim():
            if claimed.message_id == message:
                gone = (bent_clock.now() - due).total_seconds()
            else:
                world.record(world.begin(claimed)["attempt_id"], ends)
        if gone is not None:
            break
        world.reply(number, f"55119{n:08d}")
        for claimed in world.claim(200):
            if claimed.lane == "reply":
                world.record(world.begin(claimed)["attempt_id"], ends)
        bent_clock.forward(2)
    assert gone is not None
    assert 60 < gone <= 120


def test_a_cancel_does_not_shorten_what_a_reply_pushed(world: World, bent_clock: BentClock) -> None:
    """Withdrawing one queued message leaves the slot where the answers put it."""
    number = world.number()
    withdrawn, kept = world.enqueue(number), world.enqueue(number)
    slot = bent_clock.now()
    world.rows("update messaging.senders set next_send_at = %s, slot_due_at = %s", slot, slot)
    answer = world.reply(number, PERSON)
    world.rows("update messaging.outbox set not_before = not_before + interval '1 s' where id <> %s", answer)
    world.record(world.begun(answer))
    pushed = world.sender(number)["next_send_at"]
    assert (pushed - slot).total_seconds() == 5
    world.cancel(message_id=withdrawn)
    assert world.sender(number)["next_send_at"] == pushed
    bent_clock.forward(2)
    assert kept not in [row.message_id for row in world.claim()]


def test_a_withdrawn_lease_gives_its_slot_back(world: World, bent_clock: BentClock) -> None:
    """Nothing was sent, so the next one need not wait out the lease."""
    number = world.number()
    first, second = world.enqueue(number), world.enqueue(number)
    world.claim()
    world.cancel(message_id=first)
    assert [row.message_id for row in world.claim()] == [second]
