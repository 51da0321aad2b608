"""Agencies' reports in SQL: whose, with which figures, who speaks, what keeps one, and what an outcome
logs."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.database.agency_world import PHONE, Agency, due, enqueued, figures, logs
from tests.database.content_world import refusal_at_begin
from tests.database.sessions import all_at_once
from tests.database.world import BentClock, Connect, World


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open, on a Wednesday at nine."""
    bent_clock.move_to("2026-11-18 09:00-03")
    found = Agency(world)
    found.connect()
    return found


def one(world: World, client: UUID, *, forced: bool = False) -> dict[str, Any]:
    """The report of this client."""
    [row] = due(world, client, forced=forced)
    return row


def test_figures_are_the_sums_of_both_periods_leads_and_messages_among_them(
    world: World, agency: Agency
) -> None:
    """Seven days until yesterday and the seven before, nobody else's, not today's."""
    client, other = agency.client(), agency.client()
    agency.setting(client)
    figures(world, client, "2026-11-18", spend=1000, leads=1000)
    figures(
        world, client, "2026-11-11", 7, spend="10.50", revenue=40, clicks=7, impressions=300,
        conversions="1.5", leads=2, messages=3,
    )  # fmt: skip
    figures(world, client, "2026-11-04", 7, spend=20, leads=1)
    figures(world, client, "2026-11-03", spend=999)
    figures(world, other, "2026-11-12", spend=5)
    told = one(world, client)
    assert (told["period_start"], told["period_end"]) == ("2026-11-11", "2026-11-17")
    assert told["current"] == {
        "days": 7, "spend": 73.5, "revenue": 280, "clicks": 49, "impressions": 2100, "conversions": 10.5,
        "leads": 14, "messages": 21,
    }  # fmt: skip
    assert (told["previous"]["spend"], told["previous"]["leads"], told["previous"]["messages"]) == (140, 7, 0)


def test_a_month_is_compared_with_as_many_days_before_it(world: World, agency: Agency) -> None:
    """October's 31 days with the 31 before them."""
    client = agency.client()
    agency.setting(client, report_period_type="last_month")
    figures(world, client, "2026-08-31", spend=1)
    figures(world, client, "2026-08-30", spend=50)
    told = one(world, client)
    assert (told["period_start"], told["period_end"]) == ("2026-10-01", "2026-10-31")
    assert told["previous"]["spend"] == 1


def test_a_client_without_figures_has_noughts(world: World, agency: Agency) -> None:
    """No day, no sum, never null."""
    client = agency.client()
    agency.setting(client)
    told = one(world, client)
    assert set(told["current"].values()) == set(told["previous"].values()) == {0}


def test_switches_that_were_never_chosen_are_all_on(world: World, agency: Agency) -> None:
    """An empty choice shows everything; one that was made shows what it says."""
    every, some = agency.client(), agency.client()
    agency.setting(every)
    agency.setting(some, metrics=json.dumps({"roas": True, "cpa": False, "odd": True}))
    assert set(one(world, every)["metrics"].values()) == {True} and len(one(world, every)["metrics"]) == 12
    assert [name for name, on in one(world, some)["metrics"].items() if on] == ["roas"]


def test_the_client_s_own_number_speaks_else_the_agency_s(world: World, agency: Agency) -> None:
    """Once it was open it is the client's for good; a pairing never finished counts as none."""
    own, down, pending, none = (agency.client(name) for name in ("own", "down", "pending", "none"))
    for client in (own, down, pending, none):
        agency.setting(client)
    number = agency.connect(own)
    agency.connect(down, status="disconnected")
    agency.connect(pending, was_open=False, status="disconnected")
    spoken = {client: one(world, client)["spoken_by"] for client in (own, down, pending, none)}
    assert spoken == {own: "client", down: "client", pending: "agency", none: "agency"}
    assert one(world, own)["instance_id"] == str(number)
    assert {one(world, client)["unsent"] for client in (own, down, pending, none)} == {None}


