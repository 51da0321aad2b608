"""How a session that nobody ended is closed: which ones, as what, once, and never before its word is out."""

from collections.abc import Callable
from uuid import UUID

import pytest

from scripts.migrate import apply_all
from tests.database import session_world as sessions
from tests.database.sessions import Waiting, all_at_once
from tests.database.world import BentClock, Connect, World
from tests.migration.projects import project, silent

NOON = "2026-11-18 12:00-03"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A Wednesday at noon in São Paulo, and one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def test_a_missed_session_is_cancelled_once_its_word_is_enqueued(world: World) -> None:
    """Not before: the word and the closing belong together. Then again: nothing more to do."""
    profile = sessions.missed(world)
    assert sessions.close(world) == (0, 0)
    message = sessions.enqueued(world, profile)
    assert sessions.close(world) == (1, 0)
    row = sessions.of(world, profile)
    assert (row["status"], row["session_summary"]) == ("cancelled", sessions.MISSED)
    assert row["ended_at"] == sessions.at(world, "0")
    assert sessions.close(world) == (0, 0)
    assert sessions.words(world, profile) == []
    world.record(world.begun(message))
    assert world.state(message) == "accepted"


def test_a_crash_between_the_word_and_the_closing_is_repaired_by_the_next_run(
    world: World, noon: BentClock
) -> None:
    """The word is due again, is the same message, and the session is closed."""
    profile = sessions.missed(world)
    message = sessions.enqueued(world, profile)
    noon.forward(300)
    assert sessions.enqueued(world, profile) == message
    assert sessions.close(world) == (1, 0)
    assert world.value("select count(*) from messaging.outbox") == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("status = 'in_progress', started_at = messaging.clock()", "the session took place after all"),
        ("status = 'completed'", "the session took place after all"),
        (
            "status = 'scheduled', scheduled_at = messaging.clock() + interval '2 days'",
            "the session is gone, or at another time",
        ),
    ],
)
def test_whoever_came_late_or_moved_the_session_is_not_told_that_it_was_missed(
    world: World, change: str, why: str
) -> None:
    """Between the closing and the turn of its word, the agent begins the session or books it anew."""
    message = sessions.enqueued(world, sessions.missed(world))
    sessions.close(world)
    [claimed] = world.claim()
    world.rows(f"update public.sessions set {change}")
    assert world.begin(claimed)["refusal"] == why
    assert world.state(message) == "withdrawn"


@pytest.mark.parametrize(
    ("messages", "status", "ending"),
    [
        (0, "no_show", "silent"),
        (1, "no_show", "silent"),
        (2, "no_show", "short"),
        (4, "no_show", "short"),
        (5, "completed", "long"),
        (9, "completed", "long"),
    ],
)
def test_an_abandoned_session_is_judged_by_what_the_person_wrote_in_it(
    world: World, messages: int, status: str, ending: str
) -> None:
    """Messages of the person since it began; neither answers nor what was written before count."""
    profile = sessions.begun(world)
    found = sessions.of(world, profile)["id"]
    world.rows("update public.profiles set current_session_id = %s where id = %s", found, profile)
    sessions.wrote(world, profile, messages)
    sessions.wrote(world, profile, 7, ago="01:15:02")

    [row] = sessions.due(world, profile)
    assert (row["purpose"], row["facts"]["ending"]) == ("session_abandoned", ending)
    sessions.enqueue(world, row)
    assert sessions.close(world) == (0, 1)

    closed = sessions.of(world, profile)
    assert (closed["status"], closed["ended_at"]) == (status, sessions.at(world, "0"))
    assert closed["session_summary"] == (sessions.CLOSED if status == "completed" else None)
    assert world.value("select current_session_id from public.profiles where id = %s", profile) is None


def test_a_session_is_closed_as_the_person_was_told(world: World) -> None:
    """Told that it stayed half done; a fifth message meanwhile does not make it completed."""
    profile = sessions.begun(world)
    sessions.wrote(world, profile, 4)
    sessions.enqueued(world, profile)
    sessions.wrote(world, profile, 1)
    sessions.close(world)
    assert sessions.of(world, profile)["status"] == "no_show"


def test_a_long_session_that_was_closed_gets_its_summary_and_its_rating(
    world: World, noon: BentClock
) -> None:
    """Five minutes after it was closed, as any other completed session."""
    profile = sessions.begun(world)
    sessions.wrote(world, profile, 5)
    sessions.told(world, profile)
    sessions.close(world)
    assert sessions.words(world, profile) == []
    noon.forward(300)
    [row] = sessions.due(world, profile)
    assert (row["purpose"], row["facts"]["summary"]) == ("session_summary", sessions.CLOSED)
    sessions.told(world, profile)
    assert sessions.words(world, profile) == ["session_rating"]


def test_a_summary_that_the_agent_wrote_is_kept(world: World) -> None:
    """Closing adds what is missing and overwrites nothing."""
    profile = sessions.begun(world, session_summary="do agente", ended_at="2026-11-18 11:50-03")
    late = sessions.missed(world, session_summary="remarcar")
    sessions.wrote(world, profile, 5)
    for each in (profile, late):
        sessions.enqueued(world, each)
    sessions.close(world)
    row = sessions.of(world, profile)
    assert (row["session_summary"], row["ended_at"]) == ("do agente", sessions.at(world, "-10 minutes"))
    assert sessions.of(world, late)["session_summary"] == "remarcar"


