"""Fixed interleavings of two real sessions: each test names who wins."""

import uuid

import psycopg
import pytest

from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.world import BentClock, World

pytestmark = pytest.mark.scoreboard("R10", tier="commit")


def test_claim_against_claim_passes_over_a_locked_number(world: World, another: Worlds) -> None:
    """Two workers at once: the second takes other numbers and does not wait; no message goes to both."""
    messages = {world.enqueue(world.number()) for _ in range(4)}
    one, two = another(), another()
    two.rows("set lock_timeout = '5s'")  # a claim that waited would wait for this very test
    with one.connection.transaction():
        first = one.claim(2)
        second = two.claim(16)
    assert len(first) == len(second) == 2
    assert {row.message_id for row in first + second} == messages


def test_an_enqueue_during_a_claim_is_not_forgotten(world: World, another: Worlds) -> None:
    """Pitfall 1: the enqueue waits for the claim's lock, then wakes the number for what the claim did not
    see."""
    number = world.number(gap=(0, 0))
    first = world.enqueue(number)
    claimer, caller = another(), another()
    with claimer.connection.transaction():
        claimed = claimer.claim()[0]
        waiting = Waiting(caller, world, lambda: caller.enqueue(number))
        assert waiting.is_waiting
    second = waiting.result()
    assert (claimed.message_id, world.sender(number)["ready_at"] is None) == (first, False)
    world.record(int(world.begin(claimed)["attempt_id"]))
    assert [row.message_id for row in world.claim()] == [second]


def test_an_enqueue_before_a_claim_that_waited_is_seen_by_it(world: World, another: Worlds) -> None:
    """Pitfall 1, the other way: a record that waits for an enqueue's lock sees what that enqueue
    committed."""
    number = world.number(gap=(0, 0))
    attempt = world.begun(world.enqueue(number))
    caller, recorder = another(), another()
    with caller.connection.transaction():
        second = caller.enqueue(number)
        waiting = Waiting(recorder, world, lambda: recorder.record(attempt))
        assert waiting.is_waiting
    waiting.result()
    assert world.sender(number)["ready_at"] is not None
    assert [row.message_id for row in world.claim()] == [second]


def test_an_enqueue_while_a_paced_message_is_in_flight_lets_no_second_one_out(world: World) -> None:
    """Pitfall 2: both clocks carry the lease, leased or sending, whatever is enqueued or woken meanwhile."""
    number = world.number(gap=(0, 0))
    world.enqueue(number)
    claimed = world.claim()[0]
    world.enqueue(number, purpose="welcome")
    assert world.claim() == []
    attempt = int(world.begin(claimed)["attempt_id"])
    world.enqueue(number)
    world.value("select messaging.wake_forgotten()")
    assert world.claim() == []
    world.record(attempt)
    assert len(world.claim()) == 1


def test_settling_waits_for_a_record_and_finds_it_done(
    world: World, another: Worlds, bent_clock: BentClock
) -> None:
    """record first: the claim passes over the locked number, and nothing accepted is ever settled as
    unknown."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    bent_clock.forward(71)
    recorder = another()
    with recorder.connection.transaction():
        recorder.record(attempt)
        assert world.claim() == []
    world.claim()
    assert world.state(message) == "accepted"


def test_a_record_that_waited_for_the_settling_is_still_believed(
    world: World, another: Worlds, bent_clock: BentClock
) -> None:
    """settle first: the message is unknown for a moment, and the late record makes it accepted, once."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    bent_clock.forward(71)
    claimer, recorder = another(), another()
    with claimer.connection.transaction():
        claimer.claim()
        waiting = Waiting(recorder, world, lambda: recorder.record(attempt))
        assert waiting.is_waiting
    assert waiting.result()["dispatch_state"] == "accepted"
    assert world.value("select count(*) from messaging.attempts") == 1


