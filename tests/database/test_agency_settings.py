"""What a manager sets of reports: own clients only, each wrong field by name, and when a change begins."""

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.database.agency_world import PHONE, Agency, act_as, due
from tests.database.sessions import all_at_once
from tests.database.world import BentClock, Connect, World

ALL_ON = dict.fromkeys(
    (
        *("investment", "revenue", "roas", "cpa", "cpc", "cpm", "clicks", "impressions", "ctr"),
        *("conversions", "leads", "messages"),
    ),
    True,
)


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open, whose manager asks, on a Wednesday at nine."""
    bent_clock.move_to("2026-11-18 09:00-03")
    found = Agency(world)
    found.connect()
    found.act()
    return found


def settings(world: World, client: UUID) -> dict[str, Any]:
    """report_settings."""
    found: dict[str, Any] = world.value("select messaging.report_settings(%s)", client)
    return found


def save(world: World, client: UUID, **changes: object) -> dict[str, Any]:
    """save_report_settings."""
    found: dict[str, Any] = world.value(
        "select messaging.save_report_settings(%s, %s)", client, json.dumps(changes)
    )
    return found


def refused(world: World, client: UUID, changes: object) -> str:
    """The words with which a save is refused as WP003."""
    with pytest.raises(psycopg.Error) as caught:
        world.value("select messaging.save_report_settings(%s, %s)", client, json.dumps(changes))
    assert caught.value.sqlstate == "WP003"
    return str(caught.value.diag.message_primary)


def test_a_client_that_was_never_set_has_the_defaults(world: World, agency: Agency) -> None:
    """Nothing goes by itself, everything is shown, seven days compared with seven."""
    client = agency.client("Padaria")
    assert settings(world, client) == {
        "client_id": str(client), "client_label": "Padaria", "time_zone": "America/Sao_Paulo", "saved": False,
        "metrics": ALL_ON, "include_comparison": True, "frequency": "manual", "weekday": 1, "month_day": 1,
        "send_time": "09:00", "phone_number": None, "is_active": False, "report_period_type": "last_7_days",
    }  # fmt: skip


def test_a_save_changes_what_is_given_and_keeps_the_rest(world: World, agency: Agency) -> None:
    """Answered as read; switches too are changed one by one; an empty phone is none."""
    client = agency.client()
    first = save(
        world, client, frequency="monthly", month_day=31, send_time="18:30", phone_number=PHONE,
        metrics={"roas": False}, report_period_type="last_month",
    )  # fmt: skip
    assert first == settings(world, client)
    assert (first["saved"], first["is_active"], first["month_day"], first["send_time"]) == (
        True, True, 31, "18:30",
    )  # fmt: skip
    assert first["metrics"] == ALL_ON | {"roas": False}
    second = save(world, client, metrics={"cpa": False}, include_comparison=False)
    assert second == first | {"metrics": ALL_ON | {"roas": False, "cpa": False}, "include_comparison": False}
    third = save(world, client, frequency="manual", phone_number="")
    assert (third["is_active"], third["phone_number"], third["month_day"]) == (False, None, 31)
    assert world.value("select count(*) from public.whatsapp_report_settings") == 1


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({"frequency": "daily"}, True),
        ({"frequency": "daily", "is_active": False}, False),
        ({"frequency": "manual", "is_active": True}, False),
        ({"is_active": True}, False),
        ({}, False),
    ],
)
def test_what_does_not_say_manual_runs_by_itself_unless_told(
    world: World, agency: Agency, changes: dict[str, object], active: bool
) -> None:
    """As the original's page: active where the frequency is not manual (functions 4.1)."""
    client = agency.client()
    assert save(world, client, phone_number=PHONE, **changes)["is_active"] is active
    assert save(world, client, report_period_type="yesterday")["is_active"] is active


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ([], "settings"),
        ("x", "settings"),
        ({"colour": 1}, "settings"),
        ({"agency_id": str(uuid4())}, "settings"),
        ({"metrics": []}, "metrics"),
        ({"metrics": {"roas": 1}}, "metrics"),
        ({"metrics": {"likes": True}}, "metrics"),
        ({"include_comparison": "yes"}, "include_comparison"),
        ({"is_active": None}, "is_active"),
        ({"frequency": "hourly"}, "frequency"),
        ({"frequency": None}, "frequency"),
        ({"frequency": ["daily"]}, "frequency"),
        ({"weekday": 7}, "weekday"),
        ({"weekday": -1}, "weekday"),
        ({"weekday": "1"}, "weekday"),
        ({"weekday": None}, "weekday"),
        ({"month_day": 0}, "month_day"),
        ({"month_day": 32}, "month_day"),
        ({"month_day": 1.5}, "month_day"),
        ({"send_time": "24:00"}, "send_time"),
        ({"send_time": "9:00"}, "send_time"),
        ({"send_time": 900}, "send_time"),
        ({"phone_number": "11 98765-0001"}, "phone_number"),
        ({"phone_number": 5511987650001}, "phone_number"),
        ({"phone_number": "1" * 16}, "phone_number"),
        ({"frequency": "daily"}, "phone_number"),
        ({"report_period_type": "for_ever"}, "report_period_type"),
        ({"report_period_type": None}, "report_period_type"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_saved(
    world: World, agency: Agency, changes: object, field: str
) -> None:
    """Its name, a colon, and what it must be, so that a page can put it beside the field."""
    client = agency.client()
    assert refused(world, client, changes).startswith(f"{field}: ")
    assert settings(world, client)["saved"] is False


ASKED = [
    "report_settings(%s)",
    "save_report_settings(%s, '{}')",
    "report_now(%s)",
    "report_deliveries(%s)",
    "balance_alerts(%s)",
    "save_balance_alerts(%s, '[]')",
]


@pytest.mark.parametrize("call", ASKED)
def test_another_agency_s_client_is_nobody(world: World, agency: Agency, call: str) -> None:
    """The same refusal for somebody else's client as for one that never was; none at all for no manager."""
    theirs, made_up = Agency(world).client(), uuid4()
    told = []
    for client in (theirs, made_up):
        with pytest.raises(psycopg.Error) as caught:
            world.rows(f"select messaging.{call}", client)
        told.append((caught.value.sqlstate, caught.value.diag.message_primary))
    assert told[0] == told[1] and told[0][0] == "WP002"
    mine = agency.client()
    assert world.refusal(f"select messaging.{call}", mine) is None
    for role in ("client", "user"):
        act_as(world, Agency(world, role=role).manager_id)
        assert world.refusal(f"select messaging.{call}", mine) == "WP007"
    for nobody in (None, uuid4(), mine):
        act_as(world, nobody)
        assert world.refusal(f"select messaging.{call}", mine) == "WP007"


@pytest.mark.parametrize("call", ["report_settings(%s)", "save_report_settings(%s, '{}')", "report_now(%s)"])
def test_the_agency_itself_has_no_report(world: World, agency: Agency, call: str) -> None:
    """A report is a client's; the agency as its own client is refused."""
    assert world.refusal(f"select messaging.{call}", None) == "WP003"


def test_report_now_is_the_forced_report_of_one_s_own_client(world: World, agency: Agency) -> None:
    """As due_reports would force it, whatever the schedule."""
    client = agency.client()
    save(world, client, phone_number=PHONE)
    told = world.value("select messaging.report_now(%s)", client)
    assert told == due(world, client, forced=True)[0]
    assert (told["unsent"], told["spoken_by"]) == (None, "agency")


def test_only_a_change_of_the_schedule_moves_its_beginning(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """A switch that is flipped at 9:10 must not cost the report of 9:00; another hour begins tomorrow."""
    client = agency.client()
    bent_clock.move_to("2026-11-17 15:00-03")
    save(world, client, frequency="daily", phone_number=PHONE)
    bent_clock.move_to("2026-11-18 09:10-03")
    save(world, client, metrics={"roas": False}, phone_number="5511987650002", frequency="daily")
    assert len(due(world)) == 1
    save(world, client, send_time="08:30")
    assert due(world) == []
    bent_clock.move_to("2026-11-19 08:30-03")
    assert len(due(world)) == 1


def test_two_who_save_at_once_make_one_row(connect: Connect) -> None:
    """Also where an adopted table lets a client stand twice."""
    world = World(connect())
    world.rows(
        "alter table public.whatsapp_report_settings"
        " drop constraint whatsapp_report_settings_agency_id_client_id_key"
    )
    agency = Agency(world)
    client = agency.client()

    def act(each: World, index: int) -> list[object]:
        act_as(each, agency.manager_id)
        return [save(each, client, month_day=index + 1)]

    all_at_once([connect() for _ in range(4)], act)
    assert world.value("select count(*) from public.whatsapp_report_settings") == 1
