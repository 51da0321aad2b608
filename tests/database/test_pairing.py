"""What the database itself promises of a pairing: codes, turns at the provider, ends; phones, events."""

import json
import uuid
from typing import Any

import pytest

from tests.database.agency_actions import AGENCY, CLIENTS, found_agency
from tests.database.world import BentClock, Row, World

CODE, LATER_CODE = "2@first,a,b,c", "2@second,a,b,c"
LIFE_S, LIMIT_S = 45, 300


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> World:
    """A manager with three clients asks; the clock is moved by the test."""
    found_agency(world)
    ask_as(world, AGENCY)
    return world


def ask_as(world: World, person: uuid.UUID | None) -> None:
    """From now on this person's token is shown."""
    claims = json.dumps({"sub": str(person)}) if person else ""
    world.rows("select set_config('request.jwt.claims', %s, false)", claims)


def begin(world: World, client: uuid.UUID | None = CLIENTS[0]) -> uuid.UUID:
    """The number of a pairing that has begun."""
    number: uuid.UUID = world.value("select instance_id from messaging.begin_connection(%s)", client)
    return number


def view(world: World, client: uuid.UUID | None = CLIENTS[0]) -> Row:
    """What the dialog shows."""
    return world.rows("select * from messaging.pairing_view(%s)", client)[0]


def show(world: World, number: uuid.UUID, code: str = CODE, **more: object) -> Any:
    """A code of the provider's arrives."""
    return world.value(
        "select messaging.show_qr(%s, %s, %s, %s)",
        number, code, more.get("pairing_code"), more.get("made_at"),
    )  # fmt: skip


def opened(world: World, client: uuid.UUID | None = CLIENTS[0]) -> uuid.UUID:
    """A number whose phone has scanned."""
    number = begin(world, client)
    world.rows("select messaging.record_health(%s, true)", number)
    return number


def connection(world: World, client: uuid.UUID | None = CLIENTS[0]) -> Row:
    """Its row, as the app reads it."""
    return world.rows(
        "select * from public.whatsapp_connections"
        " where agency_id = %s and client_id is not distinct from %s",
        AGENCY, client,
    )[0]  # fmt: skip


def test_a_code_is_shown_while_it_lives_and_no_second_longer(agency: World, bent_clock: BentClock) -> None:
    """45 s after it was made known there is nothing to scan, and the dialog still waits."""
    number = begin(agency)
    assert show(agency, number)
    bent_clock.forward(LIFE_S - 1)
    assert (view(agency)["qr_code"], round(view(agency)["expires_in_s"])) == (CODE, 1)
    bent_clock.forward(1)
    assert view(agency)["qr_code"] is None
    assert view(agency)["pairing_state"] == "waiting_for_scan"


def test_the_last_code_handed_out_again_is_not_made_young(agency: World, bent_clock: BentClock) -> None:
    """The provider answers `connect` with the code that it has, however old (evolution contract 4)."""
    number = begin(agency)
    show(agency, number)
    bent_clock.forward(30)
    assert show(agency, number) is False
    assert round(view(agency)["expires_in_s"]) == LIFE_S - 30


def test_a_late_event_brings_no_older_code_back(agency: World) -> None:
    """Events come in any order: the provider's own time of each decides between two of them."""
    number = begin(agency)
    show(agency, number, LATER_CODE, made_at="2026-11-22 10:00:45+00")
    assert show(agency, number, CODE, made_at="2026-11-22 10:00:00+00") is False
    assert view(agency)["qr_code"] == LATER_CODE


def test_nothing_is_shown_when_the_time_is_over(agency: World, bent_clock: BentClock) -> None:
    """After five minutes the pairing has expired, and a code that arrives then is not kept."""
    number = begin(agency)
    bent_clock.forward(LIMIT_S)
    assert show(agency, number) is False
    assert (view(agency)["pairing_state"], view(agency)["limit_in_s"]) == ("expired", 0)


def test_a_second_dialog_joins_the_pairing_under_way(agency: World, bent_clock: BentClock) -> None:
    """Two browsers on one client see one code and one limit; after the limit a new pairing begins."""
    number = begin(agency)
    show(agency, number)
    bent_clock.forward(10)
    assert begin(agency) == number
    assert (view(agency)["qr_code"], round(view(agency)["limit_in_s"])) == (CODE, LIMIT_S - 10)
    bent_clock.forward(LIMIT_S)
    begin(agency)
    assert (view(agency)["pairing_state"], view(agency)["qr_code"]) == ("connecting", None)


