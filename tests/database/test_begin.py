"""begin_attempt: the fence, and everything that may stop a message between its claim and the provider."""

import uuid

import psycopg
import pytest

from tests.database.world import BentClock, Claimed, World

NULL_TOKEN = "select * from messaging.begin_attempt(%s, null, 'w1')"


def test_a_begun_message_is_sending_with_an_open_attempt_and_what_the_send_needs(world: World) -> None:
    """After begin commits, the database says that we are about to send, and the worker holds all it needs."""
    message = world.enqueue(world.number(), phone="5511987654321")
    begun = world.begin(world.claim()[0])
    assert world.state(message) == "sending"
    assert (begun["phone"], begun["content"]) == ("5511987654321", {"kind": "text", "text": "Oi"})
    assert (begun["zapi_token"], begun["zapi_client_token"]) == ("zapi-token", "client-token")
    assert (begun["write_within_s"], begun["send_timeout_s"]) == (5, 20)
    assert world.value("select count(*) from messaging.attempts where outcome is null") == 1


def test_a_lease_is_good_for_one_begin(world: World) -> None:
    """The same worker beginning twice gets one attempt: the second time is refused and changes nothing."""
    world.enqueue(world.number())
    claimed = world.claim()[0]
    assert world.begin(claimed)["attempt_id"] is not None
    second = world.begin(claimed)
    assert (second["attempt_id"], second["refusal"]) == (None, "the lease is no longer held")
    assert world.value("select count(*) from messaging.attempts") == 1


@pytest.mark.parametrize("token", [uuid.UUID(int=0), None], ids=["another token", "no token"])
def test_the_fence_refuses_whoever_does_not_hold_the_lease(world: World, token: uuid.UUID | None) -> None:
    """A wrong token never begins anything, and a missing one is a wrong one."""
    message = world.enqueue(world.number())
    world.claim()
    refused = world.rows("select * from messaging.begin_attempt(%s, %s, 'w1')", message, token)[0]
    assert (refused["attempt_id"], refused["refusal"]) == (None, "the lease is no longer held")
    assert world.state(message) == "leased"


def test_an_unknown_message_is_refused(world: World) -> None:
    """A message that does not exist gives a refusal, not an error."""
    assert world.begin(Claimed(404, "timed", uuid.uuid4()))["refusal"] == "the lease is no longer held"


def test_a_zombie_whose_lease_ran_out_cannot_begin(world: World, bent_clock: BentClock) -> None:
    """Pitfall 12: a worker that slept through its lease is refused, before and after another one took the
    message."""
    world.enqueue(world.number())
    slow = world.claim()[0]
    bent_clock.forward(70)
    assert world.begin(slow)["refusal"] == "the lease is no longer held"
    fresh = world.claim(worker="w2")[0]
    assert fresh.message_id == slow.message_id
    assert world.begin(slow)["refusal"] == "the lease is no longer held"
    assert world.begin(fresh, "w2")["refusal"] is None


@pytest.mark.parametrize("status", ["paused", "banned", "disconnected"])
def test_a_number_that_went_down_after_the_claim_refuses_and_the_message_waits(
    world: World, status: str
) -> None:
    """The message goes back to its queue; nothing moves until the number is active again; then it goes at
    once."""
    number = world.number()
    message = world.enqueue(number)
    claimed = world.claim()[0]
    world.set_status(number, status)
    assert world.begin(claimed)["refusal"] == "the number may not send now"
    assert world.state(message) == "queued"
    assert world.claim() == []
    world.set_status(number, "active")
    assert [row.message_id for row in world.claim()] == [message]


def test_a_pause_of_everything_refuses_the_next_begin(world: World) -> None:
    """pause_all is honoured by the very next begin, and resume_all lets the message go on."""
    message = world.enqueue(world.number())
    claimed = world.claim()[0]
    world.value("select messaging.pause_all('test')")
    assert world.begin(claimed)["refusal"] == "everything is paused"
    assert (world.claim(), world.value("select messaging.ready_in_s()")) == ([], None)
    world.value("select messaging.resume_all('test')")
    assert [row.message_id for row in world.claim()] == [message]


def test_a_message_that_expired_between_claim_and_begin_is_not_sent(
    world: World, bent_clock: BentClock
) -> None:
    """The rules of the claim are asked again at begin: what is over is expired, and the slot is free."""
    number = world.number()
    late = world.enqueue(number, expires_at=bent_clock.now().replace(minute=1))
    next_one = world.enqueue(number)
    claimed = world.claim()[0]
    assert claimed.message_id == late
    bent_clock.forward(61)
    assert world.begin(claimed)["refusal"] == "its time was over before its turn came"
    assert world.state(late) == "expired"
    assert [row.message_id for row in world.claim()] == [next_one]


def _still_due(world: World, body: str) -> str:
    world.rows(
        "create function messaging.due_test(subject_id text) returns text language plpgsql"
        " set search_path = ''"
        f" as $$ begin {body} end $$"
    )
    return world.purpose("nudge", still_due="due_test")


def test_what_is_no_longer_due_is_withdrawn_with_its_reason(world: World) -> None:
    """begin asks the purpose's still_due with the subject; its answer is the reason of the withdrawal."""
    purpose = _still_due(world, "return case subject_id when 'done' then 'answered already' end;")
    number = world.number(gap=(0, 0))
    done = world.enqueue(number, purpose=purpose, subject_id="done")
    due = world.enqueue(number, purpose=purpose, subject_id="due")
    assert world.begin(world.claim()[0])["refusal"] == "answered already"
    assert (world.state(done), world.message(done)["reason"]) == ("withdrawn", "answered already")
    assert world.begun(due)


def test_a_still_due_that_fails_does_not_block_the_number(world: World, bent_clock: BentClock) -> None:
    """A broken app table behind still_due costs its own message a delay, never the number's other
    messages."""
    purpose = _still_due(world, "raise exception 'relation public.sessions does not exist';")
    number = world.number()
    world.enqueue(number, purpose=purpose, subject_id="s")
    healthy = world.enqueue(number)
    world.rows("update messaging.outbox set lane = 'bulk' where id = %s", healthy)
    begun: list[int] = []
    for _ in range(5):
        for claimed in world.claim():
            try:
                if world.begin(claimed)["refusal"] is None:
                    begun.append(claimed.message_id)
            except psycopg.Error:
                assert world.state(claimed.message_id) == "leased"
        bent_clock.forward(71)
    assert healthy in begun


def test_a_refused_begin_frees_the_slot_that_its_claim_took(world: World) -> None:
    """Nothing left, so nothing is waited for: the next message may be claimed at once."""
    number = world.number()
    first, second = world.enqueue(number), world.enqueue(number)
    claimed = world.claim()[0]
    world.cancel(message_id=first)
    assert world.begin(claimed)["refusal"] == "the lease is no longer held"
    assert [row.message_id for row in world.claim()] == [second]