def test_what_cannot_go_says_why(world: World, agency: Agency) -> None:
    """No phone, nobody who speaks, a stop: rows with a reason, not rows that are missing."""
    mute = Agency(world)
    cases: dict[UUID, tuple[dict[str, object], str | None]] = {
        agency.client(): ({"phone_number": None}, "no_phone"),
        agency.client(): ({"phone_number": "  "}, "no_phone"),
        agency.client(): ({"phone_number": "5511987650009"}, "opted_out"),
        agency.client(): ({}, None),
    }
    for client, (columns, _) in cases.items():
        agency.setting(client, **columns)
    other = mute.client()
    mute.setting(other, phone_number="5511987650009")
    world.rows("select messaging.opt_out(%s, messaging.phone_key('551187650009'), 'SAIR')", agency.manager_id)
    assert {client: one(world, client)["unsent"] for client in cases} == {
        client: reason for client, (_, reason) in cases.items()
    }
    assert one(world, other)["unsent"] == "no_speaker"


def test_only_active_settings_of_clients_that_are_still_linked_are_due(world: World, agency: Agency) -> None:
    """Switched off, manual, or of a client whom another agency has now: not due, and not counted."""
    stranger, lost = Agency(world), agency.client()
    agency.setting(agency.client(), is_active=False)
    agency.setting(agency.client(), frequency="manual")
    agency.setting(lost)
    world.rows(
        "update public.client_manager_links set manager_id = %s where client_user_id = %s",
        stranger.manager_id, lost,
    )  # fmt: skip
    assert world.value("select messaging.due_reports()") == {"active": 0, "reports": []}
    client = agency.client()
    agency.setting(client)
    found = world.value("select messaging.due_reports()")
    assert (found["active"], [row["client_id"] for row in found["reports"]]) == (1, [str(client)])


def test_one_client_or_one_agency_may_be_asked_about(world: World, agency: Agency) -> None:
    """Each narrows what is due; a strange id gives nothing."""
    other = Agency(world)
    mine, second, theirs = agency.client(), agency.client(), other.client()
    for one_of, client in ((agency, mine), (agency, second), (other, theirs)):
        one_of.setting(client)
    assert {row["client_id"] for row in due(world, mine)} == {str(mine)}
    assert due(world, uuid4()) == []
    found = world.value("select messaging.due_reports(p_agency_id => %s)", other.manager_id)
    assert [row["client_id"] for row in found["reports"]] == [str(theirs)]


