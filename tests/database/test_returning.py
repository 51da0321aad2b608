"""A number that was down: silent until its return is prepared, thinned out, and slow at first."""

import json
import re
from typing import Any
from uuid import UUID

import pytest

from tests.database.world import BentClock, Row, World

PHONE = "5511987650001"


def returned(world: World, clock: BentClock, number: UUID, down_s: float = 3600) -> None:
    """Down for so long, then back and prepared."""
    world.set_status(number, "disconnected")
    clock.forward(down_s)
    world.set_status(number, "active")


def taken(world: World) -> Row:
    """The one number whose return is to be prepared."""
    [row] = world.rows("select * from messaging.take_returns()")
    return row


def finish(world: World, row: Row, found: int | None = 0, failure: str | None = None) -> str:
    """What becomes of a return that a worker has prepared."""
    state: str = world.value(
        "select return_state from messaging.finish_return(%s, %s, %s::integer, %s)",
        row["instance_id"], row["return_token"], found, failure,
    )  # fmt: skip
    return state


def send(world: World, clock: BentClock) -> Row | None:
    """Claims, begins and records one paced message a second later; its attempt."""
    paced = [row for row in world.claim() if row.lane != "reply"]
    if not paced:
        return None
    attempt = world.begin(paced[0])["attempt_id"]
    clock.forward(1)
    world.record(attempt)
    return world.rows("select * from messaging.attempts where id = %s", attempt)[0]


def wait(world: World, clock: BentClock, number: UUID) -> None:
    """Moves the clock to the moment at which the number is due."""
    clock.move_to(max(world.sender(number)["ready_at"], clock.now()))


@pytest.mark.parametrize("status", ["disconnected", "banned", "paused"])
def test_a_number_that_is_back_says_nothing_before_its_return_is_prepared(
    world: World, bent_clock: BentClock, status: str
) -> None:
    """Whoever stopped it: active again, it sends nothing, answers included, until a worker has purged its
    provider's queue and said so."""
    number = world.number()
    waiting = [world.enqueue(number), world.reply(number, PHONE)]
    world.rows("select messaging.set_instance_status(%s, %s, 'test')", number, status)
    bent_clock.forward(60)
    world.rows("select messaging.set_instance_status(%s, 'active', 'test')", number)

    assert world.claim() == []
    assert world.value("select messaging.forecast(%s)", waiting[0]) is None
    assert finish(world, taken(world)) == "returned"
    assert {row.message_id for row in world.claim()} == set(waiting)


def test_a_begin_between_the_return_and_its_preparation__refused(world: World, bent_clock: BentClock) -> None:
    """A message that was leased before the number went down does not slip out as it comes back."""
    number = world.number()
    world.enqueue(number)
    [claimed] = world.claim()
    for status in ("paused", "active"):
        world.rows("select messaging.set_instance_status(%s, %s, 'test')", number, status)

    assert world.begin(claimed)["refusal"] == "the number may not send now"


def test_a_purge_that_fails_keeps_the_number_silent_and_says_so(world: World, bent_clock: BentClock) -> None:
    """Tried again after 5, 10, 20 ... 60 s; `roleta why` and `roleta status` give the reason meanwhile."""
    number = world.number()
    message = world.enqueue(number)
    for status in ("disconnected", "active"):
        world.rows("select messaging.set_instance_status(%s, %s, 'test')", number, status)
    pauses = []
    for _ in range(6):
        assert finish(world, taken(world), None, "unreachable: no answer") == "failed"
        due = world.value("select return_due_at from messaging.senders where instance_id = %s", number)
        pauses.append((due - bent_clock.now()).total_seconds())
        assert (world.claim(), world.rows("select * from messaging.take_returns()")) == ([], [])
        bent_clock.move_to(due)

    assert pauses == [5, 10, 20, 40, 60, 60]
    assert "could not be purged (unreachable: no answer)" in notes(world, message)[0]
    [told] = world.rows("select * from messaging.returns()")
    assert (told["is_prepared"], told["failures"], told["failure"]) == (False, 6, "unreachable: no answer")
    assert finish(world, taken(world)) == "returned"
    assert [row.message_id for row in world.claim()] == [message]


def notes(world: World, message: int) -> list[str]:
    """What `roleta why` adds for a number that was down."""
    return [row["note"] for row in world.rows("select note from messaging.return_notes(%s)", message)]


