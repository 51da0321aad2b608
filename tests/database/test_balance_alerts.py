"""Balance alerts in SQL: whose, under which token, when one rests, and what an acceptance notes."""

from typing import Any
from uuid import UUID

import pytest

from tests.database.agency_world import PHONE, TOKEN, Agency
from tests.database.content_world import refusal_at_begin
from tests.database.world import BentClock, Connect, World

NOON = "2026-11-18 12:00-03"


@pytest.fixture
def agency(world: World, bent_clock: BentClock) -> Agency:
    """An agency whose own number is open and whose manager asks, at noon."""
    bent_clock.move_to(NOON)
    found = Agency(world)
    found.connect()
    found.act()
    return found


def alerts(world: World) -> list[dict[str, Any]]:
    """due_balance_alerts."""
    found: list[dict[str, Any]] = world.value("select messaging.due_balance_alerts()")["alerts"]
    return found


def only(world: World) -> dict[str, Any]:
    """The one alert that there is."""
    [found] = alerts(world)
    return found


def tokens(world: World) -> dict[UUID, str]:
    """meta_tokens."""
    return {
        row["agency_id"]: row["access_token"] for row in world.rows("select * from messaging.meta_tokens()")
    }


def told(world: World, **fields: object) -> int:
    """The message of the one alert, as edge/check_balance_alerts enqueues it; its id."""
    row = only(world)
    return world.enqueue(
        UUID(row["instance_id"]),
        **{
            "purpose": "balance_alert",
            "phone": row["phone"],
            "subject_id": row["alert_id"],
            "dedupe_key": row["dedupe_key"],
            "facts": {"client_id": row["client_id"], "spoken_by": row["spoken_by"]},
        }
        | fields,
    )


def last_triggered(world: World) -> Any:
    """When the one alert was last accepted."""
    return world.value("select last_triggered_at from public.account_balance_alerts")


def test_bug_29_the_token_is_looked_up_where_the_table_has_it(world: World, agency: Agency) -> None:
    """Under meta_ads, the only name that the table allows; the original looked under "meta" and never found
    one."""
    agency.alert(agency.client())
    agency.token("google", provider="google_ads")
    assert tokens(world) == {}
    agency.token()
    assert tokens(world) == {agency.manager_id: TOKEN}


@pytest.mark.parametrize(("token", "connected"), [(TOKEN, False), ("", True), (None, True)])
def test_a_connection_that_ended_has_no_token(
    world: World, agency: Agency, token: str | None, connected: bool
) -> None:
    """Neither one that was disconnected nor an empty one."""
    agency.alert(agency.client())
    agency.token(token, connected=connected)
    assert tokens(world) == {}


def test_only_agencies_with_an_active_alert_give_their_token(world: World, agency: Agency) -> None:
    """A credential that nobody needs is not read."""
    agency.alert(agency.client(), is_active=False)
    agency.token()
    assert tokens(world) == {}


def test_an_alert_tells_whose_account_it_is_and_who_speaks(world: World, agency: Agency) -> None:
    """The client's own number, else the agency's; names for the text; the key of its first message."""
    agency.describe("Agência Lua")
    client = agency.client("Padaria")
    agency.account(client, "act_7", account_name="Loja")
    number = agency.connect(client)
    alert = agency.alert(client, "act_7", threshold_value="250.50")
    found = only(world)
    assert (found["client_label"], found["account_name"], found["agency_name"]) == (
        "Padaria",
        "Loja",
        "Agência Lua",
    )
    assert (found["threshold"], found["phone"], found["rests"], found["opted_out"]) == (
        250.5,
        PHONE,
        None,
        False,
    )
    assert (found["instance_id"], found["spoken_by"]) == (str(number), "client")
    assert found["dedupe_key"] == f"balance:{alert}:0"


def test_alerts_that_are_off_or_of_clients_who_left_are_nobody_s(world: World, agency: Agency) -> None:
    """Switched off; of a client whom another agency has now. The agency's own account counts."""
    other, lost = Agency(world), agency.client()
    agency.alert(agency.client(), "act_1", is_active=False)
    agency.alert(lost, "act_2")
    own = agency.alert(None, "act_3")
    world.rows(
        "update public.client_manager_links set manager_id = %s where client_user_id = %s",
        other.manager_id, lost,
    )  # fmt: skip
    assert [(row["alert_id"], row["spoken_by"]) for row in alerts(world)] == [(str(own), "agency")]


