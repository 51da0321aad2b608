"""Health, phones and storms of agencies' numbers when several sessions act at once."""

import uuid

import pytest

from tests.database.agency_actions import AGENCY, CLIENTS, found_agency
from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.test_pairing import ask_as, begin, connection, opened
from tests.database.world import World

PHONE = "5511987654321"


@pytest.fixture
def agency(world: World) -> World:
    """A manager with three clients asks."""
    found_agency(world)
    ask_as(world, AGENCY)
    return world


def healthy(world: World, number: uuid.UUID, connected: bool = True) -> None:
    """What the provider says of a number."""
    world.rows("select messaging.record_health(%s, %s)", number, connected)


def set_phone(world: World, number: uuid.UUID, phone: str = PHONE) -> None:
    """Which phone answers on it."""
    world.rows("select messaging.set_phone_number(%s, %s, 'test')", number, phone)


def test_a_phone_that_went_to_another_number_meanwhile_halts_the_one_that_comes_back(agency: World) -> None:
    """Away, its phone paired elsewhere, then scanned here again: no event names a phone that is known."""
    first, second = opened(agency), begin(agency, CLIENTS[1])
    set_phone(agency, first)
    healthy(agency, first, False)
    set_phone(agency, second)
    healthy(agency, second)
    healthy(agency, first)
    halted = [agency.instance(number)["halted_reason"] for number in (first, second)]
    assert halted == ["phone_in_use", None]


def test_two_numbers_that_get_one_phone_at_once_are_one_behind_the_other(
    agency: World, another: Worlds
) -> None:
    """Two sessions: neither had seen the other, and both would have spoken."""
    first, second = opened(agency), opened(agency, CLIENTS[1])
    one, other = another(), another()
    with one.connection.transaction():
        set_phone(one, first)
        waiting = Waiting(other, agency, lambda: set_phone(other, second))
        assert waiting.is_waiting
    waiting.result()
    halted = [agency.instance(number)["halted_reason"] for number in (first, second)]
    assert halted == [None, "phone_in_use"]


def test_a_number_paused_and_then_ended_keeps_no_phone(agency: World) -> None:
    """It may be paired elsewhere: what is out of service and disconnected speaks through none."""
    first, second = opened(agency), opened(agency, CLIENTS[1])
    set_phone(agency, first)
    agency.set_status(first, "paused")
    set_phone(agency, second)
    assert agency.instance(second)["halted_reason"] == "phone_in_use"
    agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])
    healthy(agency, second)
    assert agency.instance(second)["halted_reason"] is None


@pytest.mark.parametrize("phone_is_taken", [False, True])
def test_an_operator_s_resume_makes_no_second_voice(agency: World, phone_is_taken: bool) -> None:
    """Neither of a number that no phone ever scanned, nor of one whose phone another number has."""
    first, second = opened(agency), (opened if phone_is_taken else begin)(agency, CLIENTS[1])
    for number in (first, second):
        set_phone(agency, number)
    agency.rows("update public.whatsapp_instances set last_health_check = now() - interval '1 h'")
    for status in ("paused", "active"):
        agency.set_status(second, status)
    found = agency.instance(second)
    if phone_is_taken:
        assert (found["status"], found["halted_reason"]) == ("active", "phone_in_use")
        agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])
        agency.set_status(second, "active")
        assert agency.instance(second)["halted_reason"] is None
    else:
        assert found["status"] == "disconnected"
        assert connection(agency, CLIENTS[1])["first_connected_at"] is None
    asked = agency.rows("select instance_id from messaging.take_health_checks(60, 1)")
    assert [row["instance_id"] for row in asked] == [second]


def test_a_storm_and_a_health_check_do_not_lock_each_other_out(agency: World, another: Worlds) -> None:
    """Two sessions, in the one order of locks: the number, then its pairing."""
    number = opened(agency)
    agency.rows("update public.whatsapp_instances set last_health_check = now() - interval '20 s'")
    checking, stormy = another(), another()
    for session in (checking, stormy):
        session.rows("set deadlock_timeout = '20ms'")
    with checking.connection.transaction():
        checking.rows("select from public.whatsapp_instances where id = %s for no key update", number)
        noted = Waiting(stormy, agency, lambda: stormy.rows("select messaging.note_connecting(%s)", number))
        healthy(checking, number, False)
    noted.result()
    assert connection(agency)["status"] == "disconnected"


def test_what_a_lock_kept_from_the_row_is_put_right_by_the_next_look(agency: World, another: Worlds) -> None:
    """Two sessions: the app has the connection's row while the number closes; it does not say connected for
    ever (bug 25)."""
    number = opened(agency)
    app = another()
    with app.connection.transaction():
        app.rows("update public.whatsapp_connections set updated_at = now()")
        healthy(agency, number, False)
        assert connection(agency)["status"] == "connected"
    healthy(agency, number, False)
    assert connection(agency)["status"] == "disconnected"
