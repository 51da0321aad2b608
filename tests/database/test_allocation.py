"""The roulette: who gets which number, what the losers of a race get, and who gets none.

How the counter follows is in test_seats.py, how even the draw is in test_uniformity.py.
"""

import uuid

import pytest

from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.world import World


def draws_in_the_order_of_its_session(world: World) -> None:
    """Replaces the draw: the first number with room in test.order, which each session sets itself."""
    world.rows(
        "create or replace function messaging.draw_instance(p_strategy text) returns uuid language sql"
        " security definer set search_path = '' as $$ select i.id from public.whatsapp_instances as i"
        " join unnest(string_to_array(current_setting('test.order'), ',')) with ordinality as o (name, n)"
        " on o.name = i.id::text where messaging.has_room(i) order by o.n limit 1 $$"
    )


def prefers(session: World, *numbers: uuid.UUID) -> World:
    """The session, which now draws these numbers in this order."""
    session.value("select set_config('test.order', %s, false)", ",".join(map(str, numbers)))
    return session


def test_a_profile_gets_one_number_and_keeps_it(world: World) -> None:
    """Asked again, even when that number is full, paused or banned by now, the answer is the same."""
    number = world.number(seats=1)
    person = world.profile()
    assert world.allocate(person) == number
    world.number()
    for status in ("active", "paused", "banned", "disconnected"):
        world.set_status(number, status)
        assert world.allocate(person) == number
    assert world.instance(number)["current_users"] == 1


NO_ROOM: dict[str, object] = {
    "status": "paused",
    "in_pool": False,
    "accepts_new": False,
    "agency_id": uuid.UUID(int=1),
    "max_users": 0,
}


def test_only_an_open_number_of_the_house_is_drawn(world: World) -> None:
    """Not one that is down, halted, full, closed to new people, out of the pool or an agency's: null
    instead."""
    default = world.number()
    world.set_status(default, "paused")
    for column, value in NO_ROOM.items():
        world.rows(f"update public.whatsapp_instances set {column} = %s where id = %s", value, world.number())
    for status in ("banned", "disconnected"):
        world.set_status(world.number(), status)
    world.value("select messaging.halt_instance(%s, 'token refused', 'test')", world.number())
    world.client_numbers(3)
    for strategy in ("random", "balanced"):
        assert world.allocate(world.profile(), strategy) is None
    assert world.value("select count(*) from public.profiles where whatsapp_instance_id is not null") == 0


@pytest.mark.parametrize("strategy", ["random", "balanced"])
def test_the_last_free_seat_among_many_numbers_is_found(world: World, strategy: str) -> None:
    """199 full numbers and one with a seat: "full" is never said while a seat is free, and then it is."""
    world.rows(
        "select messaging.add_instance('n' || g, 'I-' || g, 't', 'c', 'test', null, 0)"
        " from generate_series(1, 199) as g"
    )
    last = world.number(seats=2)
    assert [world.allocate(world.profile(), strategy) for _ in range(3)] == [last, last, None]


def test_balanced_keeps_the_numbers_even(world: World) -> None:
    """Of two random numbers the emptier: 400 people on 10 numbers differ by a few, where chance alone
    gives 20."""
    numbers = {world.number(seats=100) for _ in range(10)}
    world.rows("select setseed(0.42)")
    assert {world.allocate(world.profile(), "balanced") for _ in range(400)} == numbers
    spread = world.value("select max(current_users) - min(current_users) from public.whatsapp_instances")
    assert spread <= 8


def test_what_cannot_be_allocated_is_refused(world: World) -> None:
    """No such profile: WP002. No such strategy: WP003."""
    person = world.profile()
    ask = "select public.allocate_whatsapp_instance(%s, %s)"
    assert world.refusal(ask, uuid.uuid4(), "random") == "WP002"
    assert world.refusal(ask, person, "emptiest") == "WP003"
    assert world.refusal(ask, person, None) == "WP003"


@pytest.mark.scoreboard("R10", tier="commit")
def test_two_allocations_for_the_last_seat(world: World, another: Worlds) -> None:
    """The one who waited gets no seat that is gone: null, and not one too many."""
    world.number(seats=1)
    people = [world.profile() for _ in range(2)]
    one, two = another(), another()
    with one.connection.transaction():
        assert one.allocate(people[0]) is not None
        waiting = Waiting(two, world, lambda: two.allocate(people[1]))
        assert waiting.is_waiting
    assert waiting.result() is None
    assert world.value("select current_users from public.whatsapp_instances") == 1


@pytest.mark.scoreboard("R10", tier="commit")
def test_two_allocations_of_one_profile_give_one_seat(world: World, another: Worlds) -> None:
    """The second waits for the first and answers with its number."""
    for _ in range(5):
        world.number()
    person = world.profile()
    one, two = another(), another()
    with one.connection.transaction():
        first = one.allocate(person)
        waiting = Waiting(two, world, lambda: two.allocate(person))
        assert waiting.is_waiting
    assert waiting.result() == first
    assert world.value("select sum(current_users) from public.whatsapp_instances") == 1


def test_a_seat_given_back_is_found_by_who_waited(world: World, another: Worlds) -> None:
    """No "full" because of a sign-up that was rolled back."""
    number = world.number(seats=1)
    people = [world.profile() for _ in range(2)]
    one, two = another(), another()
    one.rows("begin")
    one.allocate(people[0])
    waiting = Waiting(two, world, lambda: two.allocate(people[1]))
    one.rows("rollback")
    assert waiting.result() == number


def test_a_number_paused_while_a_seat_was_awaited_is_not_given(world: World, another: Worlds) -> None:
    """The seat is looked at again after the wait, its number's health too."""
    number, other = world.number(), world.number()
    draws_in_the_order_of_its_session(world)
    person = world.profile()
    operator, caller = another(), prefers(another(), number, other)
    with operator.connection.transaction():
        operator.set_status(number, "paused")
        waiting = Waiting(caller, world, lambda: caller.allocate(person))
        assert waiting.is_waiting
    assert waiting.result() == other


def test_a_lost_draw_holds_no_lock_while_the_next_one_waits(world: World, another: Worlds) -> None:
    """Two people who draw two numbers in opposite order cannot wait for each other: a lost draw unlocks."""
    first, second = world.number(seats=1), world.number(seats=2)
    draws_in_the_order_of_its_session(world)
    people = [world.profile() for _ in range(3)]
    winner, blocker, loser = prefers(another(), first), prefers(another(), second), another()
    prefers(loser, first, second)
    winner.rows("begin")
    winner.allocate(people[0])
    blocker.rows("begin")
    blocker.allocate(people[1])
    waiting = Waiting(loser, world, lambda: loser.allocate(people[2]))
    winner.rows("commit")
    waiting.now_waits_for(world, blocker)
    world.rows("select from public.whatsapp_instances where id = %s for no key update nowait", first)
    blocker.rows("commit")
    assert waiting.result() == second


def test_the_app_linking_the_profile_meanwhile_wins(world: World, another: Worlds) -> None:
    """A profile that another function binds during the allocation keeps that number: one seat, not two."""
    drawn, chosen = world.number(), world.number()
    draws_in_the_order_of_its_session(world)
    person = world.profile()
    app, caller = another(), prefers(another(), drawn)
    with app.connection.transaction():
        app.rows("update public.profiles set whatsapp_instance_id = %s where id = %s", chosen, person)
        waiting = Waiting(caller, world, lambda: caller.allocate(person))
        assert waiting.is_waiting
    assert waiting.result() == chosen
    assert (world.instance(drawn)["current_users"], world.instance(chosen)["current_users"]) == (0, 1)