def test_nobody_who_speaks_and_a_stop_are_told(world: World, agency: Agency) -> None:
    """No number was ever open; the phone said stop to this agency."""
    mute = Agency(world)
    mute.alert(mute.client())
    agency.alert(agency.client())
    world.rows("select messaging.opt_out(%s, messaging.phone_key(%s), 'SAIR')", agency.manager_id, PHONE)
    told_of = {row["agency_id"]: row for row in alerts(world)}
    assert told_of[str(mute.manager_id)]["instance_id"] is None
    assert told_of[str(agency.manager_id)]["opted_out"] is True


def test_an_alert_rests_for_a_day_after_it_was_accepted(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """From when it was sent, to the second; until it is accepted nothing is noted."""
    agency.alert(agency.client())
    message = told(world)
    attempt = world.begun(message)
    assert last_triggered(world) is None
    world.record(attempt)
    assert last_triggered(world) == bent_clock.now()
    for moment, rests in (
        (NOON, "triggered"),
        ("2026-11-19 11:59:59-03", "triggered"),
        ("2026-11-19 12:00-03", None),
    ):
        bent_clock.move_to(moment)
        assert only(world)["rests"] == rests, moment
    assert only(world)["dedupe_key"].endswith(":1")


def test_an_alert_is_not_enqueued_again_while_its_message_waits(world: World, agency: Agency) -> None:
    """Held by a number that is down, leased, uncertain: it rests, and the next key is not the same by
    chance."""
    agency.alert(agency.client())
    message = told(world)
    assert only(world)["rests"] == "waiting"
    attempt = world.begun(message)
    assert only(world)["rests"] == "waiting"
    world.record(attempt, "unknown")
    assert (only(world)["rests"], last_triggered(world)) == ("waiting", None)


def test_what_nobody_settled_for_a_day_does_not_silence_an_alert(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """An uncertain message keeps the next one for a day, not for ever."""
    agency.alert(agency.client())
    world.record(world.begun(told(world)), "unknown")
    bent_clock.forward(24 * 3600)
    assert only(world)["rests"] is None


@pytest.mark.parametrize("end", ["expired", "withdrawn"])
def test_an_alert_that_never_left_is_due_again(
    world: World, bent_clock: BentClock, agency: Agency, end: str
) -> None:
    """Its time ran out, or somebody withdrew it: the next hour tells again, under another key."""
    agency.alert(agency.client())
    message = told(world)
    if end == "withdrawn":
        world.cancel(message_id=message)
    else:
        bent_clock.forward(7 * 3600)
        world.rows("select messaging.expire_due()")
    assert world.state(message) == end
    assert (only(world)["rests"], last_triggered(world)) == (None, None)
    assert told(world) != message


def test_a_phone_that_the_provider_refuses_is_left_alone_for_a_day(
    world: World, bent_clock: BentClock, agency: Agency
) -> None:
    """Not every hour; at once where the phone was changed; nothing was triggered."""
    agency.alert(agency.client())
    world.record(world.begun(told(world)), "rejected")
    assert (only(world)["rests"], last_triggered(world)) == ("refused", None)
    world.rows("update public.account_balance_alerts set recipient_phone = '5511987650009'")
    assert only(world)["rests"] is None
    world.rows("update public.account_balance_alerts set recipient_phone = %s", PHONE)
    bent_clock.forward(24 * 3600)
    assert only(world)["rests"] is None


def test_an_alert_that_was_switched_off_meanwhile_is_withdrawn(world: World, agency: Agency) -> None:
    """Between enqueue and begin: nothing leaves, and the reason stands."""
    agency.alert(agency.client())
    message = told(world)
    world.rows("update public.account_balance_alerts set is_active = false")
    assert "switched off" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_whoever_holds_the_alert_does_not_keep_the_outcome(connect: Connect) -> None:
    """An acceptance is recorded at once beside a save that takes its time; what it notes follows, and the
    alert rests meanwhile."""
    world, other = World(connect()), connect()
    agency = Agency(world)
    agency.connect()
    agency.alert(agency.client())
    attempt = world.begun(told(world))
    with other.transaction():
        other.execute("select from public.account_balance_alerts for update")
        assert world.record(attempt)["dispatch_state"] == "accepted"
        assert (last_triggered(world), only(world)["rests"]) == (None, "triggered")
    world.rows("select messaging.retry_effects()")
    assert last_triggered(world) is not None