@pytest.mark.parametrize("status", ["paused", "banned", "disconnected"])
def test_a_status_change_waits_for_a_begin_and_then_holds(world: World, another: Worlds, status: str) -> None:
    """begin first: that one goes. Once the change has committed, no begin is ever let through."""
    number = world.number(gap=(0, 0))
    world.enqueue(number)
    world.reply(number, "5511987654321")
    one, two = world.claim()
    worker, person = another(), another()
    with worker.connection.transaction():
        assert worker.begin(one)["refusal"] is None
        waiting = Waiting(person, world, lambda: person.set_status(number, status))
        assert waiting.is_waiting
    waiting.result()
    assert world.begin(two)["refusal"] == "the number may not send now"


def test_a_begin_waits_for_a_status_change_and_obeys_it(world: World, another: Worlds) -> None:
    """pause first: the begin that waited for it is refused."""
    number = world.number()
    world.enqueue(number)
    claimed = world.claim()[0]
    person, worker = another(), another()
    with person.connection.transaction():
        person.set_status(number, "paused")
        waiting = Waiting(worker, world, lambda: worker.begin(claimed))
        assert waiting.is_waiting
    assert waiting.result()["refusal"] == "the number may not send now"


def test_a_receipt_waits_for_a_record_and_finds_its_message(world: World, another: Worlds) -> None:
    """record first: the receipt that waited belongs to the message."""
    number = world.number()
    message = world.enqueue(number)
    attempt = world.begun(message)
    recorder, webhook = another(), another()
    with recorder.connection.transaction():
        recorder.record(attempt, p_provider_message_id="P")
        waiting = Waiting(webhook, world, lambda: webhook.receipt(number, "P", "read"))
        assert waiting.is_waiting
    assert waiting.result() == message
    assert world.message(message)["delivery_state"] == "read"


def test_a_record_waits_for_a_receipt_and_applies_it(world: World, another: Worlds) -> None:
    """receipt first: it is kept without a message, and the record that waited applies it."""
    number = world.number()
    message = world.enqueue(number)
    attempt = world.begun(message)
    webhook, recorder = another(), another()
    with webhook.connection.transaction():
        assert webhook.receipt(number, "P", "read") is None
        waiting = Waiting(recorder, world, lambda: recorder.record(attempt, p_provider_message_id="P"))
        assert waiting.is_waiting
    waiting.result()
    assert world.message(message)["delivery_state"] == "read"


def test_a_cancel_waits_for_a_begin_and_leaves_what_began(world: World, another: Worlds) -> None:
    """begin first: the message goes, and the cancel withdraws nothing."""
    message = world.enqueue(world.number())
    claimed = world.claim()[0]
    worker, person = another(), another()
    with worker.connection.transaction():
        worker.begin(claimed)
        waiting = Waiting(person, world, lambda: person.cancel(message_id=message))
        assert waiting.is_waiting
    assert waiting.result() == []
    assert world.state(message) == "sending"


def test_a_begin_waits_for_a_cancel_and_is_refused(world: World, another: Worlds) -> None:
    """cancel first: the lease is gone, and nothing is sent."""
    message = world.enqueue(world.number())
    claimed = world.claim()[0]
    person, worker = another(), another()
    with person.connection.transaction():
        person.cancel(message_id=message)
        waiting = Waiting(worker, world, lambda: worker.begin(claimed))
        assert waiting.is_waiting
    assert waiting.result()["refusal"] == "the lease is no longer held"
    assert world.state(message) == "withdrawn"


def test_a_cancel_does_not_fail_over_what_joined_the_run_while_it_waited(
    world: World, another: Worlds
) -> None:
    """A message of the run that appears on another number during the cancel's wait, and is being claimed,
    is no error."""
    one, two = world.number(), world.number()
    first = world.enqueue(one, run_id="r")
    holder, person, claimer = another(), another(), another()
    holder.rows("begin")
    holder.rows("select from messaging.senders where instance_id = %s for no key update", one)
    waiting = Waiting(person, world, lambda: person.cancel(run_id="r"))
    late = world.enqueue(two, run_id="r")
    claimer.rows("begin")
    assert [row.message_id for row in claimer.claim()] == [late]
    holder.rows("rollback")
    waiting.now_waits_for(world, claimer)
    claimer.rows("commit")
    waiting.result()
    assert world.state(first) == "withdrawn"
    assert world.state(late) in ("leased", "withdrawn")