def test_a_worker_whose_lease_is_over_or_whose_number_fell_again_opens_nothing(
    world: World, bent_clock: BentClock
) -> None:
    """What it purged says nothing of what the provider has taken in since: the next worker purges anew."""
    number = world.number()
    world.enqueue(number)
    for status in ("disconnected", "active"):
        world.rows("select messaging.set_instance_status(%s, %s, 'test')", number, status)
    slow = taken(world)
    assert world.rows("select * from messaging.take_returns()") == []
    bent_clock.forward(60)
    second = taken(world)
    assert finish(world, slow) == "not_held"
    for status in ("disconnected", "active"):
        world.rows("select messaging.set_instance_status(%s, %s, 'test')", number, status)
    assert finish(world, second) == "not_held"

    assert world.claim() == []
    assert finish(world, taken(world)) == "returned"


def test_the_providers_queue_is_purged_while_the_phone_is_away(world: World, bent_clock: BentClock) -> None:
    """Due at once when a number is disconnected, banned or halted, since Z-API fires its queue before anybody
    hears of the reconnection; not when a person pauses it; and due again at the return."""
    number = world.number()
    world.rows("select messaging.record_health(%s, false)", number)
    assert finish(world, taken(world)) == "down"
    assert world.rows("select * from messaging.take_returns()") == []
    world.rows("select messaging.record_health(%s, true)", number)
    assert finish(world, taken(world)) == "returned"

    world.rows("select messaging.set_instance_status(%s, 'paused', 'test')", number)
    assert world.rows("select * from messaging.take_returns()") == []


def test_a_failed_purge_of_a_number_that_is_down_is_no_hurry(world: World, bent_clock: BentClock) -> None:
    """Ten minutes later again, and at once when the number is back."""
    number = world.number()
    world.rows("select messaging.halt_instance(%s, 'subscription_lapsed', 'test')", number)
    assert finish(world, taken(world), None, "account_refused") == "failed"
    bent_clock.forward(599)
    assert world.rows("select * from messaging.take_returns()") == []
    world.rows("select messaging.set_instance_status(%s, 'active', 'test')", number)
    assert finish(world, taken(world)) == "returned"


def test_a_clients_number_that_opens_for_the_first_time_has_not_been_away(
    world: World, bent_clock: BentClock
) -> None:
    """Nothing to prepare and no ramp at its first opening; both when it was open before."""
    number = world.value(
        "insert into public.whatsapp_instances (name, provider, evolution_instance_name, in_pool, status)"
        " values ('client', 'evolution', 'client', false, 'disconnected') returning id"
    )
    change = "update public.whatsapp_instances set status = %s where id = %s"
    world.rows(change, "active", number)
    assert (world.value("select messaging.can_send(%s)", number), due(world)) == (True, 0)

    world.rows(change, "disconnected", number)
    assert due(world) == 0  # Evolution API keeps no queue
    world.rows(change, "active", number)
    assert (world.value("select messaging.can_send(%s)", number), due(world)) == (False, 1)


def due(world: World) -> int:
    """How many numbers wait for a worker to prepare them."""
    return int(world.value("select count(*) from messaging.senders where return_due_at is not null"))


class Waiting:
    """What waited for a number, by name."""

    def __init__(self, world: World, clock: BentClock, number: UUID) -> None:
        world.purpose("nudge", newest_only=True)
        world.purpose("short", newest_only=True, expires_after="30 minutes")
        asked: dict[str, dict[str, Any]] = {
            "old nudge": {"purpose": "nudge", "phone": PHONE},
            "draft nudge": {"purpose": "nudge", "phone": PHONE, "compose": "nobody"},
            "other form": {"purpose": "nudge", "phone": "551187650001"},
            "another person": {"purpose": "nudge", "phone": "5511987650002"},
            "short": {"purpose": "short", "phone": PHONE},
            "welcome": {"purpose": "welcome", "phone": PHONE},
            "second welcome": {"purpose": "welcome", "phone": PHONE},
            "payment": {"purpose": "payment", "phone": PHONE},
            "report asked for": {"purpose": "agency_report", "phone": PHONE},
            "second report": {"purpose": "agency_report", "phone": PHONE},
            "answer": {"purpose": "answer", "phone": PHONE},
            "tomorrow": {"purpose": "nudge", "phone": PHONE, "not_before": clock.now().isoformat()},
        }
        self._world = world
        self._ids = {name: world.enqueue(number, **fields) for name, fields in asked.items()}
        world.rows(
            "update messaging.outbox set not_before = not_before + interval '20 h' where id = %s",
            self._ids["tomorrow"],
        )

    def states(self) -> dict[str, str]:
        """Where each stands now."""
        return {name: self._world.state(message) for name, message in self._ids.items()}

    def reason(self, name: str) -> str:
        """Why it stands there."""
        return str(self._world.message(self._ids[name])["reason"])


