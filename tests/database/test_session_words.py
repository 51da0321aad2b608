"""Who is due for which word about a session, beyond the single conditions (those: audiences/sessions)."""

import json

import pytest

from tests.database import session_world as sessions
from tests.database.world import BentClock, World

NOON = "2026-11-18 12:00-03"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A Wednesday at noon in São Paulo, and one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def test_each_word_has_the_window_of_its_session(world: World) -> None:
    """What is not worth sending any more expires: an hour's reminder at 15 minutes, a nudge at 15 late."""
    for starts_in, purpose, ends_in in [
        ("40 minutes", "session_1h", "25 minutes"),
        ("10 minutes", "session_15m", "10 minutes"),
        ("-2 minutes", "session_start", "8 minutes"),
    ]:
        [row] = sessions.due(world, sessions.booked(world, starts_in))
        assert row["purpose"] == purpose
        assert world.value("select %s::timestamptz", row["expires_at"]) == sessions.at(world, ends_in)
    [nudge] = sessions.due(world, sessions.booked(world, "-12 minutes", session_start_notified=True))
    assert nudge["purpose"] == "session_nudge"
    assert world.value("select %s::timestamptz", nudge["expires_at"]) == sessions.at(world, "3 minutes")


def test_a_session_booked_at_the_last_moment_gets_one_word_at_a_time(world: World, noon: BentClock) -> None:
    """Booked two minutes ahead: the 15 minutes now, the start at the next run, never both at once."""
    profile = sessions.booked(world, "2 minutes")
    assert sessions.words(world, profile) == ["session_15m"]
    sessions.told(world, profile)
    assert sessions.words(world, profile) == ["session_start"]


def test_a_day_before_speaks_of_the_last_session_and_of_three_open_commitments(world: World) -> None:
    """150 characters of the last completed summary; commitments that are open, the earliest due first."""
    profile = sessions.booked(world, "24 hours")
    user = sessions.of(world, profile)["user_id"]
    for ago, status, summary in [
        ("9 days", "completed", "antes"),
        ("2 days", "completed", "  " + "é" * 200),
        ("1 day", "cancelled", "cancelada"),
        ("1 hour", "completed", " "),
    ]:
        world.rows(
            "insert into public.sessions (user_id, scheduled_at, status, session_summary, ended_at)"
            " values (%s, %s, %s, %s, %s)",
            user, sessions.at(world, f"-{ago}"), status, summary, sessions.at(world, f"-{ago}"),
        )  # fmt: skip
    for title, due_in, completed, status in [
        ("quarto", None, False, "pending"),
        ("segundo", "2 days", False, "pending"),
        ("feito", "1 hour", True, "pending"),
        ("terceiro", "3 days", False, "pending"),
        ("desistiu", "1 hour", False, "cancelled"),
        ("primeiro", "1 day", False, "pending"),
    ]:
        world.rows(
            "insert into public.commitments (user_id, title, due_date, completed, commitment_status)"
            " values (%s, %s, messaging.clock() + %s::interval, %s, %s)",
            user, title, due_in, completed, status,
        )  # fmt: skip
    [row] = sessions.due(world, profile)
    assert row["facts"] | {"session_id": None} == {
        "session_id": None, "date": "19/11", "time": "12:00",
        "last_summary": "é" * 150, "commitments": ["primeiro", "segundo", "terceiro"],
    }  # fmt: skip


def test_times_are_told_as_in_sao_paulo(world: World) -> None:
    """23:30 of the 18th there is 02:30 of the 19th in UTC."""
    profile = sessions.person(world)
    sessions.session(world, profile, scheduled_at="2026-11-19 02:30+00")
    world.rows("update messaging.bent_clock set now = '2026-11-19 02:00+00'")
    [row] = sessions.due(world, profile)
    assert (row["facts"]["date"], row["facts"]["time"]) == ("18/11", "23:30")


