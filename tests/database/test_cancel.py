"""cancel, pause_all, resume_all: what a person orders stops, is recorded, and nothing else is touched."""

import pytest

from tests.database.states import in_state
from tests.database.world import BentClock, Row, World

STATES = ["draft", "held", "leased", "sending", "accepted", "rejected", "unknown", "expired", "queued"]
STOPPED = {"draft", "queued", "held", "leased"}


def in_every_state(world: World, **fields: object) -> dict[str, int]:
    """One message of the same run in each state, each on a number of its own."""
    wanted: Row = {"run_id": "r", "enqueued_by": "weekly-report"}
    return {state: in_state(world, state, **wanted, **fields) for state in STATES}


def test_a_cancelled_run_stops_what_has_not_begun(world: World) -> None:
    """draft, queued, held and leased are withdrawn, by whom and why; what was sent, or may have been,
    stays."""
    messages = in_every_state(world)
    other = in_state(world, "queued", run_id="another run")
    counted = world.cancel(run_id="r")
    assert {(row["dispatch_state"], row["messages"]) for row in counted} == {(state, 1) for state in STOPPED}
    after = {state: world.state(message) for state, message in messages.items()}
    assert after == {state: "withdrawn" if state in STOPPED else state for state in STATES}
    row = world.message(messages["queued"])
    assert (row["changed_by"], row["reason"]) == ("test", "a test")
    assert world.state(other) == "queued"


def test_a_preview_counts_and_changes_nothing(world: World) -> None:
    """The same answer as the order itself, and not a row touched."""
    in_every_state(world)
    everything = "select * from messaging.outbox order by id"
    before = world.rows(everything)
    preview = world.rows("select * from messaging.cancel('test', 'a test', p_run_id => 'r')")
    assert world.rows(everything) == before
    assert world.cancel(run_id="r") == preview


@pytest.mark.parametrize("what", ["message_id", "run_id", "enqueued_by", "instance_id"])
def test_one_thing_is_cancelled_and_its_neighbours_stay(world: World, what: str) -> None:
    """A message, a run, a function or a number: exactly what was named."""
    number = world.number()
    fields: Row = {"run_id": "r1", "enqueued_by": "f1"}
    message = world.enqueue(number, **fields)
    neighbour = world.enqueue(world.number(), run_id="r2", enqueued_by="f2")
    named = {"message_id": message, "instance_id": number, **fields}
    assert [row["messages"] for row in world.cancel(**{what: named[what]})] == [1]
    assert (world.state(message), world.state(neighbour)) == ("withdrawn", "queued")


def test_a_cancel_of_nothing_answers_nothing(world: World) -> None:
    """No such run, or all of it gone already: no row, no error; twice is as good as once."""
    world.enqueue(world.number(), run_id="r")
    assert world.cancel(run_id="another") == []
    assert len(world.cancel(run_id="r")) == 1
    assert world.cancel(run_id="r") == []


def test_an_order_without_a_name_a_reason_or_one_thing_is_refused(world: World) -> None:
    """WP003: nobody, no reason, nothing or two things to cancel."""
    world.number()
    orders = ["null, 'why', false, 1", "' ', 'why', false, 1", "'test', '', false, 1", "'test', 'why', false"]
    orders += ["'test', 'why', false, 1, 'r'"]
    answers = {order: world.refusal(f"select * from messaging.cancel({order})") for order in orders}
    assert answers == dict.fromkeys(orders, "WP003")


def test_the_very_next_claim_honours_a_cancel(world: World) -> None:
    """A number whose queue was withdrawn sleeps; the one beside it goes on."""
    number, other = world.number(), world.number()
    world.enqueue(number, run_id="r")
    kept = world.enqueue(other)
    world.cancel(run_id="r")
    assert [row.message_id for row in world.claim()] == [kept]
    assert world.sender(number)["ready_at"] is None


def test_a_withdrawn_answer_lets_the_next_one_go(world: World) -> None:
    """The second part of an answer waits for the first only while the first may still go."""
    number = world.number()
    first, second = world.reply(number, "5511987654321"), world.reply(number, "5511987654321")
    world.claim()
    world.cancel(message_id=first)
    assert [row.message_id for row in world.claim()] == [second]


def test_a_pause_and_a_resume_say_who_and_happen_once(world: World) -> None:
    """The second pause changes neither name nor reason; a resume of what runs is no news."""
    assert world.value("select messaging.pause_all('Bia', 'a storm')") is True
    assert world.value("select messaging.pause_all('Caio', 'too')") is False
    standing = world.rows("select paused_by, paused_why from messaging.standing()")
    assert standing == [{"paused_by": "Bia", "paused_why": "a storm"}]
    assert world.value("select messaging.resume_all('Bia')") is True
    assert world.value("select messaging.resume_all('Bia')") is False
    for nobody in ("''", "null", "' '"):
        assert world.refusal(f"select messaging.pause_all({nobody})") == "WP003"
        assert world.refusal(f"select messaging.resume_all({nobody})") == "WP003"


def test_after_a_pause_everything_goes_at_the_pace(world: World, bent_clock: BentClock) -> None:
    """Hours of pause end with one message per number, not with a burst."""
    number = world.number()
    for _ in range(3):
        world.enqueue(number)
    world.value("select messaging.pause_all('test')")
    bent_clock.forward(2 * 3600)
    assert world.claim() == []
    world.value("select messaging.resume_all('test')")
    assert len(world.claim()) == 1
    assert world.claim() == []


def test_what_is_in_flight_ends_during_a_pause(world: World) -> None:
    """A pause refuses begins, never the recording of what was sent."""
    message = world.enqueue(world.number())
    attempt = world.begun(message)
    world.value("select messaging.pause_all('test')")
    assert world.record(attempt)["dispatch_state"] == "accepted"