def test_codes_are_gone_once_the_phone_has_scanned(agency: World) -> None:
    """A code is a credential: connected, expired, refused, none keeps it."""
    number = begin(agency)
    show(agency, number, pairing_code="ABCD1234")
    agency.rows("select messaging.record_health(%s, true)", number)
    row = agency.rows("select * from messaging.pairings where instance_id = %s", number)[0]
    assert (row["pairing_state"], row["qr_code"], row["pairing_code"]) == ("connected", None, None)


def test_one_process_at_a_time_has_the_number_at_the_provider(agency: World, bent_clock: BentClock) -> None:
    """The second gets nothing until the first gives its turn back or its time is over; a stale one ends
    nothing."""
    number = begin(agency)
    first = agency.value("select messaging.take_lifecycle(%s, 'a', 30)", number)
    assert agency.value("select messaging.take_lifecycle(%s, 'b', 30)", number) is None
    bent_clock.forward(30)
    second = agency.value("select messaging.take_lifecycle(%s, 'b', 30)", number)
    assert second not in (None, first)
    assert agency.value("select messaging.give_lifecycle(%s, %s)", number, first) is False
    assert agency.value("select messaging.give_lifecycle(%s, %s)", number, second) is True


def test_a_pairing_nobody_looks_at_is_given_up(agency: World, bent_clock: BentClock) -> None:
    """The dialog was closed: after four minutes the number is handed out; a watched one is not."""
    left, watched = begin(agency), begin(agency, CLIENTS[1])
    bent_clock.forward(200)
    view(agency, CLIENTS[1])
    bent_clock.forward(60)
    stale = [
        row["instance_id"] for row in agency.rows("select * from messaging.take_stale_pairings(240, 10)")
    ]
    assert stale == [left] and watched != left
    assert agency.rows("select * from messaging.take_stale_pairings(240, 10)") == []


def test_a_reconnect_keeps_the_number_with_its_pace(agency: World) -> None:
    """Ended and begun again, it is the same number: when it may send next does not start anew."""
    number = opened(agency)
    agency.rows(
        "update messaging.senders set next_send_at = messaging.clock() + interval '40 s'"
        " where instance_id = %s",
        number,
    )
    before = agency.sender(number)["next_send_at"]
    agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])
    agency.value("select messaging.orphan_removed(%s)", number)
    assert opened(agency) == number
    assert agency.sender(number)["next_send_at"] == before


def test_an_ended_connection_is_not_opened_by_what_the_provider_still_has(agency: World) -> None:
    """Until the provider's side is removed it may call itself open: nothing is sent there any more."""
    number = opened(agency)
    agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])
    assert agency.value("select messaging.record_health(%s, true)", number) == "disconnected"
    assert [row["instance_id"] for row in agency.rows("select * from messaging.take_orphans()")] == [number]


def test_whoever_removes_the_link_ends_the_connection_too(agency: World) -> None:
    """Also past our functions, as the original's page does: silent, withdrawn, and the provider's side an
    orphan (bug 31)."""
    number = opened(agency)
    message = agency.enqueue(number, purpose="agency_message")
    agency.rows("delete from public.client_manager_links where client_user_id = %s", CLIENTS[0])
    assert agency.instance(number)["status"] == "disconnected"
    assert agency.state(message) == "withdrawn"
    assert agency.value("select messaging.is_orphan(%s)", number) is True
    assert agency.value("select count(*) from public.whatsapp_connections") == 0


def test_another_agencys_number_is_not_taken_over(agency: World) -> None:
    """A client that moves to another agency waits until nothing of the old connection is left; then the
    number is the new agency's."""
    number = opened(agency)
    other = uuid.uuid4()
    agency.rows("delete from public.client_manager_links where client_user_id = %s", CLIENTS[0])
    agency.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", other)
    agency.rows(
        "insert into public.client_manager_links (client_user_id, manager_id) values (%s, %s)",
        CLIENTS[0], other,
    )  # fmt: skip
    ask_as(agency, other)
    assert agency.refusal("select * from messaging.begin_connection(%s)", CLIENTS[0]) == "WP004"
    agency.value("select messaging.orphan_removed(%s)", number)
    assert begin(agency) == number
    assert agency.instance(number)["agency_id"] == other