def opted_out(world: World) -> UUID:
    """A missed session of a person who wants no word."""
    profile = sessions.opted_out(world)
    sessions.session(world, profile, "-31 minutes", session_start_notified=True)
    return profile


def without_phone(world: World) -> UUID:
    """A missed session of a person who cannot be written to."""
    profile = sessions.person(world, phone=None)
    sessions.session(world, profile, "-31 minutes", session_start_notified=True)
    return profile


def at_night(world: World) -> UUID:
    """A session missed at an hour at which nobody is told."""
    world.rows("update messaging.bent_clock set now = '2026-11-18 22:30-03'")
    return sessions.missed(world)


def old(world: World) -> UUID:
    """A session missed so long ago that no word is sent."""
    return sessions.missed(world, "24 hours")


@pytest.mark.parametrize("made", [opted_out, without_phone, at_night, old])
def test_a_session_whose_person_is_not_told_is_closed_all_the_same(
    world: World, made: Callable[[World], UUID]
) -> None:
    """Opted out, no phone, night, or a day too late: nobody gets a word, and the session does not hang."""
    profile = made(world)
    assert sessions.words(world, profile) == []
    assert sessions.close(world) == (1, 0)
    assert sessions.of(world, profile)["status"] == "cancelled"


def test_a_session_abandoned_days_ago_is_closed_without_a_word(world: World) -> None:
    """An adopted project's past: put right, in silence."""
    profile = sessions.begun(world, over_since="9 days")
    assert sessions.words(world, profile) == []
    assert sessions.close(world) == (0, 1)
    assert sessions.of(world, profile)["status"] == "no_show"


def test_a_session_that_begins_while_it_is_being_closed_goes_on(world: World, connect: Connect) -> None:
    """The agent starts it in a transaction that the closing has to wait for: it is looked at again."""
    profile = sessions.missed(world)
    sessions.enqueued(world, profile)
    found = sessions.of(world, profile)["id"]
    world.rows("update public.profiles set current_session_id = %s where id = %s", found, profile)
    agent, closing = World(connect()), World(connect())
    agent.rows("begin")
    agent.rows(
        "update public.sessions set status = 'in_progress', started_at = messaging.clock() where id = %s",
        found,
    )
    waiting = Waiting(closing, world, lambda: sessions.close(closing))
    assert waiting.is_waiting
    agent.rows("commit")
    assert waiting.result() == (0, 0)
    assert sessions.of(world, profile)["status"] == "in_progress"
    assert world.value("select current_session_id from public.profiles where id = %s", profile) == found


def test_eight_runs_at_once_close_each_session_once(world: World, connect: Connect) -> None:
    """Whoever comes first; the counts add up and nothing deadlocks."""
    people = [sessions.missed(world) for _ in range(10)] + [sessions.begun(world) for _ in range(10)]
    for profile in people:
        found = sessions.of(world, profile)["id"]
        world.rows("update public.profiles set current_session_id = %s where id = %s", found, profile)
        sessions.enqueued(world, profile)
    counts = all_at_once([connect() for _ in range(8)], lambda one, _: sessions.close(one))
    assert [sum(each) for each in zip(*counts, strict=True)] == [10, 10]


def test_only_the_service_role_closes_sessions(world: World) -> None:
    """And it may call nothing else of this file."""
    mine = world.rows(
        "select p.proname, has_function_privilege('service_role', p.oid, 'execute') as allowed"
        " from pg_proc as p where p.pronamespace = 'messaging'::regnamespace"
        " and (p.proname ~ 'session' or p.proname = 'may_close')"
    )
    assert len(mine) > 20
    assert [row["proname"] for row in mine if row["allowed"]] == ["close_sessions"]


def test_an_adopted_project_with_its_own_status_type_is_served_too(server_url: str) -> None:
    """sessions.status is an enum there: every word, every effect, every closing works on it."""
    with project(server_url, plain_owner=True, adopted=True) as found:
        apply_all(found.url, silent)
        with found.connect() as connection:
            world = World(connection)
            clock = BentClock(world)
            clock.move_to(NOON)
            world.number(gap=(0, 0), is_default=True)
            late, begun = sessions.missed(world), sessions.begun(world)
            coming = sessions.booked(world, "1 hour")
            finished = sessions.ended(world, commitments='["Caminhar"]')
            sessions.wrote(world, begun, 5)
            for profile in (late, begun, coming, finished, finished):
                sessions.told(world, profile)
                clock.forward(60)
            assert sessions.close(world) == (1, 1)
            rows = [sessions.of(world, profile) for profile in (late, begun, coming, finished)]
            assert [row["status"] for row in rows] == ["cancelled", "completed", "scheduled", "completed"]
            assert [row["reminder_1h_sent"] for row in rows] == [False, False, True, False]
            assert rows[3]["rating_requested"]
            assert world.rows("select title from public.commitments") == [{"title": "Caminhar"}]
            assert world.rows("select * from messaging.failed_effects") == []