def test_of_what_waited_only_the_newest_nudge_goes_and_what_was_asked_for_all(
    world: World, bent_clock: BentClock
) -> None:
    """Of one proactive purpose the newest to a person, whichever form the phone has, drafts included; the
    rest is withdrawn and says why. What is over expires. What was asked for stays, however often, and so does
    what is for later."""
    number = world.number()
    waiting = Waiting(world, bent_clock, number)
    returned(world, bent_clock, number)

    assert waiting.states() == {
        "old nudge": "withdrawn",
        "draft nudge": "withdrawn",
        "other form": "queued",
        "another person": "queued",
        "short": "expired",
        "welcome": "queued",
        "second welcome": "queued",
        "payment": "queued",
        "report asked for": "queued",
        "second report": "queued",
        "answer": "expired",
        "tomorrow": "queued",
    }
    assert "a newer one of this kind waits for the same person" in waiting.reason("old nudge")


def test_proactive_purposes_keep_the_newest_only_and_solicited_ones_all(world: World) -> None:
    """The column of each purpose, against the table of decisions.md: what has quiet hours is proactive, but
    each reminder is of a session of its own."""
    kept = {
        row["purpose"]: row["newest_only"]
        for row in world.rows("select purpose, newest_only from messaging.purposes")
    }
    assert {name for name, newest in kept.items() if newest} == {
        "session_missed", "session_abandoned", "commitment_followup", "checkin", "reactivation",
        "reactivation_missed", "conversation_followup", "weekly_report", "content", "content_completed",
        "schedule_setup", "schedule_renewal",
    }  # fmt: skip


def test_gaps_after_a_return_fall_from_three_times_to_once_over_twenty_messages(
    world: World, bent_clock: BentClock
) -> None:
    """Each gap is drawn within its own bounds, which the attempt stores; the audit holds; after twenty the
    pace is the usual one."""
    number = world.number()
    for _ in range(23):
        world.enqueue(number)
    returned(world, bent_clock, number)
    attempts = []
    while (attempt := send(world, bent_clock)) is not None:
        attempts.append(attempt)
        if len(attempts) == 23:
            break
        wait(world, bent_clock, number)

    factors = [float(each["gap_factor"]) for each in attempts]
    # By messages along a straight line; long gaps in a row may bring it down by time a little earlier.
    assert factors == pytest.approx([max(1, 3 - 2 * place / 20) for place in range(23)], abs=0.3)
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == pytest.approx(3, abs=0.01)
    assert factors[20:] == [1, 1, 1]
    for each in attempts:
        assert 25 * each["gap_factor"] <= each["gap_s"] <= 45 * each["gap_factor"]


def test_a_ramp_ends_by_time_where_little_is_sent(world: World, bent_clock: BentClock) -> None:
    """Fifteen minutes after the return the factor is halfway, after thirty it is over."""
    number = world.number()
    returned(world, bent_clock, number)
    factors = []
    for _ in range(3):
        world.enqueue(number)
        attempt = send(world, bent_clock)
        assert attempt is not None
        factors.append(float(attempt["gap_factor"]))
        bent_clock.forward(899)
    assert factors == pytest.approx([3, 2, 1], abs=0.01)


def test_answers_that_waited_leave_one_by_one(world: World, bent_clock: BentClock) -> None:
    """Ten people's answers after a return: one in flight at a time, each at least reply_gap_s after the end
    of the one before; a number that was not away sends ten at once."""
    number, other = world.number(), world.number()
    world.set_status(number, "disconnected")
    for index in range(10):
        world.reply(number, f"55119876600{index:02d}")
        world.reply(other, f"55119876600{index:02d}")
    bent_clock.forward(60)
    world.set_status(number, "active")
    first = world.claim()
    here = [row for row in first if world.message(row.message_id)["instance_id"] == number]
    assert (len(first), len(here)) == (11, 1)

    ended, distances, taken_in_all = None, [], 0
    while here:
        assert len(here) == 1
        taken_in_all += 1
        if ended is not None:
            distances.append((bent_clock.now() - ended).total_seconds())
        attempt = world.begin(here[0])["attempt_id"]
        bent_clock.forward(2)
        assert world.claim() == []
        world.record(attempt)
        ended = bent_clock.now()
        if world.sender(number)["ready_at"] is None:
            break
        wait(world, bent_clock, number)
        here = [r for r in world.claim() if world.message(r.message_id)["instance_id"] == number]
    assert taken_in_all == 10
    assert min(distances) >= 5


