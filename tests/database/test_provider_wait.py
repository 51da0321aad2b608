"""A provider that asks to wait (429, Retry-After) asks the whole number, whatever else ends meanwhile."""

import pytest

from tests.database.world import BentClock, World

ANA, BIA = "5511911112222", "5511911113333"
# Within the quarter of an hour for which an answer is kept.
WAIT_S = 480


def claimed(world: World) -> list[int]:
    """The ids that a worker gets now."""
    return [row.message_id for row in world.claim()]


def asked_to_wait(world: World, attempt: int, seconds: float = WAIT_S) -> None:
    """The provider answers 429."""
    world.record(attempt, "not_sent", p_http_status=429, p_retry_after_s=seconds)


def silent_until_the_wait_is_over(world: World, bent_clock: BentClock, already_s: float = 0) -> list[int]:
    """Nothing leaves before the wait is over, and workers sleep so long; what one gets at that moment."""
    bent_clock.forward(1)
    assert claimed(world) == []
    assert world.value("select messaging.ready_in_s()") == WAIT_S - already_s - 1
    bent_clock.forward(WAIT_S - already_s - 1.001)
    assert claimed(world) == []
    bent_clock.forward(0.001)
    return claimed(world)


def test_a_paced_send_that_ends_during_the_wait_does_not_shorten_it(
    world: World, bent_clock: BentClock
) -> None:
    """Its gap of 45 s is over long before the 480 s that an answer's 429 asked for."""
    number = world.number()
    in_flight, answer = world.begun(world.enqueue(number)), world.begun(world.reply(number, ANA))
    asked_to_wait(world, answer)
    following = world.enqueue(number)
    world.record(in_flight)
    assert following in silent_until_the_wait_is_over(world, bent_clock)


def test_a_begin_that_the_wait_overtook_is_refused_and_frees_no_slot(
    world: World, bent_clock: BentClock
) -> None:
    """Claimed before the 429, begun after it: nothing leaves, and the message goes when the wait is over."""
    number = world.number()
    paced, first, second = world.enqueue(number), world.reply(number, ANA), world.reply(number, BIA)
    leases = {row.message_id: row for row in world.claim()}
    asked_to_wait(world, world.begin(leases[first])["attempt_id"])
    for message in (paced, second):
        assert world.begin(leases[message])["refusal"] == "the provider asked the number to wait"
        assert world.state(message) == "queued"
    assert sorted(silent_until_the_wait_is_over(world, bent_clock)) == [paced, first, second]


def test_the_next_persons_answer_waits_too(world: World, bent_clock: BentClock) -> None:
    """Written one second after "wait 480 s", to somebody else: the number still waits."""
    number = world.number()
    asked_to_wait(world, world.begun(world.reply(number, ANA)))
    bent_clock.forward(1)
    answer = world.reply(number, BIA)
    assert answer in silent_until_the_wait_is_over(world, bent_clock, already_s=1)


def test_a_paced_429_makes_answers_wait(world: World, bent_clock: BentClock) -> None:
    """The other way round: it is the number that is asked, not the lane."""
    number = world.number()
    asked_to_wait(world, world.begun(world.enqueue(number)))
    answer = world.reply(number, ANA)
    assert answer in silent_until_the_wait_is_over(world, bent_clock)


def test_of_two_waits_the_longer_holds(world: World, bent_clock: BentClock) -> None:
    """A second 429 that asks for less takes nothing back."""
    number = world.number()
    first, second = world.reply(number, ANA), world.reply(number, BIA)
    leases = {row.message_id: row for row in world.claim()}
    attempts = [world.begin(leases[each])["attempt_id"] for each in (first, second)]
    asked_to_wait(world, attempts[0])
    asked_to_wait(world, attempts[1], 10)
    assert sorted(silent_until_the_wait_is_over(world, bent_clock)) == [first, second]


def test_a_lease_that_runs_out_during_the_wait_lets_nothing_out(world: World, bent_clock: BentClock) -> None:
    """The number is looked at for it, and the lost send is settled; the answers behind it still wait."""
    number = world.number()
    first, second = world.reply(number, ANA), world.reply(number, BIA)
    leases = {row.message_id: row for row in world.claim()}
    lost, asked = (world.begin(leases[each])["attempt_id"] for each in (first, second))
    asked_to_wait(world, asked)
    answer, paced = world.reply(number, ANA), world.enqueue(number)
    bent_clock.forward(300)
    assert claimed(world) == []
    assert world.value("select outcome from messaging.attempts where id = %s", lost) == "unknown"
    assert {world.state(answer), world.state(paced)} == {"queued"}
    world.decide(first, "drop")
    bent_clock.forward(WAIT_S - 300)
    assert set(claimed(world)) >= {second, paced}


def test_a_429_that_comes_after_its_lease_was_settled_is_heard(world: World, bent_clock: BentClock) -> None:
    """The worker was slow: its message is uncertain by then, and still the number was asked to wait."""
    number = world.number()
    attempt = world.begun(world.reply(number, ANA))
    bent_clock.forward(300)
    answer, paced = world.reply(number, BIA), world.enqueue(number)
    world.value("select messaging.expire_due()")
    asked_to_wait(world, attempt)
    assert sorted(silent_until_the_wait_is_over(world, bent_clock)) == [answer, paced]


@pytest.mark.parametrize("down", ["paused", "disconnected"])
def test_the_wait_outlives_a_number_that_goes_down_and_comes_back(
    world: World, bent_clock: BentClock, down: str
) -> None:
    """A pause in between is no answer to what the provider asked."""
    number = world.number()
    asked_to_wait(world, world.begun(world.enqueue(number)))
    world.set_status(number, down)
    world.set_status(number, "active")
    world.reply(number, ANA)
    assert silent_until_the_wait_is_over(world, bent_clock) != []


def test_a_cancel_during_the_wait_frees_no_slot(world: World, bent_clock: BentClock) -> None:
    """Withdrawing a leased message gives its slot back, but not before the end of the wait."""
    number = world.number()
    first, answer = world.enqueue(number), world.reply(number, ANA)
    leases = {row.message_id: row for row in world.claim()}
    asked_to_wait(world, world.begin(leases[answer])["attempt_id"])
    world.cancel(message_id=first)
    following = world.enqueue(number)
    assert following in silent_until_the_wait_is_over(world, bent_clock)


def test_why_tells_the_wait_and_foretells_its_end(world: World, bent_clock: BentClock) -> None:
    """An answer, a paced message and the one that was refused: each says until when, and that comes true."""
    number = world.number()
    refused = world.reply(number, ANA)
    asked_to_wait(world, world.begun(refused))
    bent_clock.forward(10)
    waiting = [refused, world.reply(number, BIA), world.enqueue(number)]
    name = world.instance(number)["name"]
    for message in waiting:
        told = world.value("select messaging.explain(%s)", message)
        assert told["because"] == f"the provider asked the number {name} to wait until 12:08:00"
        assert told["expected_at"].startswith("2025-06-10T15:08:00")
    bent_clock.forward(WAIT_S - 10)
    assert "asked" not in world.value("select messaging.explain(%s)", waiting[1])["because"]
    assert sorted(claimed(world)) == waiting


def test_what_has_a_later_time_of_its_own_says_that(world: World, bent_clock: BentClock) -> None:
    """The wait is not the reason where it is over long before."""
    number = world.number()
    asked_to_wait(world, world.begun(world.reply(number, ANA)))
    later = world.enqueue(number, not_before=bent_clock.now().replace(hour=18))
    assert world.value("select messaging.explain(%s)", later)["because"] == "its time has not come"
