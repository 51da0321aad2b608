"""The nudging functions over an adopted project: an enum of session states, profiles without a status."""

from collections.abc import Iterator

import pytest

from scripts.migrate import apply_all
from shared.db import Database
from tests.database.nudging import (
    NOON,
    chosen,
    conversation_of,
    delivered,
    insert,
    person,
    run,
    set_columns,
    texts,
    with_commitment,
    with_conversation,
    with_session,
)
from tests.database.world import BentClock, World
from tests.migration.projects import project, silent


@pytest.fixture
def adopted(server_url: str) -> Iterator[tuple[World, Database]]:
    """The adopted project at noon, with a default number without gaps."""
    with project(server_url, adopted=True) as found:
        apply_all(found.url, say=silent)
        database = Database(found.superuser_url)
        with found.connect() as connection:
            world = World(connection)
            BentClock(world, NOON)
            world.value("select messaging.set_default_instance(%s, 'test')", world.number(gap=(0, 0)))
            # As the original notes it of everybody who wrote: its people wrote yesterday.
            world.rows("update public.profiles set last_message_date = '2026-11-17'")
            yield world, database
        database.close()


def test_every_function_serves_an_adopted_project(adopted: tuple[World, Database]) -> None:
    """Each chooses, sends and writes back as over our own tables; a session's state is an enum there."""
    world, db = adopted
    missed = with_session(world, person(world), session_type="livre")
    quiet = person(world, wrote="4 days")
    asked = person(world, wrote="40 days", last_reactivation_sent="2026-11-01")
    reminded = with_commitment(world)
    talking = with_conversation(world, wrote="10 minutes")
    with_session(world, talking, was="20 minutes", status="in_progress")

    answers = {
        function: run(db, function)
        for function in (
            "reactivation-check",
            "scheduled-checkin",
            "scheduled-followup",
            "conversation-followup",
        )
    }
    assert answers["reactivation-check"]["missed_sessions_sent"] == 1
    assert answers["reactivation-check"]["reactivations_sent"] == 1
    assert answers["scheduled-checkin"]["messagesSent"] == 1
    assert answers["scheduled-followup"]["remindersSent"] == 1
    assert answers["conversation-followup"]["followupsSent"] == 1
    reached = {message["profile_id"] for message in delivered(world)}
    assert reached == {missed, quiet, asked, reminded, talking}
    assert world.value("select count(*) from messaging.failed_effects") == 0
    told = world.rows(
        "select s.status::text from public.sessions as s join public.profiles as p using (user_id)"
        " where p.id = %s",
        missed,
    )
    assert told == [{"status": "no_show"}]


def test_people_without_a_status_are_left_alone(adopted: tuple[World, Database]) -> None:
    """A profile whose status nobody ever set is neither active nor on trial."""
    world, _ = adopted
    strange = with_conversation(world, wrote="2 hours")
    insert(world, "commitments", strange, title="Ler", due_date="2026-11-17 12:00-03")
    with_session(world, strange, session_type="livre")
    set_columns(world, "profiles", strange, status=None)
    for function in ("commitment_followup", "checkin", "reactivation", "conversation_followup"):
        assert strange not in chosen(world, f"people_{function}")


def test_a_person_in_two_rows_is_written_to_once_and_left_in_peace(adopted: tuple[World, Database]) -> None:
    """Both forms of one phone, both active: one check-in. Peace that one row asked for holds for the other,
    also where its message waits already."""
    world, db = adopted
    first, second = (person(world, wrote="40 days") for _ in range(2))
    set_columns(world, "profiles", first, phone="5531987651234")
    set_columns(world, "profiles", second, phone="553187651234")
    both = {first, second}
    [asked] = both & chosen(world, "people_checkin").keys()
    [other] = both - {asked}
    run(db, "scheduled-checkin")
    set_columns(world, "profiles", other, do_not_disturb_until="2026-11-18 13:00-03")
    assert delivered(world) == []
    [waiting] = world.rows("select reason from messaging.outbox where profile_id = %s", asked)
    assert waiting["reason"] == "do-not-disturb"
    # A session that either row booked is that row's own.
    set_columns(world, "profiles", other, do_not_disturb_until=None)
    for row in both:
        with_session(world, row, was="-24 hours", session_type="livre")
    assert both <= chosen(world, "people_session_messages").keys()


def test_two_open_rows_of_one_conversation_make_one_message(adopted: tuple[World, Database]) -> None:
    """Where an adopted table has no unique constraint, the dedupe key stands for it."""
    world, db = adopted
    world.rows("alter table public.conversation_followups drop constraint conversation_followups_user_id_key")
    profile = with_conversation(world)
    world.rows(
        "insert into public.conversation_followups (user_id, last_user_message_at)"
        " select user_id, last_user_message_at from public.conversation_followups"
    )
    run(db, "conversation-followup")
    assert len(texts(delivered(world))) == 1
    counts = world.rows("select followup_count from public.conversation_followups")
    assert counts == [{"followup_count": 1}] * 2
    assert profile not in chosen(world, "people_conversation_followup")


def test_a_conversation_that_nobody_counted_begins_at_nought(adopted: tuple[World, Database]) -> None:
    """A count that was never set is none: the first follow-up is the first."""
    world, db = adopted
    world.rows("alter table public.conversation_followups alter column followup_count drop not null")
    profile = with_conversation(world, followup_count=None)
    run(db, "conversation-followup")
    assert len(delivered(world)) == 1
    assert conversation_of(world, profile)["followup_count"] == 1
