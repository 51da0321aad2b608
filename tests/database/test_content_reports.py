"""weekly-report in SQL: which week, which figures, whether it is still due, and what an acceptance writes."""

from typing import Any

import pytest

from tests.database.content_world import (
    NOON,
    as_json,
    at,
    audience,
    change,
    due_message,
    history,
    journey,
    person,
    profile,
    refusal_at_begin,
    said,
    session,
)
from tests.database.world import BentClock, World

AUDIENCE = "people_weekly_report"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> None:
    """Each test begins on a Wednesday at noon, with one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))


def facts(world: World, found: object) -> dict[str, Any]:
    """What the audience tells of this person."""
    [row] = [row for row in audience(world, AUDIENCE) if row["profile_id"] == str(found)]
    told: dict[str, Any] = row["facts"]
    return told


WEEKS = [
    ("2026-11-15 19:00-03", "2026-11-09"),  # the Sunday of the schedule
    ("2026-11-15 23:59:59-03", "2026-11-09"),
    ("2026-11-16 08:00-03", "2026-11-09"),  # a run that comes late
    ("2026-11-18 23:59:59-03", "2026-11-09"),
    ("2026-11-19 00:00-03", "2026-11-16"),
    ("2026-11-22 19:00-03", "2026-11-16"),
    ("2027-01-03 19:00-03", "2026-12-28"),
]


def test_a_late_run_tells_of_the_same_week(world: World, bent_clock: BentClock) -> None:
    """The week from Monday in São Paulo, whether the run comes on Sunday evening or three days later."""
    found = person(world)
    for moment, monday in WEEKS:
        bent_clock.move_to(moment)
        change(world, found, last_user_message_at=at(world, "-1 day"))
        assert facts(world, found)["week_start"] == monday, moment


def test_figures_are_those_of_the_person_and_the_week(world: World, bent_clock: BentClock) -> None:
    """Both ends of the week to the second, nobody else's messages, insights of the week only."""
    bent_clock.move_to("2026-11-15 19:00-03")
    found, other = person(world), person(world)
    for moment in ("2026-11-08 23:59:59-03", "2026-11-09 00:00-03", "2026-11-15 18:00-03"):
        said(world, found, moment)
        said(world, found, moment, role="assistant")
    said(world, other, "2026-11-10 12:00-03")
    two, three = as_json(["a", "b"]), as_json(["a", "b", "c"])
    session(world, found, "completed", at(world, "-4 days"), ended_at="2026-11-11 12:00-03", key_insights=two)
    session(
        world, found, "completed", at(world, "-9 days"), ended_at="2026-11-06 12:00-03", key_insights=three
    )
    session(
        world, found, "completed", at(world, "-3 days"), ended_at="2026-11-12 12:00-03", key_insights='"x"'
    )
    session(world, found, "cancelled", at(world, "-2 days"), ended_at="2026-11-13 12:00-03", key_insights=two)
    name = journey(world)
    change(world, found, current_journey_id=name, current_episode=3, journeys_completed=2)

    told = facts(world, found)
    assert (told["messages_total"], told["messages_week"]) == (6, 4)
    assert (told["insights"], told["sessions_completed"]) == (2, 3)
    assert (told["episode"], told["episodes"], told["percent"], told["journeys_completed"]) == (3, 8, 38, 2)
    assert told["journey_title"].startswith("Jornada ")
    assert (facts(world, other)["messages_week"], facts(world, other)["journey_title"]) == (1, None)


def test_a_late_run_leaves_the_new_week_out(world: World, bent_clock: BentClock) -> None:
    """On Monday morning, what was said and found since midnight is next week's."""
    bent_clock.move_to("2026-11-16 10:00-03")
    found = person(world)
    for moment in ("2026-11-15 23:59:59-03", "2026-11-16 00:00-03"):
        said(world, found, moment)
        session(world, found, "completed", moment, ended_at=moment, key_insights=as_json(["a"]))
    told = facts(world, found)
    assert (told["messages_week"], told["messages_total"], told["insights"]) == (1, 2, 1)


