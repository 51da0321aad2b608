"""What an accepted word about a session writes, and when a word is no longer due."""

from uuid import UUID

import pytest

from tests.database import session_world as sessions
from tests.database.world import BentClock, World

NOON = "2026-11-18 12:00-03"
FLAGS = (
    "reminder_24h_sent", "confirmation_requested", "reminder_1h_sent", "reminder_15m_sent",
    "session_start_notified", "post_session_sent", "rating_requested",
)  # fmt: skip


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A Wednesday at noon in São Paulo, and one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def flags(world: World, profile: UUID) -> set[str]:
    """The flags that the person's session has."""
    row = sessions.of(world, profile)
    return {flag for flag in FLAGS if row[flag]}


@pytest.mark.parametrize(
    ("starts_in", "expected"),
    [
        ("24 hours", {"reminder_24h_sent", "confirmation_requested"}),
        ("1 hour", {"reminder_1h_sent"}),
        ("15 minutes", {"reminder_15m_sent"}),
        ("0 minutes", {"session_start_notified"}),
    ],
)
def test_a_flag_is_set_by_acceptance_and_by_nothing_else(
    world: World, starts_in: str, expected: set[str]
) -> None:
    """Not when it is enqueued, not when it is refused, not while nobody knows; a late receipt counts."""
    refused, unknown, accepted = (sessions.booked(world, starts_in) for _ in range(3))
    attempts = {profile: world.begun(sessions.enqueued(world, profile)) for profile in (refused,)}
    assert flags(world, refused) == set()
    world.record(attempts[refused], "rejected", p_detail="no such number")
    assert flags(world, refused) == set()

    attempt = world.begun(sessions.enqueued(world, unknown))
    world.record(attempt, "unknown", p_provider_message_id="LATE")
    assert flags(world, unknown) == set()

    world.record(world.begun(sessions.enqueued(world, accepted)))
    assert flags(world, accepted) == expected
    assert sessions.words(world, accepted) == []

    instance = world.value("select id from public.whatsapp_instances")
    world.receipt(instance, "LATE", "delivered")
    assert flags(world, unknown) == expected


def test_nothing_about_a_session_stands_in_the_chat_history(world: World) -> None:
    """As in the original (functions 2.7)."""
    sessions.told(world, sessions.booked(world, "1 hour"))
    sessions.told(world, sessions.ended(world))
    assert world.rows("select * from public.messages") == []


@pytest.mark.parametrize("starts_in", ["24 hours", "1 hour", "15 minutes", "0 minutes"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("status = 'cancelled'", "the session is not open any more"),
        ("status = 'in_progress', started_at = messaging.clock()", "the session is not open any more"),
        ("started_at = messaging.clock()", "the session has begun"),
        ("scheduled_at = scheduled_at + interval '2 days'", "the session is gone, or at another time"),
        (
            "reminder_24h_sent = true, reminder_1h_sent = true, reminder_15m_sent = true,"
            " session_start_notified = true",
            "the person was told already",
        ),
    ],
)
def test_a_reminder_that_is_overtaken_is_withdrawn(
    world: World, starts_in: str, change: str, why: str
) -> None:
    """Cancelled, begun, moved or told by hand between enqueue and begin: it does not go."""
    message = sessions.enqueued(world, sessions.booked(world, starts_in))
    [claimed] = world.claim()
    world.rows(f"update public.sessions set {change}")
    assert world.begin(claimed)["refusal"] == why
    assert world.state(message) == "withdrawn"


def test_a_reminder_of_a_session_that_was_deleted_is_withdrawn(world: World) -> None:
    """Gone is gone."""
    message = sessions.enqueued(world, sessions.booked(world, "1 hour"))
    [claimed] = world.claim()
    world.rows("delete from public.sessions")
    assert world.begin(claimed)["refusal"] == "the session is gone, or at another time"
    assert world.state(message) == "withdrawn"


def test_a_moved_session_is_reminded_and_confirmed_anew(world: World) -> None:
    """Its flags and its confirmation belonged to the old time; what the mover says in the same breath
    stands."""
    profile = sessions.booked(world, "1 hour")
    sessions.told(world, profile)
    found = sessions.of(world, profile)["id"]
    sessions.change(world, found, reminder_24h_sent=True, user_confirmed=True)

    sessions.change(world, found, scheduled_at=sessions.at(world, "24 hours"))
    row = sessions.of(world, profile)
    assert (flags(world, profile), row["user_confirmed"]) == (set(), None)
    assert sessions.words(world, profile) == ["session_24h"]

    moved = sessions.at(world, "50 minutes")
    sessions.change(world, found, scheduled_at=moved, reminder_24h_sent=True, user_confirmed=True)
    row = sessions.of(world, profile)
    assert (flags(world, profile), row["user_confirmed"]) == ({"reminder_24h_sent"}, True)
    assert sessions.words(world, profile) == ["session_1h"]


