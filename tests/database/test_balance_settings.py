"""What a manager sets and sees of balance alerts: a row for each Meta account, each wrong field by name."""

import json
from uuid import UUID

import psycopg
import pytest

from tests.database.agency_world import PHONE, Agency, act_as
from tests.database.sessions import all_at_once
from tests.database.world import BentClock, Connect, Row, World

NOON = "2026-11-18 12:00-03"


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open and whose manager asks, at noon."""
    bent_clock.move_to(NOON)
    found = Agency(world)
    found.connect()
    found.act()
    return found


def save(world: World, client: UUID | None, *given: object) -> list[Row]:
    """save_balance_alerts."""
    return world.rows("select * from messaging.save_balance_alerts(%s, %s)", client, json.dumps(given))


def test_a_manager_sees_each_meta_account_with_its_alert(world: World, agency: Agency) -> None:
    """By name, those without an alert too; no other platform's, no other client's."""
    client, other = agency.client(), agency.client()
    agency.account(client, "act_2", account_name="Zebra")
    agency.account(client, "act_1", account_name="alfa")
    agency.account(client, "99-1", provider="google_ads")
    agency.account(other, "act_9")
    alert = agency.alert(client, "act_2", threshold_value="99.90")
    agency.alert(client, "act_gone")
    rows = world.rows("select * from messaging.balance_alerts(%s)", client)
    assert [row["ad_account_id"] for row in rows] == ["act_1", "act_2", "act_gone"]
    assert [(row["alert_id"], row["is_active"]) for row in rows[:2]] == [(None, False), (alert, True)]
    assert (float(rows[1]["threshold_value"]), rows[1]["recipient_phone"]) == (99.9, PHONE)


def test_a_save_makes_and_changes_alerts_and_keeps_the_others(world: World, agency: Agency) -> None:
    """Answered as read; what is not given stays; when it was last triggered stays."""
    client = agency.client()
    for account in ("act_1", "act_2", "act_3"):
        agency.account(client, account)
    agency.alert(client, "act_3", last_triggered_at=NOON)
    saved = save(
        world, client,
        {"ad_account_id": "act_2", "threshold_value": 50.5, "recipient_phone": PHONE},
        {"ad_account_id": "act_1", "threshold_value": 0, "is_active": False, "recipient_phone": ""},
    )  # fmt: skip
    assert [(row["threshold_value"], row["is_active"], row["recipient_phone"]) for row in saved] == [
        (0, False, None), (pytest.approx(50.5), True, PHONE), (100, True, PHONE),
    ]  # fmt: skip
    again = save(world, client, {"ad_account_id": "act_3", "threshold_value": 10})
    assert (again[2]["threshold_value"], again[2]["recipient_phone"]) == (10, PHONE)
    assert again[2]["last_triggered_at"] is not None and again[:2] == saved[:2]
    assert world.rows("select * from messaging.balance_alerts(%s)", client) == again


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("x", "alerts"),
        ({"ad_account_id": "act_1", "threshold_value": 1, "agency_id": "x"}, "alerts"),
        ({"threshold_value": 1}, "ad_account_id"),
        ({"ad_account_id": "../me", "threshold_value": 1}, "ad_account_id"),
        ({"ad_account_id": "act_404", "threshold_value": 1, "recipient_phone": PHONE}, "ad_account_id"),
        ({"ad_account_id": "99-1", "threshold_value": 1, "recipient_phone": PHONE}, "ad_account_id"),
        ({"ad_account_id": "act_1", "recipient_phone": PHONE}, "threshold_value"),
        ({"ad_account_id": "act_1", "threshold_value": -1}, "threshold_value"),
        ({"ad_account_id": "act_1", "threshold_value": "1"}, "threshold_value"),
        ({"ad_account_id": "act_1", "threshold_value": None}, "threshold_value"),
        ({"ad_account_id": "act_1", "threshold_value": 1e15}, "threshold_value"),
        ({"ad_account_id": "act_1", "threshold_value": 1, "is_active": 1}, "is_active"),
        ({"ad_account_id": "act_1", "threshold_value": 1, "recipient_phone": "abc"}, "recipient_phone"),
        ({"ad_account_id": "act_1", "threshold_value": 1}, "recipient_phone"),
    ],
)
def test_a_wrong_field_is_named_and_no_alert_is_saved(
    world: World, agency: Agency, given: object, field: str
) -> None:
    """Its name, a colon, and what it must be; the good ones beside it are not saved either."""
    client = agency.client()
    agency.account(client, "act_0")
    agency.account(client, "act_1")
    agency.account(client, "99-1", provider="google_ads")
    with pytest.raises(psycopg.Error) as caught:
        save(world, client, {"ad_account_id": "act_0", "threshold_value": 1, "is_active": False}, given)
    assert caught.value.sqlstate == "WP003"
    assert str(caught.value.diag.message_primary).startswith(f"{field}: ")
    assert world.value("select count(*) from public.account_balance_alerts") == 0


def test_an_account_that_two_clients_share_has_one_alert(world: World, agency: Agency) -> None:
    """The second client's save is refused in words; another agency's same account is another."""
    first, second, other = agency.client(), agency.client(), Agency(world)
    theirs = other.client()
    for one_of, client in ((agency, first), (agency, second), (other, theirs)):
        one_of.account(client)
    given = {"ad_account_id": "act_1", "threshold_value": 1, "recipient_phone": PHONE}
    save(world, first, given)
    assert (
        world.refusal("select messaging.save_balance_alerts(%s, %s)", second, json.dumps([given])) == "WP004"
    )
    act_as(world, other.manager_id)
    save(world, theirs, given)
    assert world.value("select count(*) from public.account_balance_alerts") == 2


def test_a_list_that_is_none_or_endless_is_refused(world: World, agency: Agency) -> None:
    """An object, and more than two hundred."""
    client = agency.client()
    lists: tuple[object, ...] = ({}, [{"ad_account_id": "act_1"}] * 201)
    for given in lists:
        refused = world.refusal("select messaging.save_balance_alerts(%s, %s)", client, json.dumps(given))
        assert refused == "WP003"


def test_two_clients_who_save_a_shared_account_at_once_make_one_alert(connect: Connect) -> None:
    """One has it, the other is refused in words; nobody meets the table's own error."""
    world = World(connect())
    agency = Agency(world)
    clients = [agency.client(), agency.client()]
    for client in clients:
        agency.account(client)
    given = json.dumps([{"ad_account_id": "act_1", "threshold_value": 1, "recipient_phone": PHONE}])

    def act(each: World, index: int) -> list[str | None]:
        act_as(each, agency.manager_id)
        return [each.refusal("select messaging.save_balance_alerts(%s, %s)", clients[index % 2], given)]

    told = all_at_once([connect() for _ in range(4)], act)
    assert {refusal for [refusal] in told} == {None, "WP004"}
    assert world.value("select count(*) from public.account_balance_alerts") == 1