def test_a_forced_report_asks_neither_the_hour_nor_the_settings(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """Manual, switched off, without settings at all, and sent today already; but for a client, never for
    all."""
    bent_clock.move_to("2026-11-18 23:30-03")
    manual, off, unset = agency.client(), agency.client(), agency.client()
    agency.setting(manual, frequency="manual", is_active=False)
    agency.setting(off, is_active=False, report_period_type="yesterday")
    for client in (manual, off):
        assert one(world, client, forced=True)["local_date"] == "2026-11-18"
    assert one(world, off, forced=True)["period_end"] == "2026-11-17"
    told = one(world, unset, forced=True)
    assert (told["unsent"], told["period_type"]) == ("no_phone", "last_7_days")
    assert world.refusal("select messaging.due_reports(p_forced => true)") == "WP003"


def test_two_crons_at_once_send_a_period_once(connect: Connect) -> None:
    """Four sessions that see the same report as due: one message."""
    world = World(connect())
    BentClock(world, "2026-11-18 09:00-03")
    agency = Agency(world)
    agency.connect()
    for number in range(5):
        agency.setting(agency.client(), phone_number=f"551198765100{number}")
    seen = due(world)
    assert len(seen) == 5
    all_at_once([connect() for _ in range(4)], lambda each, _: [enqueued(each, row) for row in seen])
    assert world.value("select count(*) from messaging.outbox") == 5
    assert due(world) == []


def test_an_accepted_report_stands_in_the_log_with_who_spoke(world: World, agency: Agency) -> None:
    """Once, with its period, its message and its number; the original told neither number nor phone."""
    client = agency.client()
    number = agency.connect(client)
    agency.setting(client)
    row = due(world)[0]
    message = enqueued(world, row)
    assert logs(world) == []
    world.record(world.begun(message))
    [log] = logs(world)
    assert (log["status"], log["client_id"], log["agency_id"]) == ("success", client, agency.manager_id)
    assert (str(log["period_start"]), str(log["period_end"])) == ("2026-11-11", "2026-11-17")
    assert (log["spoken_by"], log["sent_from"], log["message_id"]) == ("client", row["sent_from"], message)
    assert (log["report_period_type"], log["error_message"]) == ("last_7_days", None)
    assert world.message(message)["instance_id"] == number


def test_a_refused_report_stands_in_the_log_as_an_error(world: World, agency: Agency) -> None:
    """With the provider's reason, at most 500 characters; an uncertain one stands nowhere yet."""
    for phone in (PHONE, "5511987650002"):
        agency.setting(agency.client(), phone_number=phone)
    first, second = (enqueued(world, row) for row in due(world))
    world.record(world.begun(first), "rejected", p_detail="the phone is not on WhatsApp " + "x" * 600)
    world.record(world.begun(second), "unknown")
    [log] = logs(world)
    assert (log["status"], log["message_id"], len(log["error_message"])) == ("error", first, 500)
    assert log["error_message"].startswith("the phone is not on WhatsApp")


def test_a_log_that_failed_is_made_good_later(world: World, agency: Agency) -> None:
    """A broken table leaves the report accepted and the row to be retried."""
    agency.setting(agency.client())
    message = enqueued(world, due(world)[0])
    world.rows("alter table public.whatsapp_report_logs rename to logs_away")
    world.record(world.begun(message))
    world.rows("alter table public.logs_away rename to whatsapp_report_logs")
    assert (world.state(message), logs(world)) == ("accepted", [])
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    assert [log["status"] for log in logs(world)] == ["success"]


def test_what_could_not_be_enqueued_is_logged_once_for_its_period(world: World, agency: Agency) -> None:
    """The same key again is no row; tomorrow's is; one that the table refuses keeps no other out."""
    client = agency.client()
    agency.setting(client, phone_number=None)
    row = due(world)[0]
    unsent = {
        name: row[name] for name in ("agency_id", "client_id", "dedupe_key", "period_start", "period_type")
    }
    unsent |= {"period_end": row["period_end"], "error_message": "sem telefone " + "x" * 600}
    broken = unsent | {"dedupe_key": "other", "client_id": None}
    late = unsent | {"dedupe_key": f"report:{client}:daily:2026-11-19"}
    logged = [
        world.value("select messaging.log_unsent_reports(%s)", json.dumps(given))
        for given in ([unsent], [unsent, broken], [unsent, late])
    ]
    assert logged == [1, 0, 1]
    assert [(log["status"], log["message_id"], len(log["error_message"])) for log in logs(world)] == [
        ("error", None, 500)
    ] * 2


def test_a_report_is_withdrawn_when_its_client_was_removed_meanwhile(world: World, agency: Agency) -> None:
    """Between enqueue and begin: nothing leaves, and the reason stands."""
    client = agency.client()
    agency.setting(client)
    message = enqueued(world, due(world)[0])
    world.rows("delete from public.client_manager_links where client_user_id = %s", client)
    assert "removed" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_a_report_is_withdrawn_when_its_phone_says_stop_meanwhile(world: World, agency: Agency) -> None:
    """Also where the settings have the phone in another form than the provider."""
    agency.setting(agency.client())
    message = enqueued(world, due(world)[0])
    world.rows("select messaging.opt_out(%s, messaging.phone_key(%s), 'SAIR')", agency.manager_id, PHONE)
    assert world.state(message) == "withdrawn"
