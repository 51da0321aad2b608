"""What a manager sees of what the agency wrote: where each message stands, and what never became one."""

import json
from uuid import UUID, uuid4

import pytest

from tests.database.agency_world import Agency, act_as, due, enqueued
from tests.database.world import BentClock, Row, World


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open, whose manager asks, on a Wednesday at nine."""
    bent_clock.move_to("2026-11-18 09:00-03")
    found = Agency(world)
    found.connect()
    found.act()
    return found


def deliveries(world: World, client: UUID | None = None, limit: int = 50) -> list[Row]:
    """report_deliveries."""
    return world.rows("select * from messaging.report_deliveries(%s, %s)", client, limit)


def test_deliveries_tell_where_each_message_stands(world: World, agency: Agency) -> None:
    """Accepted and read; waiting, with when; held by a number that is down, with why; each with who spoke."""
    seen, queued, held = (agency.client(name) for name in ("A", "B", "C"))
    number = agency.connect(seen)
    agency.connect(held, status="disconnected")
    for index, client in enumerate((seen, queued, held)):
        agency.setting(client, phone_number=f"551198765000{index}")
    message = enqueued(world, due(world, seen)[0])
    world.record(world.begun(message), p_provider_message_id="P1")
    world.receipt(number, "P1", "read")
    for row in due(world):
        enqueued(world, row)
    told = {row["client_id"]: row for row in deliveries(world)}
    assert set(told) == {seen, queued, held}
    first = told[seen]
    assert (first["dispatch_state"], first["delivery_state"], first["client_label"]) == (
        "accepted",
        "read",
        "A",
    )
    assert (first["spoken_by"], first["phone_tail"], first["message_id"]) == (
        "client",
        "…0000",
        message,
    )
    assert (str(first["period_start"]), str(first["period_end"])) == ("2026-11-11", "2026-11-17")
    assert first["sent_from"].startswith("adscape_") and first["expected_at"] is None
    assert (told[queued]["dispatch_state"], told[queued]["spoken_by"]) == ("queued", "agency")
    assert told[queued]["expected_at"] is not None
    assert told[held]["expected_at"] is None and "disconnected" in told[held]["reason"]
    assert {row["purpose"] for row in told.values()} == {"agency_report"}


def test_deliveries_hold_what_never_became_a_message_and_nothing_of_others(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """A logged error beside the messages, newest first; nothing of another agency's, nothing of the
    house's."""
    client, other = agency.client(), Agency(world)
    theirs = other.client()
    other.connect()
    for one_of, each in ((agency, client), (other, theirs)):
        one_of.setting(each)
    for row in due(world):
        enqueued(world, row)
    world.enqueue(world.number())
    bent_clock.forward(60)
    world.value(
        "select messaging.log_unsent_reports(%s)",
        json.dumps(
            [
                {"agency_id": str(agency.manager_id), "client_id": str(client), "dedupe_key": "k",
                 "error_message": "sem telefone", "period_start": "2026-11-11"}
            ]
        ),
    )  # fmt: skip
    told = deliveries(world)
    assert [(row["client_id"], row["log_status"], row["dispatch_state"]) for row in told] == [
        (client, "error", None),
        (client, None, "queued"),
    ]
    assert (told[0]["reason"], told[0]["message_id"]) == ("sem telefone", None)
    act_as(world, other.manager_id)
    assert [row["client_id"] for row in deliveries(world)] == [theirs]


def test_deliveries_of_one_client_and_no_more_than_asked_for(world: World, agency: Agency) -> None:
    """Other purposes of the agency's are told too; a limit of nought or of a million is refused."""
    client, second = agency.client(), agency.client()
    number = world.value("select id from public.whatsapp_instances")
    for index, each in enumerate((client, client, second)):
        world.enqueue(number, purpose="agency_message", facts={"client_id": str(each), "spoken_by": "agency"})
        world.enqueue(
            number, purpose="balance_alert", subject_id=str(uuid4()), facts={"client_id": str(each)},
            dedupe_key=f"b{index}",
        )  # fmt: skip
    assert len(deliveries(world)) == 6 and len(deliveries(world, client)) == 4
    assert {row["purpose"] for row in deliveries(world, second)} == {"agency_message", "balance_alert"}
    latest = [row["message_id"] for row in deliveries(world, limit=2)]
    assert latest == world.value("select array(select id from messaging.outbox order by id desc limit 2)")
    for limit in (0, 501):
        assert world.refusal("select messaging.report_deliveries(null, %s)", limit) == "WP003"
