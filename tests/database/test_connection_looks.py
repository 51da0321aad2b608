"""What the looks at agencies' numbers and pairings cost, whom they reach, and when they end."""

import json
from typing import Any

import pytest

from tests.database.agency_actions import AGENCY, CLIENTS, found_agency
from tests.database.test_pairing import CODE, ask_as, begin, show, view
from tests.database.world import BentClock, World

MANY, WAITING = 300, 6_000


@pytest.fixture
def agency(world: World) -> World:
    """A manager with three clients asks."""
    found_agency(world)
    ask_as(world, AGENCY)
    return world


def test_who_was_asked_for_comes_first_and_nobody_is_left_out(agency: World) -> None:
    """With more numbers due than one look takes: an event's number at once, then who waits longest."""
    agency.client_numbers(20)
    agency.rows(
        "update public.whatsapp_instances as i"
        " set last_health_check = now() - interval '1 h' - n.place * interval '1 s'"
        " from (select id, row_number() over (order by id) as place from public.whatsapp_instances) as n"
        " where i.id = n.id"
    )
    by_age = agency.rows("select id from public.whatsapp_instances order by last_health_check")
    ids = [row["id"] for row in by_age]
    wanted = max(ids)
    agency.rows("select messaging.ask_health_soon(%s)", wanted)
    expected = [wanted, *[each for each in ids if each != wanted]]
    for start in (0, 5):
        taken = agency.rows("select instance_id from messaging.take_health_checks(60, 5)")
        assert {row["instance_id"] for row in taken} == set(expected[start : start + 5])


def test_a_code_told_once_with_and_once_without_the_one_to_type_grows_old(
    agency: World, bent_clock: BentClock
) -> None:
    """The answer brings both codes, the event one: neither makes the other young, nor takes it away."""
    number = begin(agency)
    show(agency, number, pairing_code="ABCD1234")
    for made_at, code in ((bent_clock.now(), None), (None, "ABCD1234")):
        bent_clock.forward(20)
        show(agency, number, pairing_code=code, made_at=made_at)
        assert view(agency)["pairing_code"] == "ABCD1234"
    assert round(view(agency)["expires_in_s"]) == 5


def test_a_new_code_comes_without_the_old_one_to_type(agency: World) -> None:
    """They live together: the one before cannot be typed any more."""
    number = begin(agency)
    show(agency, number, pairing_code="ABCD1234")
    assert show(agency, number, CODE + "2")
    assert (view(agency)["qr_code"], view(agency)["pairing_code"]) == (CODE + "2", None)


def test_an_unfinished_pairing_is_given_out_until_the_provider_has_stopped(
    agency: World, bent_clock: BentClock
) -> None:
    """Whoever was to log it out may have died, or the provider was away: once a minute, until it is done."""
    number = begin(agency)
    bent_clock.forward(300)
    assert view(agency)["pairing_state"] == "expired"

    def stale() -> list[Any]:
        rows = agency.rows("select instance_id from messaging.take_stale_pairings(240, 10)")
        return [row["instance_id"] for row in rows]

    assert [stale(), stale()] == [[number], []]
    bent_clock.forward(60)
    assert stale() == [number]
    assert agency.value("select messaging.pairing_stopped(%s)", number) is True
    bent_clock.forward(600)
    assert stale() == []
    begin(agency)
    assert agency.value("select messaging.pairing_stopped(%s)", number) is False


def test_the_page_of_all_connections_reads_no_message_that_it_does_not_count(agency: World) -> None:
    """Hundreds of clients and a full outbox: each number's own waiting messages are found by an index."""
    numbers = f"from generate_series(1, {MANY}) as g"
    agency.rows(
        "insert into public.client_manager_links (client_user_id, manager_id)"
        f" select md5('c' || g)::uuid, '{AGENCY}' {numbers}"
    )
    agency.rows(
        "insert into public.whatsapp_instances"
        " (id, name, provider, evolution_instance_name, agency_id, in_pool, status)"
        " select md5('n' || g)::uuid, 'n' || g, 'evolution', 'n' || g,"
        f" '{AGENCY}', false, 'disconnected' {numbers}"
    )
    agency.rows(
        "insert into public.whatsapp_connections (agency_id, client_id, instance_name, whatsapp_instance_id)"
        f" select '{AGENCY}', md5('c' || g)::uuid, 'n' || g, md5('n' || g)::uuid {numbers}"
    )
    agency.rows(
        "insert into messaging.outbox (agency_id, dedupe_key, request_hash, instance_id, purpose, lane,"
        " phone, phone_key, content, not_before, expires_at, on_unknown, enqueued_by, dispatch_state,"
        " changed_by, created_at, changed_at)"
        f" select '{AGENCY}', 'k' || g, '', md5('n' || g %% {MANY} + 1)::uuid,"
        " 'agency_report', 'bulk', '5511987650001', '551187650001', '{}', now(), now() + interval '6 h',"
        f" 'hold', 't', 'queued', 't', now(), now() from generate_series(1, {WAITING}) as g"
    )
    agency.rows("analyze messaging.outbox")
    found = agency.value(
        "explain (analyze, buffers, format json) select sum(waiting) from messaging.agency_connections()"
    )
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert agency.value("select sum(waiting) from messaging.agency_connections()") == WAITING
    # By any other index each number's count walks the whole outbox: more than 100 times as many.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 2 * WAITING


def test_whose_figures_may_be_seen_is_asked_once_and_not_for_each_row(agency: World) -> None:
    """Row security over a table with a row for each client and day."""
    agency.rows(
        "insert into public.daily_metrics (client_id, date)"
        " select c.id, date '2026-01-01' + g from generate_series(1, 300) as g,"
        " unnest(array[%s, gen_random_uuid()]) as c (id)",
        CLIENTS[0],
    )
    agency.rows("set local track_functions = 'all'")
    agency.rows("set local role authenticated")
    assert agency.value("select count(*) from public.daily_metrics") == 300
    agency.rows("reset role")
    calls = "select sum(calls) from pg_stat_xact_user_functions where schemaname = 'messaging'"
    assert agency.value(calls) <= 3


def test_an_expired_pairing_is_asked_about_until_it_is_over_and_never_again(
    agency: World, bent_clock: BentClock
) -> None:
    """Dialogs that stay open on it cost the provider nothing."""
    number = begin(agency)
    bent_clock.forward(300)
    view(agency)
    ask = "select messaging.take_qr_renewal(%s, 0)"
    assert [agency.value(ask, number), agency.value(ask, number)] == [True, True]
    agency.rows("select messaging.pairing_stopped(%s)", number)
    assert agency.value(ask, number) is False
    begin(agency)
    assert agency.value(ask, number) is True


def test_what_the_provider_cannot_remove_keeps_nobody_else_waiting(
    agency: World, bent_clock: BentClock
) -> None:
    """Ended connections and unfinished pairings: with more than one look takes, each has its turn."""
    numbers = {begin(agency, client) for client in CLIENTS}
    bent_clock.forward(300)
    taken = set()
    for _ in numbers:
        taken |= {
            row["instance_id"] for row in agency.rows("select * from messaging.take_stale_pairings(240, 1)")
        }
        bent_clock.forward(61)
    assert taken == numbers
    for client in CLIENTS:
        agency.rows("select * from messaging.end_connection(%s)", client)
    drawn = [agency.value("select instance_id from messaging.take_orphans(1)") for _ in range(80)]
    assert set(drawn) == numbers
