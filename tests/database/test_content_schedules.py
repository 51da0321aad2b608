"""schedule-setup-reminder and monthly-schedule-renewal in SQL: still due or not, what acceptance writes."""

from typing import Any

import pytest

from tests.database.content_world import (
    NOON,
    audience,
    change,
    due_message,
    history,
    person,
    plan,
    profile,
    refusal_at_begin,
    session,
)
from tests.database.world import BentClock, World

SETUP, RENEWAL = "people_schedule_setup", "people_schedule_renewal"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> None:
    """Each test begins on a Wednesday at noon, with one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))


@pytest.fixture
def somebody(world: World) -> Any:
    """A person on a plan with four sessions who never gave days and times."""
    return person(world, plan=plan(world), needs_schedule_setup=True)


def test_setup_is_asked_every_third_day(world: World, bent_clock: BentClock, somebody: Any) -> None:
    """The run is at ten and the turn comes later; three mornings on it is due again, not the fourth."""
    bent_clock.move_to("2026-11-18 10:00-03")
    message = due_message(world, SETUP, somebody, "Quando?")
    bent_clock.move_to("2026-11-18 11:30-03")
    world.record(world.begun(message))
    assert profile(world, somebody)["schedule_setup_sent_at"] == bent_clock.now()
    assert history(world, somebody) == ["Quando?"]
    for day, people in ((19, 0), (20, 0), (21, 1)):
        bent_clock.move_to(f"2026-11-{day} 10:00-03")
        assert len(audience(world, SETUP, somebody)) == people, day


@pytest.mark.parametrize("changed", [{"needs_schedule_setup": False}, {"status": "canceled"}], ids=str)
def test_setup_is_withdrawn_when_it_is_no_longer_needed(
    world: World, somebody: Any, changed: dict[str, object]
) -> None:
    """Answered or gone between enqueue and begin."""
    message = due_message(world, SETUP, somebody)
    change(world, somebody, **changed)
    assert "no longer needs" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_renewal_is_asked_once_a_month(world: World, bent_clock: BentClock, somebody: Any) -> None:
    """Accepted on the first: not again this month by São Paulo's calendar, again in the next."""
    bent_clock.move_to("2026-11-01 10:00-03")
    message = due_message(world, RENEWAL, somebody, "Novembro?")
    world.record(world.begun(message))
    assert profile(world, somebody)["schedule_renewal_sent_at"] == bent_clock.now()
    assert history(world, somebody) == ["Novembro?"]
    for moment, months in (
        ("2026-11-30 23:59:59-03", []),
        ("2026-12-01 00:00-03", ["2026-12-01"]),
        ("2027-01-31 23:59:59-03", ["2027-01-01"]),
    ):
        bent_clock.move_to(moment)
        assert [row["facts"]["month"] for row in audience(world, RENEWAL, somebody)] == months, moment


def test_renewal_is_withdrawn_when_a_session_is_booked_meanwhile(world: World, somebody: Any) -> None:
    """Who books between enqueue and begin is not asked; who books for the next month is."""
    session(world, somebody, "scheduled", "2026-12-01 00:00-03")
    message = due_message(world, RENEWAL, somebody)
    session(world, somebody, "scheduled", "2026-11-30 23:59-03")
    assert "has booked" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_renewal_is_withdrawn_when_the_profile_ended(world: World, somebody: Any) -> None:
    """Canceled between enqueue and begin."""
    message = due_message(world, RENEWAL, somebody)
    change(world, somebody, status="canceled")
    refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


@pytest.mark.parametrize("function", [SETUP, RENEWAL])
@pytest.mark.parametrize("outcome", ["rejected", "unknown", "not_sent"])
def test_what_was_not_accepted_was_not_asked(
    world: World, somebody: Any, function: str, outcome: str
) -> None:
    """No flag and no history without an acceptance."""
    world.record(world.begun(due_message(world, function, somebody)), outcome)
    row = profile(world, somebody)
    assert (row["schedule_setup_sent_at"], row["schedule_renewal_sent_at"]) == (None, None)
    assert history(world, somebody) == []


def test_adopted_session_states_as_an_enum_are_compared_rightly(world: World, somebody: Any) -> None:
    """An adopted project keeps session states in an enum; the audiences read them just the same."""
    world.rows(
        "create type public.session_state as enum ('scheduled', 'in_progress', 'completed', 'cancelled')"
    )
    # Beside the table of before, whose states other functions read as text.
    world.rows("alter table public.sessions rename to sessions_before")
    world.rows("create table public.sessions (like public.sessions_before including defaults)")
    world.rows("alter table public.sessions alter column status drop default")
    world.rows(
        "alter table public.sessions alter column status type public.session_state"
        " using status::public.session_state"
    )
    assert len(audience(world, RENEWAL, somebody)) == 1
    assert len(audience(world, "people_weekly_report", somebody)) == 1
    world.rows(
        "insert into public.sessions (user_id, scheduled_at, status) select user_id, %s, 'scheduled'"
        " from public.profiles where id = %s",
        "2026-11-20 12:00-03", somebody,
    )  # fmt: skip
    assert audience(world, RENEWAL, somebody) == []
    world.rows("update public.sessions set status = 'in_progress'")
    assert audience(world, "people_weekly_report", somebody) == []


def test_adopted_plans_without_a_unique_name_ask_once(world: World, somebody: Any) -> None:
    """Two rows for one plan are one person in the audience, with the larger number of sessions."""
    world.rows("alter table public.plan_configs drop constraint plan_configs_pkey")
    world.rows("insert into public.plan_configs (plan, sessions_per_month) values ('direcao', 8)")
    [row] = audience(world, SETUP, somebody)
    assert row["facts"]["sessions_per_month"] == 8