def test_a_direct_update_as_service_role_is_felt_at_once(world: World, another: Worlds) -> None:
    """PostgREST writing status puts the number to sleep and wakes it in the same transaction, like our
    own function."""
    number = world.number()
    message = world.enqueue(number)
    api = another()
    api.rows("set role service_role")
    api.rows("update public.whatsapp_instances set status = 'paused' where id = %s", number)
    assert (world.sender(number)["ready_at"], world.claim()) == (None, [])
    api.rows("update public.whatsapp_instances set status = 'active' where id = %s", number)
    assert (world.claim(), world.prepare_returns()) == ([], ["returned"])
    assert [row.message_id for row in world.claim()] == [message]


def test_a_direct_update_of_many_numbers_does_not_deadlock_with_an_enqueue(
    world: World, another: Worlds
) -> None:
    """Senders are locked in id order also when one statement pauses several numbers."""
    numbers = sorted(world.number() for _ in range(2))
    # The last in id order comes first in the table, so that a row-by-row trigger meets them the wrong way
    # round.
    world.rows("update public.whatsapp_instances set name = name || ' (moved)' where id = %s", numbers[0])
    blocker, api, caller = another(), another(), another()
    blocker.rows("begin")
    blocker.rows("select from messaging.senders where instance_id = %s for no key update", numbers[0])
    enqueuing = Waiting(caller, world, lambda: caller.enqueue_many(map(world.wanted, numbers)))
    pausing = Waiting(api, world, lambda: api.rows("update public.whatsapp_instances set status = 'paused'"))
    blocker.rows("rollback")
    pausing.result()
    assert len(enqueuing.result()) == 2


def test_two_adds_of_one_number_make_one_number(world: World, another: Worlds) -> None:
    """The second add of a Z-API instance waits for the first and is refused: two rows would be two paces."""
    one, two = another(), another()
    add = "select messaging.add_instance(%s, 'I-1', 't', 'c', 'test')"
    one.rows("begin")
    one.value(add, "Aura #1")
    waiting = Waiting(two, world, lambda: two.value(add, f"Aura {uuid.uuid4()}"))
    one.rows("commit")
    with pytest.raises(psycopg.Error, match="exists already"):
        waiting.result()
    assert world.value("select count(*) from public.whatsapp_instances") == 1


def test_a_locked_app_table_does_not_stop_the_recording(world: World, another: Worlds) -> None:
    """Somebody's long migration of public.messages delays an effect, never the outcome that it belongs to."""
    number = world.number()
    message = world.enqueue(number, profile_id=str(world.profile("5511987654321")))
    attempt = world.begun(message)
    owner = another()
    owner.rows("begin")
    owner.rows("lock table public.messages in access exclusive mode")
    world.rows("set statement_timeout = '8s'")
    assert world.record(attempt)["dispatch_state"] == "accepted"
    owner.rows("rollback")
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]


def test_receipts_for_several_ids_do_not_deadlock_with_one_for_one_of_them(
    world: World, another: Worlds
) -> None:
    """A provider that reports A and B read together, and B once more beside it: both are stored."""
    number = world.number()
    blocker, several, single = another(), another(), another()
    accept = (
        "select is_new from messaging.accept_event(%s, 'e1', 'delivery', '{}',"
        " p_receipt => 'read', p_receipt_ids => array['A', 'B'])"
    )
    blocker.rows("begin")
    blocker.rows("select from messaging.senders where instance_id = %s for no key update", number)
    waiting_several = Waiting(several, world, lambda: several.value(accept, number))
    waiting_single = Waiting(single, world, lambda: single.receipt(number, "B", "read"))
    blocker.rows("rollback")
    assert (waiting_several.result(), waiting_single.result()) == (True, None)
    assert world.value("select count(*) from messaging.receipts") == 2
