"""reactivation-check: missed sessions and silences, each written to once; what may change before it goes."""

from collections.abc import Callable
from uuid import UUID

import pytest

from shared.db import Database
from tests.database.nudging import (
    NOON,
    ago,
    chosen,
    delivered,
    person,
    run,
    said_to,
    set_columns,
    texts,
    undisturbed,
    with_session,
)
from tests.database.world import BentClock, World

AUDIENCE, FUNCTION = "people_reactivation", "reactivation-check"
DAY_S = 86_400


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def silent(world: World) -> UUID:
    """Somebody who has not written for four days."""
    return person(world, wrote="4 days")


def missed(world: World) -> UUID:
    """Somebody who wrote yesterday and whose session was two hours ago."""
    return with_session(world)


def states(world: World) -> list[str]:
    """The states of all sessions by their time."""
    rows = world.rows("select status::text from public.sessions order by scheduled_at")
    return [row["status"] for row in rows]


def test_bug_17_twice_a_silence_at_most_and_do_not_disturb_holds_for_missed_sessions(
    world: World, db: Database, noon: BentClock
) -> None:
    """Forty daily runs write twice, in the fourth and the eighth day; a new silence begins anew; who wants
    peace is not told of a missed session before it ends."""
    profile = person(world, wrote="1 hour")
    days: list[int] = []
    told: list[str] = []
    for day in range(40):
        run(db, FUNCTION)
        sent = texts(delivered(world))
        days += [day] * len(sent)
        told += sent
        noon.forward(DAY_S)
    assert days == [3, 7]
    assert told[0] != told[1]

    set_columns(world, "profiles", profile, last_user_message_at=noon.now())
    noon.forward(3 * DAY_S + 1)
    run(db, FUNCTION)
    assert texts(delivered(world)) == told[:1]

    peaceful = undisturbed(world, missed(world))
    assert peaceful not in chosen(world, AUDIENCE)
    noon.forward(3600)
    assert peaceful in chosen(world, AUDIENCE)


def test_a_first_run_after_weeks_of_silence_writes_once(world: World, db: Database, noon: BentClock) -> None:
    """Who has been silent for long gets the later text, and never the earlier one after it."""
    person(world, wrote="60 days")
    told: list[str] = []
    for _ in range(10):
        run(db, FUNCTION)
        told += texts(delivered(world))
        noon.forward(DAY_S)
    assert len(told) == 1 and "mais de uma semana" in told[0]


def test_who_never_wrote_has_fallen_into_no_silence(world: World, noon: BentClock) -> None:
    """As in the original: the check-in asks them, not this."""
    person(world, wrote=None)
    assert chosen(world, AUDIENCE) == {}


def test_a_missed_session_is_told_once_and_becomes_a_no_show(
    world: World, db: Database, noon: BentClock
) -> None:
    """With the local day and hour; nothing stands in the history, as in the original."""
    noon.move_to("2026-11-18 01:30-03")
    profile = missed(world)
    noon.move_to(NOON)
    first, second = run(db, FUNCTION), run(db, FUNCTION)
    assert (first["missed_sessions_sent"], first["reactivations_sent"]) == (1, 0)
    assert second["missed_sessions_sent"] == 0
    [text] = texts(delivered(world))
    assert "17/11" in text and "23:30" in text
    assert states(world) == ["no_show"]
    assert said_to(world, profile) == []
    noted = world.value("select last_reactivation_sent from public.profiles where id = %s", profile)
    assert noted == noon.now()
    noon.forward(DAY_S)
    assert chosen(world, AUDIENCE) == {}


def test_a_refused_message_closes_no_session(world: World, db: Database, noon: BentClock) -> None:
    """Only what went out counts."""
    missed(world)
    run(db, FUNCTION)
    assert len(delivered(world, "rejected")) == 1
    assert states(world) == ["scheduled"]
    assert world.value("select count(*) from public.profiles where last_reactivation_sent is not null") == 0


def test_who_could_not_be_reached_on_one_day_is_written_to_on_the_next(
    world: World, db: Database, noon: BentClock
) -> None:
    """A number that was down until midnight spends neither kind of message; a refused one is spent."""
    people = {silent(world), missed(world)}
    [number] = world.rows("select id from public.whatsapp_instances")
    world.set_status(number["id"], "paused")
    run(db, FUNCTION)
    noon.forward(DAY_S)
    assert world.value("select messaging.expire_due()") == 2
    world.set_status(number["id"], "active")
    run(db, FUNCTION)
    assert {message["profile_id"] for message in delivered(world, "rejected")} == people
    noon.forward(DAY_S)
    run(db, FUNCTION)
    assert delivered(world) == []