def test_a_phone_paired_twice_speaks_through_one_number_only(agency: World) -> None:
    """The second is halted, since two paces on one phone are no pace; it goes on when the first has ended."""
    first, second = opened(agency), opened(agency, CLIENTS[1])
    for number in (first, second):
        agency.rows("select messaging.set_phone_number(%s, '5511987654321', 'test')", number)
    assert agency.instance(first)["halted_reason"] is None
    assert agency.instance(second)["halted_reason"] == "phone_in_use"
    agency.rows("select messaging.record_health(%s, true)", second)
    assert agency.instance(second)["halted_reason"] == "phone_in_use"
    agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])
    agency.rows("select messaging.record_health(%s, true)", second)
    assert agency.instance(second)["halted_reason"] is None


def test_the_row_that_the_app_reads_follows_the_number_both_ways(
    agency: World, bent_clock: BentClock
) -> None:
    """pending, connected, disconnected, connected: with the time of the last opening and of the first."""
    number = begin(agency)
    assert (connection(agency)["status"], connection(agency)["connected_at"]) == ("pending", None)
    agency.rows("select messaging.record_health(%s, true)", number)
    first = connection(agency)["connected_at"]
    agency.rows("select messaging.record_health(%s, false)", number)
    assert connection(agency)["status"] == "disconnected"
    bent_clock.forward(60)
    agency.rows("select messaging.record_health(%s, true)", number)
    row = connection(agency)
    assert (row["status"], row["first_connected_at"]) == ("connected", first)
    assert row["connected_at"] > first


def test_a_stop_at_one_number_holds_for_every_number_of_the_agency(agency: World) -> None:
    """Said to the client's number, it withdraws what waits on the agency's; the house is not concerned."""
    number, agencys = opened(agency), opened(agency, None)
    waiting = agency.enqueue(agencys, purpose="agency_message", phone="5511987650001")
    other = agency.enqueue(agency.number(), purpose="welcome", phone="5511987650001")
    told = agency.rows(
        "select * from messaging.accept_agency_event(%s, 'E1', 'message', '{}', '551187650001', 'SAIR',"
        " p_command => 'stop')",
        number,
    )[0]
    assert (told["is_new"], told["opted"]) == (True, "out")
    assert (agency.state(waiting), agency.state(other)) == ("withdrawn", "queued")
    assert agency.value("select count(*) from messaging.turns") == 0


def test_a_stop_told_again_is_confirmed_again_and_changes_nothing(agency: World) -> None:
    """The provider tells an event twice where our answer failed: what it did is said once more, of the
    same event, so that its confirmation is neither lost nor sent twice."""
    number = opened(agency)
    call = (
        "select * from messaging.accept_agency_event(%s, 'E1', 'message', '{}', '5511987650001', 'SAIR',"
        " p_command => 'stop')"
    )
    first, again = agency.rows(call, number)[0], agency.rows(call, number)[0]
    assert (again["is_new"], again["opted"], again["event_id"]) == (False, "out", first["event_id"])
    assert agency.value("select count(*) from messaging.opt_outs") == 1


@pytest.mark.parametrize("asks", [None, uuid.uuid4()], ids=["a service", "no manager"])
def test_only_a_manager_asks(agency: World, asks: uuid.UUID | None) -> None:
    """Every function of a manager refuses everybody else, before it looks at anything."""
    ask_as(agency, asks)
    for call in ("begin_connection", "own_connection", "pairing_view", "end_connection"):
        assert agency.refusal(f"select * from messaging.{call}(%s)", CLIENTS[0]) == "WP007", call
    assert agency.refusal("select * from messaging.agency_connections()") == "WP007"


def test_a_foreign_client_and_none_are_refused_in_the_same_words(agency: World) -> None:
    """Who asks cannot tell whether the client exists (bug 23)."""
    ask_as(agency, other := uuid.uuid4())
    agency.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", other)
    for call in ("begin_connection", "own_connection", "pairing_view", "end_connection"):
        for client in (CLIENTS[0], uuid.uuid4()):
            assert agency.refusal(f"select * from messaging.{call}(%s)", client) == "WP002", call
    assert agency.rows("select * from messaging.agency_connections()")[0]["client_id"] is None


def test_a_storm_of_connecting_costs_a_write_a_second_and_one_alarm(
    agency: World, bent_clock: BentClock
) -> None:
    """20 a second for 40 seconds: the alarm comes once."""
    number = begin(agency)
    alarms = 0
    for _ in range(40):
        alarms += sum(agency.value("select messaging.note_connecting(%s)", number) for _ in range(20))
        bent_clock.forward(1)
    assert alarms == 1
    assert agency.value("select connecting_count from messaging.pairings") == 40
