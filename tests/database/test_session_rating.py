"""What a session's commitments become once its rating was asked for: each one, once, due in a day."""

import json
from uuid import UUID

import pytest

from tests.database import session_world as sessions
from tests.database.sessions import all_at_once
from tests.database.world import BentClock, Connect, World

NOON = "2026-11-18 12:00-03"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A Wednesday at noon in São Paulo, and one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def commitments(world: World, profile: UUID) -> list[str]:
    """The titles of the person's commitments."""
    rows = world.rows(
        "select c.title from public.commitments as c join public.profiles as p using (user_id)"
        " where p.id = %s order by c.title",
        profile,
    )
    return [row["title"] for row in rows]


def test_commitments_of_a_session_are_due_a_day_after_the_rating_was_asked_for(world: World) -> None:
    """Each once, in 24 hours, bound to the session; not those that the agent wrote down itself."""
    said = json.dumps(["Dormir cedo", {"title": "Ligar para a mãe"}, "dormir cedo", "Caminhar"])
    profile = sessions.ended(world, commitments=said, post_session_sent=True)
    row = sessions.of(world, profile)
    world.rows(
        "insert into public.commitments (user_id, title, session_id) values (%s, ' caminhar', %s)",
        row["user_id"], row["id"],
    )  # fmt: skip
    message = sessions.enqueued(world, profile)
    assert commitments(world, profile) == [" caminhar"]
    world.record(world.begun(message))
    assert commitments(world, profile) == [" caminhar", "Dormir cedo", "Ligar para a mãe"]
    new = world.rows("select * from public.commitments where due_date is not null")
    assert {(each["session_id"], each["due_date"]) for each in new} == {
        (row["id"], sessions.at(world, "24 hours"))
    }
    assert {each["commitment_status"] for each in new} == {"pending"}


def test_a_rating_that_is_refused_makes_no_commitment(world: World) -> None:
    """Only if the question arrived (functions 2.7)."""
    profile = sessions.ended(world, commitments=json.dumps(["Caminhar"]), post_session_sent=True)
    world.record(world.begun(sessions.enqueued(world, profile)), "rejected", p_detail="no such number")
    assert commitments(world, profile) == []
    assert not sessions.of(world, profile)["rating_requested"]


def test_an_effect_that_is_retried_or_doubled_makes_each_commitment_once(
    world: World, connect: Connect
) -> None:
    """From four sessions at once, and once more."""
    profile = sessions.ended(world, commitments=json.dumps(["Caminhar", "Dormir"]), post_session_sent=True)
    message = sessions.enqueued(world, profile)

    def effect(one: World, _index: int) -> None:
        one.rows("select messaging.effect_session_rating(%s)", message)

    all_at_once([connect() for _ in range(4)], effect)
    effect(world, 0)
    assert commitments(world, profile) == ["Caminhar", "Dormir"]


def test_an_effect_that_is_replayed_leaves_what_became_of_the_commitments(world: World) -> None:
    """Renamed or done away with since: it does not come back."""
    profile = sessions.ended(world, commitments=json.dumps(["Caminhar", "Dormir"]), post_session_sent=True)
    message = sessions.enqueued(world, profile)
    world.record(world.begun(message))
    world.rows("update public.commitments set title = 'Caminhar no parque' where title = 'Caminhar'")
    world.rows("delete from public.commitments where title = 'Dormir'")
    world.rows("select messaging.effect_session_rating(%s)", message)
    assert commitments(world, profile) == ["Caminhar no parque"]