def test_the_latest_missed_session_speaks_for_the_earlier_ones(
    world: World, db: Database, noon: BentClock
) -> None:
    """One message; the earlier ones are closed with it, those ahead, begun or of others are left alone."""
    profile = with_session(world, was="2 hours")
    with_session(world, profile, was="3 days")
    with_session(world, profile, was="5 days", status="completed")
    with_session(world, profile, was="50 minutes")
    with_session(world, profile, was="-2 days")
    with_session(world, was="4 days", status="in_progress")
    run(db, FUNCTION)
    assert len(delivered(world)) == 1
    assert states(world) == ["completed", "in_progress", "no_show", "no_show", "scheduled", "scheduled"]


def test_missed_and_silent_is_one_message(world: World, db: Database, noon: BentClock) -> None:
    """Also where the second part was queued before the session was missed: one of both is withdrawn."""
    profile = silent(world)
    answer = run(db, FUNCTION)
    assert (answer["missed_sessions_sent"], answer["reactivations_sent"]) == (0, 1)
    with_session(world, profile)
    answer = run(db, FUNCTION)
    assert (answer["missed_sessions_sent"], answer["reactivations_sent"]) == (1, 0)
    assert len(delivered(world)) == 1
    [withdrawn] = world.rows("select reason from messaging.outbox where dispatch_state = 'withdrawn'")
    assert withdrawn["reason"] == "the person was written to already"


def test_a_checkin_and_a_reactivation_keep_three_days_apart(
    world: World, db: Database, noon: BentClock
) -> None:
    """A week of silence makes both due; the earlier function's message keeps the other's away."""
    person(world, wrote="8 days")
    run(db, "scheduled-checkin")
    assert len(delivered(world)) == 1
    assert chosen(world, AUDIENCE) == {}
    noon.forward(3 * DAY_S)
    run(db, FUNCTION)
    assert len(delivered(world)) == 1
    assert chosen(world, "people_checkin") == {}


LEFT = "the person is no longer with us"
CHANGES: list[tuple[Callable[[World], UUID], str, str]] = [
    (
        silent,
        "update public.profiles set last_user_message_at = messaging.clock()",
        "the person wrote meanwhile",
    ),
    (silent, "update public.profiles set status = 'trial'", LEFT),
    (
        silent,
        "insert into public.sessions (user_id, scheduled_at)"
        " select user_id, messaging.clock() + interval '1 day' from public.profiles",
        "the person has a session ahead",
    ),
    (
        silent,
        "update public.profiles set last_reactivation_sent = messaging.clock()",
        "the person was written to already",
    ),
    (
        silent,
        "update public.profiles set last_checkin_sent_at = messaging.clock()",
        "the person was asked already",
    ),
    (missed, "update public.sessions set status = 'cancelled'", "the session was settled"),
    (missed, "update public.sessions set started_at = messaging.clock()", "the session was settled"),
    (
        missed,
        "update public.sessions set scheduled_at = messaging.clock() + interval '1 day'",
        "the session was moved",
    ),
    (missed, "delete from public.sessions", "the session is gone"),
    (missed, "update public.profiles set status = 'canceled'", LEFT),
    (
        missed,
        "update public.profiles set last_reactivation_sent = messaging.clock()",
        "the person was written to already",
    ),
]


@pytest.mark.parametrize("changed", CHANGES)
def test_what_changed_before_it_went_withdraws_it(
    world: World, db: Database, noon: BentClock, changed: tuple[Callable[[World], UUID], str, str]
) -> None:
    """Asked again at begin: nothing goes out about what no longer holds."""
    make, change, reason = changed
    make(world)
    run(db, FUNCTION)
    world.rows(change)
    assert delivered(world) == []
    [message] = world.rows("select * from messaging.outbox")
    assert (message["dispatch_state"], message["reason"]) == ("withdrawn", reason)


def test_the_last_day_that_the_app_noted_counts_where_no_moment_is_known(
    world: World, noon: BentClock
) -> None:
    """An adopted profile knows only the date (UTC) of the last message."""
    profile = person(world, wrote=None, last_message_date=ago(world, "2 days"))
    assert chosen(world, AUDIENCE) == {}
    set_columns(world, "profiles", profile, last_message_date=ago(world, "4 days"))
    assert profile in chosen(world, AUDIENCE)
