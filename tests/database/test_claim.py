"""claim: what a worker gets, what it never gets, and the clocks that it leaves behind."""

import itertools
from datetime import datetime

import psycopg
import pytest

from tests.database.conftest import Worlds
from tests.database.world import BentClock, World


def test_one_paced_message_per_number_and_call(world: World) -> None:
    """A number with three messages gives one; three numbers give three."""
    numbers = [world.number() for _ in range(3)]
    heads = [world.enqueue(number) for number in numbers]
    for number in numbers:
        world.enqueue(number)
    assert sorted(row.message_id for row in world.claim()) == heads
    assert world.claim() == []


def test_a_claim_takes_no_more_than_it_asks_for(world: World) -> None:
    """The limit counts messages, whatever the lanes; the rest is there for the next call."""
    number = world.number()
    for n in range(5):
        world.reply(number, f"55119{n:08d}")
    world.enqueue(number)
    world.enqueue(world.number())
    assert [len(world.claim(2)) for _ in range(5)] == [2, 2, 2, 1, 0]


def test_a_number_that_gave_fewer_than_it_has_is_looked_at_again(world: World) -> None:
    """What the limit left behind keeps its number awake."""
    number = world.number()
    for n in range(3):
        world.reply(number, f"55119{n:08d}")
    world.claim(1)
    assert world.value("select ready_at <= messaging.clock() from messaging.senders")


def test_messages_of_the_future_stay_where_they_are(world: World, bent_clock: BentClock) -> None:
    """not_before is obeyed to the moment, and the number sleeps until then."""
    number = world.number()
    message = world.enqueue(number, not_before=bent_clock.now().replace(minute=10))
    assert world.claim() == []
    assert world.value("select messaging.ready_in_s()") == 600
    bent_clock.forward(599.9)
    assert world.claim() == []
    bent_clock.forward(0.1)
    assert [row.message_id for row in world.claim()] == [message]


def test_an_idle_number_sleeps(world: World) -> None:
    """Pitfall 4: greatest() passes over nulls; a number with nothing to do must not become a hot loop."""
    number = world.number(gap=(0, 0))
    world.record(world.begun(world.enqueue(number)))
    assert world.sender(number)["ready_at"] is None


@pytest.mark.parametrize("why", ["no number", "no message", "all paused"])
def test_a_worker_with_nothing_to_do_is_told_so(world: World, why: str) -> None:
    """Pitfall 4: ready_in_s is null, not 0, when there is nothing to wait for; 0 would make every worker
    spin."""
    if why != "no number":
        number = world.number()
    if why == "all paused":
        world.enqueue(number)
        world.value("select messaging.pause_all('test')")
    assert world.value("select messaging.ready_in_s()") is None


@pytest.mark.own_database
def test_after_an_outage_everything_overdue_goes_at_the_pace(world: World, bent_clock: BentClock) -> None:
    """Pitfall 10: an hour without workers is followed by one message per gap, never by a burst."""
    number = world.number()
    for _ in range(5):
        world.enqueue(number)
    bent_clock.forward(3600)
    begun_at: list[datetime] = []
    while len(begun_at) < 5:
        for claimed in world.claim():
            world.record(world.begin(claimed)["attempt_id"])
            begun_at.append(bent_clock.now())
        bent_clock.forward(0.5)
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(begun_at)]
    assert all(25 <= gap <= 45.5 for gap in gaps)


def test_a_worker_that_died_before_begin_costs_a_lease_and_nothing_else(
    world: World, bent_clock: BentClock
) -> None:
    """Pitfall 3: leased and never begun is queued again by the claim itself, without a reaper, after 5 +
    20 + 45 s."""
    message = world.enqueue(world.number())
    first = world.claim()[0]
    bent_clock.forward(69.9)
    assert world.claim() == []
    bent_clock.forward(0.1)
    again = world.claim()[0]
    assert (again.message_id, again.lease_token != first.lease_token) == (message, True)
    assert world.value("select count(*) from messaging.attempts") == 0