@pytest.mark.parametrize(
    ("stored", "lines"),
    [
        (["Dormir cedo", " dormir cedo ", "", 7, None, "Ligar"], ["Dormir cedo", "Ligar"]),
        (
            [{"title": "A"}, {"text": "B", "x": 1}, {"description": "C"}, {"what": "D"}, ["E"]],
            ["A", "B", "C"],
        ),
        ({"title": "sozinho"}, []),
        ("texto", []),
        (None, []),
        (["x" * 300], ["x" * 200]),
        ([f"linha {n}" for n in range(12)], [f"linha {n}" for n in range(10)]),
    ],
)
def test_lists_of_the_app_are_read_whatever_their_shape(
    world: World, stored: object, lines: list[str]
) -> None:
    """Strings or objects, repeated, empty or not a list at all: lines, each once, ten at most."""
    profile = sessions.ended(world, key_insights=json.dumps(stored), commitments=json.dumps(stored))
    [row] = sessions.due(world, profile)
    assert row["facts"]["insights"] == lines
    assert row["facts"]["commitments"] == lines
    assert row["facts"]["summary"] == sessions.SUMMARY


def test_a_summary_that_was_never_listed_is_sent_alone(world: World) -> None:
    """No insights and no commitments stored: empty lists."""
    [row] = sessions.due(world, sessions.ended(world))
    assert (row["facts"]["insights"], row["facts"]["commitments"]) == ([], [])


def test_do_not_disturb_does_not_silence_what_the_person_booked(world: World) -> None:
    """Peace is from what we begin; a session is the person's own."""
    profile = sessions.booked(world, "1 hour")
    world.rows("update public.profiles set do_not_disturb_until = messaging.clock() + '3 days'::interval")
    assert sessions.words(world, profile) == ["session_1h"]
    sessions.told(world, profile)
    assert sessions.of(world, profile)["reminder_1h_sent"]


@pytest.mark.parametrize(
    ("made", "purpose", "at_night"),
    [
        (lambda world: sessions.booked(world, "24 hours"), "session_24h", False),
        (lambda world: sessions.booked(world, "1 hour"), "session_1h", True),
        (lambda world: sessions.booked(world, "15 minutes"), "session_15m", True),
        (lambda world: sessions.booked(world, "0 minutes"), "session_start", True),
        (
            lambda world: sessions.booked(world, "-12 minutes", session_start_notified=True),
            "session_nudge", True,
        ),
        (
            lambda world: sessions.booked(world, "-31 minutes", session_start_notified=True),
            "session_missed", False,
        ),
        (sessions.begun, "session_abandoned", False),
        (sessions.ended, "session_summary", True),
        (lambda world: sessions.ended(world, post_session_sent=True), "session_rating", True),
    ],
)  # fmt: skip
def test_at_night_only_what_belongs_to_the_hour_goes(
    world: World, noon: BentClock, made: sessions.Made, purpose: str, at_night: bool
) -> None:
    """At 22:30 the reminders, the summary and the rating of a session go; the rest is not worth a night."""
    noon.move_to("2026-11-18 22:30-03")
    profile = made(world)
    assert sessions.words(world, profile) == ([purpose] if at_night else [])


def test_a_day_before_waits_for_the_morning_that_is_near(world: World, noon: BentClock) -> None:
    """Due at 06:30, sent at 08:00."""
    noon.move_to("2026-11-18 06:30-03")
    profile = sessions.booked(world, "24 hours")
    [row] = sessions.due(world, profile)
    message = sessions.enqueue(world, row)
    assert world.claim() == []
    noon.move_to("2026-11-18 08:00-03")
    world.record(world.begun(message))
    assert sessions.of(world, profile)["reminder_24h_sent"]


def test_whose_window_closes_first_goes_first(world: World) -> None:
    """A start before an hour's reminder before a day's."""
    for starts_in in ("24 hours", "1 hour", "12 minutes", "0 minutes"):
        sessions.booked(world, starts_in)
    assert [row["purpose"] for row in sessions.due(world)] == [
        "session_start", "session_15m", "session_1h", "session_24h",
    ]  # fmt: skip


def test_people_without_a_phone_or_a_profile_are_nobodys_audience(world: World) -> None:
    """Their sessions make no row, and keep nobody else's back."""
    nobody = sessions.person(world, phone=None)
    sessions.session(world, nobody)
    world.rows(
        "insert into public.sessions (user_id, scheduled_at)"
        " values (gen_random_uuid(), messaging.clock() + interval '24 hours')"
    )
    somebody = sessions.booked(world)
    assert [row["profile_id"] for row in sessions.due(world)] == [str(somebody)]