def test_a_session_that_is_touched_but_not_moved_keeps_its_flags(world: World) -> None:
    """Writing the same time again is no move."""
    profile = sessions.booked(world, "1 hour")
    sessions.told(world, profile)
    row = sessions.of(world, profile)
    sessions.change(world, row["id"], scheduled_at=row["scheduled_at"], focus_topic="sono")
    assert flags(world, profile) == {"reminder_1h_sent"}


def test_a_word_sent_for_the_old_time_marks_nothing_on_the_new_one(world: World) -> None:
    """Moved while the message was on its way: the new time is reminded anew."""
    profile = sessions.booked(world, "1 hour")
    attempt = world.begun(sessions.enqueued(world, profile))
    sessions.change(world, sessions.of(world, profile)["id"], scheduled_at=sessions.at(world, "50 minutes"))
    world.record(attempt)
    assert flags(world, profile) == set()
    assert sessions.words(world, profile) == ["session_1h"]


def test_bug_14_the_nudge_goes_once_and_not_to_whoever_answered(world: World, noon: BentClock) -> None:
    """The original sent it in each run of its five minutes; and it is asked back when the session starts."""
    profile = sessions.booked(world, "-10 minutes", session_start_notified=True)
    row = sessions.due(world, profile)[0]
    first = sessions.enqueue(world, row)
    noon.forward(4 * 60)
    assert [again["subject_id"] for again in sessions.due(world, profile)] == [row["subject_id"]]
    assert sessions.enqueue(world, row) == first

    [claimed] = world.claim()
    world.rows("update public.sessions set started_at = messaging.clock()")
    assert world.begin(claimed)["refusal"] == "the session has begun"
    assert world.state(first) == "withdrawn"
    assert world.value("select nudge from messaging.purposes where purpose = 'session_nudge'")


def test_the_summary_marks_the_session_and_then_the_rating_is_due(world: World) -> None:
    """One after the other: never the question before what it asks about."""
    profile = sessions.ended(world)
    assert sessions.words(world, profile) == ["session_summary"]
    sessions.told(world, profile)
    assert flags(world, profile) == {"post_session_sent"}
    assert sessions.words(world, profile) == ["session_rating"]
    sessions.told(world, profile)
    assert flags(world, profile) == {"post_session_sent", "rating_requested"}
    assert sessions.words(world, profile) == []


def test_a_summary_that_fails_is_followed_by_no_rating(world: World) -> None:
    """Refused: the session is not marked and nobody is asked."""
    profile = sessions.ended(world)
    world.record(world.begun(sessions.enqueued(world, profile)), "rejected", p_detail="no such number")
    assert flags(world, profile) == set()
    assert sessions.words(world, profile) == ["session_summary"]


def test_bug_14_the_rating_is_asked_for_where_the_agent_closed_the_session(world: World) -> None:
    """The agent sets post_session_sent itself, summary or not: the original then never asked."""
    profile = sessions.ended(world, post_session_sent=True, session_summary=None)
    assert sessions.words(world, profile) == ["session_rating"]
    sessions.told(world, profile)
    assert "rating_requested" in flags(world, profile)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update public.sessions set status = 'no_show'", "the session is gone, or not completed"),
        ("delete from public.sessions", "the session is gone, or not completed"),
        ("update public.sessions set rating_requested = true", "the person was asked already"),
        (
            "insert into public.session_ratings (session_id, user_id, rating)"
            " select s.id, s.user_id, 4 from public.sessions as s",
            "the person has rated it already",
        ),
    ],
)
def test_a_rating_that_is_overtaken_is_withdrawn(world: World, change: str, why: str) -> None:
    """Asked, rated, reopened or deleted meanwhile: the question does not go."""
    sessions.enqueued(world, sessions.ended(world, post_session_sent=True))
    [claimed] = world.claim()
    world.rows(change)
    assert world.begin(claimed)["refusal"] == why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("status = 'in_progress'", "the session is gone, or not completed"),
        ("post_session_sent = true", "the person has the summary already"),
    ],
)
def test_a_summary_that_is_overtaken_is_withdrawn(world: World, change: str, why: str) -> None:
    """Sent by the agent meanwhile, or the session goes on."""
    sessions.enqueued(world, sessions.ended(world))
    [claimed] = world.claim()
    world.rows(f"update public.sessions set {change}")
    assert world.begin(claimed)["refusal"] == why


def test_a_composed_summary_becomes_the_sessions_own(world: World) -> None:
    """What the person read is what is remembered next time; a fixed text changes nothing."""
    composed, fixed = sessions.ended(world), sessions.ended(world)
    for profile, facts in ((composed, {"composed_summary": "Falamos de sono."}), (fixed, {})):
        [row] = sessions.due(world, profile)
        message = sessions.enqueue(world, row | {"facts": row["facts"] | facts})
        assert sessions.of(world, profile)["session_summary"] == sessions.SUMMARY
        world.record(world.begun(message))
    assert sessions.of(world, composed)["session_summary"] == "Falamos de sono."
    assert sessions.of(world, fixed)["session_summary"] == sessions.SUMMARY
