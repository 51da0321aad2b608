"""periodic-content in SQL: which episode comes next, whether it still does, and when the journey moves."""

import pytest

from tests.database.content_world import (
    NOON,
    at,
    audience,
    change,
    due_message,
    enqueued,
    history,
    journey,
    person,
    profile,
    refusal_at_begin,
)
from tests.database.world import BentClock, World

AUDIENCE = "people_content"


@pytest.fixture(autouse=True)
def noon(world: World, bent_clock: BentClock) -> None:
    """Each test begins on a Wednesday at noon, with one number."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))


def test_first_middle_and_last_episode_are_told_apart(world: World) -> None:
    """The facts name the episode, its place, and whether it opens or closes the journey."""
    name = journey(world, episodes=3)
    found = person(world, current_journey_id=name)
    for done, first, last in ((0, True, False), (1, False, False), (2, False, True)):
        change(world, found, current_episode=done)
        [row] = audience(world, AUDIENCE, found)
        facts = row["facts"]
        assert (row["purpose"], row["subject_id"]) == ("content", f"{found}:{done + 1}:{name}")
        assert (facts["episode"], facts["episodes"], facts["first"], facts["last"]) == (
            done + 1,
            3,
            first,
            last,
        )
        assert (facts["essay"], facts["hook"]) == (f"Ensaio {done + 1}.", f"Gancho {done + 1}.")
        assert facts["local_date"] == "2026-11-18"


def test_adopted_nulls_count_as_the_beginning(world: World) -> None:
    """A profile that an adopted project left without an episode stands before the first one."""
    world.rows("alter table public.profiles alter column current_episode drop not null")
    found = person(world, current_journey_id=journey(world), current_episode=None)
    message = due_message(world, AUDIENCE, found)
    world.record(world.begun(message))
    assert profile(world, found)["current_episode"] == 1


def test_acceptance_moves_the_journey_and_writes_the_history(world: World, bent_clock: BentClock) -> None:
    """One further, content now, the text as it was sent; and nothing due again for two days and a half."""
    found = person(world, current_journey_id=journey(world), current_episode=4)
    message = due_message(world, AUDIENCE, found, "EP 5/8")
    assert profile(world, found)["current_episode"] == 4
    world.record(world.begun(message))

    row = profile(world, found)
    assert (row["current_episode"], row["last_content_sent_at"]) == (5, bent_clock.now())
    assert history(world, found) == ["EP 5/8"]
    bent_clock.forward(60 * 3600)
    assert audience(world, AUDIENCE, found) == []
    bent_clock.forward(1)
    assert [row["facts"]["episode"] for row in audience(world, AUDIENCE, found)] == [6]


@pytest.mark.parametrize("outcome", ["rejected", "unknown", "not_sent"])
def test_episode_that_was_not_accepted_stays_the_next_one(world: World, outcome: str) -> None:
    """Whatever else the provider says, the person stays where they were."""
    found = person(world, current_journey_id=journey(world), current_episode=4)
    world.record(world.begun(due_message(world, AUDIENCE, found)), outcome)
    row = profile(world, found)
    assert (row["current_episode"], row["last_content_sent_at"], history(world, found)) == (4, None, [])


CHANGES = [
    {"current_journey_id": None, "current_episode": 0},  # "pausar jornadas"
    {"current_episode": 5},
    {"current_episode": 3},
    {"status": "canceled"},
    {"status": None},
]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
def test_episode_is_withdrawn_when_the_person_moved_meanwhile(
    world: World, changed: dict[str, object]
) -> None:
    """Paused, moved on, moved back or gone between enqueue and begin: nothing leaves."""
    world.rows("alter table public.profiles alter column status drop not null")
    found = person(world, current_journey_id=journey(world), current_episode=4)
    message = due_message(world, AUDIENCE, found)
    change(world, found, **changed)
    assert "no longer at this episode" in refusal_at_begin(world, message)
    assert world.state(message) == "withdrawn"


def test_second_message_about_the_same_episode_is_withdrawn(world: World) -> None:
    """Two days' runs may both enqueue an episode; the first acceptance makes the other one pointless."""
    found = person(world, current_journey_id=journey(world))
    first = due_message(world, AUDIENCE, found)
    second = due_message(world, AUDIENCE, found)
    world.record(world.begun(first))
    refusal_at_begin(world, second)
    assert (world.state(first), world.state(second)) == ("accepted", "withdrawn")
    assert profile(world, found)["current_episode"] == 1


