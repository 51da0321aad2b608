"""sign_up: profile, seat and welcome in one transaction; one person once, however often and from wherever
it is asked."""

import psycopg
import pytest

from tests.database.conftest import Worlds
from tests.database.sessions import Waiting, all_at_once
from tests.database.world import Connect, World


def test_a_sign_up_makes_a_profile_a_seat_and_a_welcome(world: World) -> None:
    """All three, on the number that was drawn."""
    number = world.number()
    answer = world.sign_up("5511987654321", p_run_id="r1")
    assert (answer["already_exists"], answer["no_room"], answer["instance_id"]) == (False, False, number)
    message = world.message(answer["message_id"])
    assert (message["purpose"], message["instance_id"], message["run_id"]) == ("welcome", number, "r1")
    assert message["content"] == {"kind": "text", "text": "Oi!"}
    assert world.instance(number)["current_users"] == 1


def test_asked_again_in_the_other_form_it_gives_the_same_profile(world: World) -> None:
    """12 and 13 digits are one person: no second profile, seat or message."""
    world.number()
    first = world.sign_up("5511987654321")
    again = world.sign_up("551187654321")
    assert (again["profile_id"], again["instance_id"]) == (first["profile_id"], first["instance_id"])
    assert (again["already_exists"], again["message_id"]) == (True, None)
    assert world.value("select count(*) from messaging.outbox") == 1


def test_with_no_room_the_profile_stands_and_the_default_number_speaks(world: World) -> None:
    """The one too many is told so, the first time and when asked again; the welcome leaves from the
    default number."""
    default = world.number(seats=1)
    world.sign_up("5511900000001")
    answer = world.sign_up("5511900000002")
    assert (answer["no_room"], answer["instance_id"]) == (True, None)
    assert world.message(answer["message_id"])["instance_id"] == default
    again = world.sign_up("5511900000002")
    assert (again["profile_id"], again["no_room"]) == (answer["profile_id"], True)


def test_without_any_number_the_profile_still_stands(world: World) -> None:
    """Nothing to send from is no reason to lose a person."""
    answer = world.sign_up("5511900000002")
    assert (answer["no_room"], answer["message_id"]) == (True, None)
    assert world.value("select count(*) from public.profiles") == 1


@pytest.mark.parametrize(
    "arguments",
    [("", "5511987654321", "Oi"), ("Ana", "123", "Oi"), ("Ana", None, "Oi"), ("Ana", "5511987654321", "")],
)
def test_a_refused_sign_up_leaves_nothing(world: World, arguments: tuple[str | None, ...]) -> None:
    """No name, no phone, no welcome: WP003, and neither profile nor seat stay (bug 07)."""
    world.number()
    with pytest.raises(psycopg.Error) as refused:
        world.rows("select messaging.sign_up(%s, %s, 'a@b', %s, 'start-trial')", *arguments)
    assert refused.value.sqlstate == "WP003"
    assert world.value("select count(*) from public.profiles") == 0
    assert world.value("select sum(current_users) from public.whatsapp_instances") == 0


def test_one_person_from_32_threads_is_one_person(world: World, connect: Connect) -> None:
    """Both forms of one phone at once: one profile, one seat, one message, and every thread hears of them."""
    for _ in range(5):
        world.number()
    forms = ("5511987654321", "551187654321", "+55 11 8765-4321", "+55 11 98765-4321")
    answers = all_at_once([connect() for _ in range(32)], lambda session, n: session.sign_up(forms[n % 4]))
    assert len({(row["profile_id"], row["instance_id"]) for row in answers}) == 1
    assert sum(not row["already_exists"] for row in answers) == 1
    assert world.value("select sum(current_users) from public.whatsapp_instances") == 1
    assert world.value("select count(*) from messaging.outbox") == 1


def test_the_app_inserting_the_same_person_meanwhile_is_no_error(world: World, another: Worlds) -> None:
    """A profile that another function inserts during the sign-up is found, not run into."""
    world.number()
    app, caller = another(), another()
    app.rows("begin")
    profile = app.profile("551187654321")
    waiting = Waiting(caller, world, lambda: caller.sign_up("5511987654321"))
    app.rows("commit")
    answer = waiting.result()
    assert (answer["profile_id"], answer["already_exists"]) == (profile, True)


@pytest.mark.slow
def test_a_sign_up_beside_connected_client_numbers_never_lands_on_one(world: World) -> None:
    """A thousand people, fifty numbers that clients connected: none on them."""
    world.client_numbers(50)
    for _ in range(5):
        world.number(seats=200)
    world.rows(
        "select messaging.sign_up('Ana', '55119' || (10000000 + g), 'a@b', 'Oi', 'test')"
        " from generate_series(1, 1000) as g"
    )
    placed = world.rows(
        "select i.in_pool, i.agency_id is null as house, count(*) from public.profiles as p"
        " inner join public.whatsapp_instances as i on i.id = p.whatsapp_instance_id group by 1, 2"
    )
    assert placed == [{"in_pool": True, "house": True, "count": 1000}]


def test_a_person_whom_the_apps_own_rules_refuse_is_not_lost_in_silence(world: World) -> None:
    """Where the app lets an e-mail stand once, a second phone with it is an error, not "exists already"."""
    world.number()
    world.rows("alter table public.profiles add unique (email)")
    world.sign_up("5511900000001")
    with pytest.raises(psycopg.Error):
        world.sign_up("5511900000002")


def test_a_known_person_without_a_number_gets_one_as_soon_as_there_is_room(world: World) -> None:
    """Asked again after seats were added, "no room" is not answered from memory (bug 19)."""
    full = world.number(seats=0)
    assert world.sign_up("5511987654321")["no_room"] is True
    world.value("select messaging.set_seats(%s, 1, 'test')", full)
    again = world.sign_up("5511987654321")
    assert (again["already_exists"], again["no_room"], again["instance_id"]) == (True, False, full)
