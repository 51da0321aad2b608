"""Phones as adopted rows hold them, typed by hand: a stop and a refusal are recognised."""

import pytest

from tests.database.agency_world import Agency, due
from tests.database.world import World

SENT_TO = "5511987654321"
WRITTEN = ["(11) 98765-4321", "11987654321", "1187654321", "+55 11 98765-4321", "551187654321"]


@pytest.fixture
def agency(world: World) -> Agency:
    """An agency with a number that is open."""
    founded = Agency(world)
    founded.connect()
    return founded


def alert(world: World) -> dict[str, object]:
    """The one alert."""
    [found] = world.value("select messaging.due_balance_alerts()")["alerts"]
    answer: dict[str, object] = found
    return answer


@pytest.mark.parametrize("written", WRITTEN)
def test_a_stop_holds_for_a_phone_however_it_is_written(world: World, agency: Agency, written: str) -> None:
    """Else an alert would be enqueued anew each hour, only to be withdrawn."""
    client = agency.client()
    agency.alert(client, recipient_phone=written)
    agency.setting(client, phone_number=written)
    assert (alert(world)["opted_out"], due(world, client, forced=True)[0]["unsent"]) == (False, None)
    world.rows("select messaging.opt_out(%s, messaging.phone_key(%s), 'SAIR')", agency.manager_id, SENT_TO)
    assert (alert(world)["opted_out"], due(world, client, forced=True)[0]["unsent"]) == (True, "opted_out")


@pytest.mark.parametrize("written", WRITTEN)
def test_a_refused_phone_rests_however_it_is_written(world: World, agency: Agency, written: str) -> None:
    """It leaves with its country code; the row is as somebody typed it."""
    agency.alert(agency.client(), recipient_phone=written)
    found = alert(world)
    message = world.enqueue(
        found["instance_id"],  # type: ignore[arg-type]
        purpose="balance_alert", phone=SENT_TO, subject_id=found["alert_id"], dedupe_key=found["dedupe_key"],
    )  # fmt: skip
    world.record(world.begun(message), "rejected")
    assert alert(world)["rests"] == "refused"


@pytest.mark.parametrize("written", ["", None, "14155550123", "abc"])
def test_a_phone_that_is_none_or_foreign_is_nobody_else_s(
    world: World, agency: Agency, written: str | None
) -> None:
    """No error, and nobody else's stop."""
    agency.alert(agency.client(), recipient_phone=written)
    world.rows("select messaging.opt_out(%s, messaging.phone_key(%s), 'SAIR')", agency.manager_id, SENT_TO)
    assert alert(world)["opted_out"] is False


def test_an_alert_of_a_client_that_left_meanwhile_is_withdrawn(world: World, agency: Agency) -> None:
    """It waited on the agency's own number, which stays."""
    client = agency.client()
    agency.alert(client)
    found = alert(world)
    message = world.enqueue(
        found["instance_id"],  # type: ignore[arg-type]
        purpose="balance_alert", subject_id=found["alert_id"], dedupe_key=found["dedupe_key"],
    )  # fmt: skip
    world.rows("update public.client_manager_links set manager_id = gen_random_uuid()")
    assert "removed" in world.begin(world.claim()[0])["refusal"]
    assert world.state(message) == "withdrawn"