def test_whoever_changed_journey_under_way_keeps_the_new_place(world: World) -> None:
    """Accepted after the person chose another journey: it stands in the history, the new place stays."""
    found = person(world, current_journey_id=journey(world), current_episode=4)
    attempt = world.begun(due_message(world, AUDIENCE, found))
    other = journey(world)
    change(world, found, current_journey_id=other, current_episode=1)
    world.record(attempt)
    row = profile(world, found)
    assert (row["current_journey_id"], row["current_episode"], len(history(world, found))) == (other, 1, 1)
    assert row["last_content_sent_at"] is not None


def test_an_end_names_the_other_journeys_and_the_next(world: World) -> None:
    """Only active ones, not the one that ended."""
    following = journey(world)
    journey(world, is_active=False)
    mine = journey(world, following=following)
    found = person(world, current_journey_id=mine, current_episode=8)
    [row] = audience(world, AUDIENCE, found)
    title = world.value("select title from public.content_journeys where id = %s", following)
    assert row["purpose"] == "content_completed"
    assert (row["facts"]["next_journey_title"], row["facts"]["other_journeys"]) == (title, [title])


def test_a_single_journey_ends_in_none(world: World) -> None:
    """No next and no other: an empty list, and afterwards no journey."""
    found = person(world, current_journey_id=journey(world), current_episode=8)
    [row] = audience(world, AUDIENCE, found)
    assert (row["facts"]["other_journeys"], row["facts"]["next_journey_title"]) == ([], None)
    world.record(world.begun(enqueued(world, row)))
    after = profile(world, found)
    assert (after["current_journey_id"], after["journeys_completed"]) == (None, 1)


@pytest.mark.parametrize("outcome", ["rejected", "unknown", "not_sent", "accepted"])
def test_bug_13_only_an_accepted_completion_moves_the_journey(world: World, outcome: str) -> None:
    """The original moved everybody on, also those whom the message never reached."""
    following = journey(world)
    mine = journey(world, following=following)
    found = person(world, current_journey_id=mine, current_episode=8, journeys_completed=1)
    world.record(world.begun(due_message(world, AUDIENCE, found, "Completou!")), outcome)
    row = profile(world, found)
    if outcome != "accepted":
        assert (row["current_journey_id"], row["current_episode"], row["journeys_completed"]) == (mine, 8, 1)
        assert (row["last_content_sent_at"], history(world, found)) == (None, [])
        return
    assert (row["current_journey_id"], row["current_episode"], row["journeys_completed"]) == (following, 0, 2)
    assert row["last_content_sent_at"] is not None and history(world, found) == ["Completou!"]


def test_completion_counts_once(world: World) -> None:
    """Accepted after the person already went on: said, but neither counted nor moved again."""
    following = journey(world)
    found = person(world, current_journey_id=journey(world, following=following), current_episode=8)
    attempt = world.begun(due_message(world, AUDIENCE, found))
    change(world, found, current_journey_id=following, current_episode=2, journeys_completed=1)
    world.record(attempt)
    row = profile(world, found)
    assert (row["current_journey_id"], row["current_episode"], row["journeys_completed"]) == (following, 2, 1)


def test_extra_episodes_are_told_before_the_end(world: World) -> None:
    """A journey that says eight and has nine: the ninth is told, as the last of nine."""
    name = journey(world, episodes=8, written=9)
    found = person(
        world, current_journey_id=name, current_episode=8, last_content_sent_at=at(world, "-3 days")
    )
    [row] = audience(world, AUDIENCE, found)
    assert (row["purpose"], row["facts"]["episodes"], row["facts"]["last"]) == ("content", 9, True)
    change(world, found, current_episode=7)
    assert audience(world, AUDIENCE, found)[0]["facts"]["last"] is False
