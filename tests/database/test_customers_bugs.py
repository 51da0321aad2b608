"""Bugs 04 to 07 of the originals: seats that were given twice, taken by anybody, or never given back."""

import psycopg
import pytest

from tests.database.customers import checkout, with_status
from tests.database.sessions import all_at_once
from tests.database.world import Connect, World


def taken(world: World) -> int:
    """The seats that the numbers say are taken; it must be the number of people who have one."""
    counted = int(world.value("select coalesce(sum(current_users), 0) from public.whatsapp_instances"))
    assert counted == world.value("select count(whatsapp_instance_id) from public.profiles")
    return counted


def test_bug_04_concurrent_sign_ups_never_take_more_seats_than_there_are(
    world: World, connect: Connect
) -> None:
    """The original drew a number and counted in two steps, without a lock: 32 people at once, 20 seats,
    trials and purchases mixed, and the last seat is still given."""
    numbers = [world.number(seats=10) for _ in range(2)]
    answers = all_at_once(
        [connect() for _ in range(32)],
        lambda w, n: (
            w.sign_up(f"55119876500{n:02d}")
            if n % 2
            else checkout(w, phone=f"55119876500{n:02d}", subscription_id=f"sub_{n}", customer_id=f"cus_{n}")
        ),
    )
    assert sum(not row["no_room"] for row in answers) == 20
    assert [world.instance(number)["current_users"] for number in numbers] == [10, 10]
    assert taken(world) == 20


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_bug_05_nobody_but_the_service_may_draw_a_number(world: World, role: str) -> None:
    """The original's allocation could be executed by anybody who had the page's key; now the call itself is
    refused, and the counter cannot be written past it."""
    world.number()
    profile = world.profile("5511987650001")
    world.rows(f"set role {role}")
    assert world.refusal("select public.allocate_whatsapp_instance(%s)", profile) == "42501"
    assert world.refusal("select messaging.draw_instance('random')") == "42501"
    assert world.refusal("update public.whatsapp_instances set current_users = 0") == "42501"
    world.rows("set role service_role")
    assert world.refusal("update public.whatsapp_instances set current_users = 0") == "42501"
    assert world.refusal("select public.allocate_whatsapp_instance(%s)", profile) is None
    world.rows("reset role")
    assert taken(world) == 1


def test_bug_06_a_seat_is_given_back_by_a_move_a_clean_up_and_a_deletion(world: World) -> None:
    """The original's counter only rose; deleting canceled people, moving somebody by hand or unlinking left
    it behind. Here it follows whatever is done to the profiles, many at once included."""
    one, two = world.number(), world.number()
    people = [world.profile(f"55119876500{n:02d}", one) for n in range(6)]
    assert (world.instance(one)["current_users"], taken(world)) == (6, 6)
    world.rows("update public.profiles set whatsapp_instance_id = %s where id = any(%s)", two, people[:2])
    assert [world.instance(n)["current_users"] for n in (one, two)] == [4, 2]
    world.rows("update public.profiles set status = 'canceled' where id = any(%s)", people[1:3])
    world.rows("delete from public.profiles where status = 'canceled'")
    assert [world.instance(n)["current_users"] for n in (one, two)] == [3, 1]
    world.rows("update public.profiles set whatsapp_instance_id = null where id = %s", people[0])
    world.rows("delete from public.profiles where id = %s", people[5])
    assert [world.instance(n)["current_users"] for n in (one, two)] == [2, 0]
    assert taken(world) == 2


@pytest.mark.parametrize("door", ["start-trial", "stripe-webhook"])
def test_bug_07_a_sign_up_that_fails_after_its_seat_was_given_keeps_none(world: World, door: str) -> None:
    """The seat counted for good though the profile was never stored. Here the last step of both doors fails,
    the text, and neither profile, seat nor event is left: a second try starts from nothing."""
    world.number()
    world.rows(
        "create function public.break() returns trigger language plpgsql as"
        " 'begin raise exception ''the outbox is broken''; end'"
    )
    world.rows("create trigger broken before insert on messaging.outbox execute function public.break()")

    def sign_up() -> object:
        return world.sign_up("5511987650001") if door == "start-trial" else checkout(world, event_id="evt_1")

    with pytest.raises(psycopg.errors.RaiseException):
        sign_up()
    assert taken(world) == 0
    assert world.value("select count(*) from public.profiles") == 0
    assert world.value("select count(*) from messaging.stripe_events") == 0
    world.rows("drop trigger broken on messaging.outbox")
    sign_up()
    assert taken(world) == 1


def test_bug_07_a_known_person_whose_purchase_fails_is_left_as_before(world: World) -> None:
    """No seat and no status of a purchase that did not come to its end."""
    world.number()
    profile = with_status(world, "canceled")
    world.rows("alter table messaging.stripe_events add check (outcome = 'taken')")
    with pytest.raises(psycopg.errors.CheckViolation):
        checkout(world)
    assert taken(world) == 0
    assert world.value("select status from public.profiles where id = %s", profile) == "canceled"