def test_a_worker_that_died_after_begin_leaves_an_unknown_that_is_never_sent_again(
    world: World, bent_clock: BentClock
) -> None:
    """Pitfall 11: begun and never recorded is unknown; the number goes on with its next message."""
    number = world.number()
    message = world.enqueue(number)
    world.begun(message)
    other = world.enqueue(number)
    bent_clock.forward(70)
    assert [row.message_id for row in world.claim()] == [other]
    assert world.state(message) == "unknown"
    for _ in range(10):
        bent_clock.forward(600)
        assert message not in [row.message_id for row in world.claim()]


def test_a_lease_is_settled_even_on_a_number_that_went_down(world: World, bent_clock: BentClock) -> None:
    """A paused number's open attempts still come to an end, and then it sleeps."""
    number = world.number()
    message = world.enqueue(number)
    world.begun(message)
    world.set_status(number, "paused")
    bent_clock.forward(70)
    assert world.claim() == []
    assert (world.state(message), world.sender(number)["ready_at"]) == ("unknown", None)


def test_what_may_not_go_leaves_the_head(world: World, bent_clock: BentClock) -> None:
    """Fifty held messages to one unknown person do not keep the next person's message back beyond three
    calls."""
    number = world.number(gap=(0, 0))
    person = "5511987654321"
    world.record(world.begun(world.enqueue(number, phone=person)), "unknown")
    held = [world.enqueue(number, phone=person) for _ in range(50)]
    free = world.enqueue(number)
    claimed = [row.message_id for _ in range(3) for row in world.claim()]
    assert claimed == [free]
    assert {world.state(message) for message in held} == {"held"}


@pytest.mark.own_database
def test_claim_refuses_an_isolation_level_in_which_it_would_look_at_the_past(world: World) -> None:
    """Pitfall 1: only READ COMMITTED sees what was committed while it waited for the lock."""
    world.rows("begin isolation level repeatable read")
    with pytest.raises(psycopg.Error, match="READ COMMITTED"):
        world.claim()
    world.rows("rollback")


def test_a_claim_locks_no_more_numbers_than_it_asked_for(world: World, another: Worlds) -> None:
    """Pitfall 6: a limited subquery beside a lock may lock more; here two workers share four numbers two
    and two."""
    for _ in range(4):
        world.enqueue(world.number())
    one, two = another(), another()
    with one.connection.transaction(), two.connection.transaction():
        assert (len(one.claim(2)), len(two.claim(4))) == (2, 2)


def test_an_open_import_does_not_hide_numbers_from_the_claim(world: World, another: Worlds) -> None:
    """Pitfall 5: a foreign key's KEY SHARE on a number (an open insert of profiles) does not stop its
    messages."""
    number = world.number()
    message = world.enqueue(number)
    app = another()
    app.rows("begin")
    app.rows("select from public.whatsapp_instances where id = %s for key share", number)
    app.rows("select from messaging.senders where instance_id = %s for key share", number)
    assert [row.message_id for row in world.claim()] == [message]
    app.rows("rollback")


def test_a_claim_that_makes_no_sense_is_refused(world: World) -> None:
    """A worker has a name and asks for 1 to 200."""
    for arguments in ("'', 1", "null, 1", "'w', 0", "'w', 201", "'w', null"):
        assert world.refusal(f"select * from messaging.claim({arguments})") == "WP003", arguments


@pytest.mark.own_database
def test_a_message_that_always_fails_to_connect_keeps_the_pace(world: World, bent_clock: BentClock) -> None:
    """not_sent moves the slot like any attempt: a dead provider is asked once per gap, not in a loop."""
    world.enqueue(world.number())
    tries = 0
    for _ in range(600):
        for claimed in world.claim():
            world.record(world.begin(claimed)["attempt_id"], "not_sent")
            tries += 1
        bent_clock.forward(1)
    assert 600 / 46 <= tries <= 600 / 25 + 1


def test_the_clock_runs_inside_a_transaction(world: World) -> None:
    """Pitfall 9: now() stands still at the transaction's start; our clock does not."""
    with world.connection.transaction():
        assert world.value("select messaging.clock() > now()") is True