def test_the_forecast_of_a_ramped_number_comes_true(world: World, bent_clock: BentClock) -> None:
    """Right after the return each message's expected time is within a tenth of when it leaves, and a dry run
    for one more person tells a time after all of them."""
    number = world.number()
    messages = [world.enqueue(number) for _ in range(24)]
    returned(world, bent_clock, number)
    start = bent_clock.now()
    foreseen = [
        (world.value("select messaging.forecast(%s)", each) - start).total_seconds() for each in messages
    ]
    person = world.profile("5511987659999", number)
    [dry] = world.rows(
        "select * from messaging.expected_times(%s)",
        json.dumps([{"profile_id": str(person), "purpose": "direct"}]),
    )
    left = []
    for _ in messages:
        attempt = send(world, bent_clock)
        assert attempt is not None
        left.append((attempt["begun_at"] - start).total_seconds())
        if len(left) < len(messages):
            wait(world, bent_clock, number)

    assert foreseen[10:] == pytest.approx(left[10:], rel=0.15)
    assert (dry["expected_at"] - start).total_seconds() > foreseen[-1]


def test_what_stood_in_the_providers_queue_is_noted_and_not_sent_again(
    world: World, bent_clock: BentClock
) -> None:
    """By the provider's id, or, where we cannot tell, by person and text if only one is meant; its state
    stays, `roleta why` says it, and a receipt takes it off the list."""
    number = world.number(gap=(0, 0))
    accepted, unclear = world.enqueue(number), world.enqueue(number, phone=PHONE)
    world.record(world.begun(accepted), p_provider_message_id="P1")
    world.record(world.begun(unclear), "unknown")
    world.rows("select messaging.record_health(%s, false)", number)
    row = taken(world)
    entries = [
        {"message_id": "P1", "phone": "1", "text": "x"},
        {"message_id": "P9", "phone": PHONE, "text": "Oi"},
        {"message_id": None, "phone": "5511987651111", "text": "another program's"},
    ]
    noted = world.value(
        "select messaging.note_queue(%s, %s, %s)", number, row["return_token"], json.dumps(entries)
    )
    assert "about to purge" in notes(world, accepted)[0]
    assert (noted, finish(world, row, 3)) == (2, "down")

    assert (world.state(accepted), world.state(unclear)) == ("accepted", "unknown")
    said = r"purged at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: most probably never delivered"
    assert re.search(said, notes(world, accepted)[0])
    assert [each["purged"] for each in world.rows("select purged from messaging.returns()")] == [2]
    world.receipt(number, "P1", "delivered")
    assert [each["purged"] for each in world.rows("select purged from messaging.returns()")] == [1]
    assert world.value("select messaging.note_queue(%s, gen_random_uuid(), '[]')", number) is None


def test_a_ramp_of_no_messages_is_none(world: World, bent_clock: BentClock) -> None:
    """ramp_messages 0: the pace is the usual one at once."""
    number = world.number()
    world.rows("update messaging.senders set ramp_messages = 0")
    world.enqueue(number)
    returned(world, bent_clock, number)
    attempt = send(world, bent_clock)
    assert attempt is not None
    assert attempt["gap_factor"] == 1


def test_an_uncertain_message_that_was_purged_is_known_to_have_stayed(
    world: World, bent_clock: BentClock
) -> None:
    """It waited in the provider's queue, which was emptied before the number came back: evidence that it was
    not sent, whatever was seen before, and a person may have it sent again."""
    number = world.number()
    message = world.enqueue(number, phone=PHONE)
    world.record(world.begun(message), "unknown")
    attempt = world.value("select max(id) from messaging.attempts")
    waiting = {"provider_message_id": "Q1", "sent_by": "api", "phone": PHONE, "text": "Oi"}
    world.rows(
        "select messaging.note_traces(array[%s::bigint], 'provider_queue', %s)",
        attempt,
        json.dumps([waiting]),
    )
    world.rows("select messaging.record_health(%s, false)", number)
    row = taken(world)
    queue = [{"message_id": "Q1", "phone": PHONE, "text": "Oi"}]
    world.value("select messaging.note_queue(%s, %s, %s)", number, row["return_token"], json.dumps(queue))
    assert finish(world, row, found=1) == "down"

    told = world.rows(
        "select source, says from messaging.evidence where message_id = %s order by id", message
    )
    assert told[-1] == {"source": "provider_queue", "says": "not_sent"}
    assert world.value("select messaging.presumed(%s)", message) == "not_sent"
    assert world.value("select messaging.decide_unknown(%s, 'resend', 'op')", message) == "queued"