def test_somebody_with_nothing_has_noughts(world: World) -> None:
    """No message, no session, no journey, no name: a row of noughts, never nulls that a text would show."""
    told = facts(world, person(world, name=None, journeys_completed=0))
    assert {told[name] for name in ("messages_total", "messages_week", "insights", "sessions_completed")} == {
        0
    }
    assert (told["percent"], told["episode"], told["journeys_completed"]) == (0, 0, 0)


def test_a_journey_beyond_its_end_is_never_over_a_hundred(world: World) -> None:
    """Somebody at episode 9 of 8 has done all of it."""
    found = person(world, current_journey_id=journey(world), current_episode=9)
    assert facts(world, found)["percent"] == 100


def test_report_is_withdrawn_when_the_profile_ended_meanwhile(world: World) -> None:
    """Between enqueue and begin somebody canceled: nothing leaves, and the reason stands."""
    found = person(world)
    message = due_message(world, AUDIENCE, found)
    change(world, found, status="canceled")
    assert "no longer active" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_bug_12_the_report_heeds_do_not_disturb_and_its_record_never_fails(world: World) -> None:
    """Peace holds at choosing and at begin; the week is recorded once also where nothing makes it unique."""
    world.rows("alter table public.weekly_plans drop constraint weekly_plans_user_id_week_start_key")
    found = person(world)
    message = due_message(world, AUDIENCE, found, "Seu retrato")
    change(world, found, do_not_disturb_until=at(world, "1 hour"))
    assert audience(world, AUDIENCE, found) == []
    assert message not in [row.message_id for row in world.claim(200)]
    change(world, found, do_not_disturb_until=None)
    world.rows(
        "update messaging.outbox set facts = facts || %s, not_before = messaging.clock() where id = %s",
        as_json({"paragraph": "Boa semana."}), message,
    )  # fmt: skip
    user_id = profile(world, found)["user_id"]
    world.rows(
        "insert into public.weekly_plans (user_id, week_start, goals) values (%s, '2026-11-09', '[1]')",
        user_id,
    )
    world.rows("select messaging.wake(instance_id) from messaging.outbox where id = %s", message)

    world.record(world.begun(message))

    plans = world.rows("select week_start::text, goals, reflections from public.weekly_plans")
    assert plans == [{"week_start": "2026-11-09", "goals": [1], "reflections": "Boa semana."}]
    assert history(world, found) == ["Seu retrato"]


@pytest.mark.parametrize("outcome", ["rejected", "unknown"])
def test_report_that_was_not_accepted_is_recorded_nowhere(world: World, outcome: str) -> None:
    """Neither the history nor weekly_plans speaks of what nobody accepted."""
    found = person(world)
    world.record(world.begun(due_message(world, AUDIENCE, found)), outcome)
    assert (history(world, found), world.value("select count(*) from public.weekly_plans")) == ([], 0)


def test_report_without_a_paragraph_keeps_an_earlier_one(world: World) -> None:
    """A fixed text does not wipe what the app wrote about the week; without a row it makes one."""
    kept, new = person(world), person(world)
    world.rows(
        "insert into public.weekly_plans (user_id, week_start, reflections)"
        " select user_id, '2026-11-09', 'antes' from public.profiles where id = %s",
        kept,
    )
    for found in (kept, new):
        world.record(world.begun(due_message(world, AUDIENCE, found)))
    rows = world.rows("select reflections from public.weekly_plans order by reflections nulls last")
    assert [row["reflections"] for row in rows] == ["antes", None]


def test_record_that_failed_is_made_good_later(world: World) -> None:
    """A broken app table leaves the report accepted, nothing half written, and the effect to be retried."""
    found = person(world)
    message = due_message(world, AUDIENCE, found)
    world.rows("alter table public.weekly_plans rename to weekly_plans_away")
    world.record(world.begun(message))
    assert (world.state(message), history(world, found)) == ("accepted", [])
    world.rows("alter table public.weekly_plans_away rename to weekly_plans")
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    assert (len(history(world, found)), world.value("select count(*) from public.weekly_plans")) == (1, 1)
