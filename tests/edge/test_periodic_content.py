"""periodic-content over HTTP: the answer, the episode or the end of the journey, repeats, and force."""

import httpx
import pytest

from tests.database.content_world import change, journey, opted_out, person, profile
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, move_to, post, world_at_noon
from tests.edge.gateway import FUNCTIONS

SLUG = "periodic-content"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_episode_is_a_draft_with_the_essay_as_its_fixed_text(client: httpx.Client, world: World) -> None:
    """The original's answer, and the run; the person's place is untouched until it is accepted."""
    name = journey(world)
    found = person(world, name="Ana Lima", current_journey_id=name)
    opted_out(world, current_journey_id=name)
    told = post(client, SLUG).json()

    [row] = messages(world)
    assert told.pop("expectedEnd") is not None
    assert told == {
        "success": True, "processed": 1, "sent": 1, "errors": 0, "runId": row["run_id"], "repeated": 0,
    }  # fmt: skip
    assert (row["purpose"], row["dispatch_state"], row["compose"]) == ("content", "draft", "episode")
    assert row["dedupe_key"] == f"content:{found}:1:{name}:2026-11-18"
    text = row["content"]["text"]
    for part in ("Oi, Ana!", "EP 1/8", "Título 1", "Ensaio 1.", "Gancho 1.", "pausar jornadas"):
        assert part in text, part
    assert profile(world, found)["current_episode"] == 0


def test_only_the_first_episode_says_how_to_stop_and_only_the_last_one_closes(
    client: httpx.Client, world: World
) -> None:
    """Episodes one, four and eight of eight."""
    name = journey(world)
    for done in (0, 3, 7):
        person(world, current_journey_id=name, current_episode=done)
    post(client, SLUG)
    texts = [row["content"]["text"] for row in messages(world)]
    first, middle, last = sorted(texts, key=lambda text: text[text.index("EP ") :])
    assert ["pausar jornadas" in text for text in (first, middle, last)] == [True, False, False]
    assert ["se fecha" in text for text in (first, middle, last)] == [False, False, True]


def test_end_of_a_journey_is_a_finished_text(client: httpx.Client, world: World) -> None:
    """Nothing is composed; it names the journey, the others and the next."""
    following = journey(world)
    mine = journey(world, following=following)
    person(world, current_journey_id=mine, current_episode=8)
    told = post(client, SLUG).json()
    [row] = messages(world)
    assert (told["processed"], told["sent"], told["errors"]) == (1, 1, 0)
    assert (row["purpose"], row["dispatch_state"], row["compose"]) == ("content_completed", "queued", None)
    titles = [each["title"] for each in world.rows("select title from public.content_journeys")]
    assert all(title in row["content"]["text"] for title in titles)


def test_nobody_is_answered_with_a_note(client: httpx.Client, world: World) -> None:
    """As the original: processed 0 and a message."""
    told = post(client, SLUG).json()
    assert (told["success"], told["processed"], told["sent"], told["errors"]) == (True, 0, 0, 0)
    assert told["message"] == "nobody is due an episode now"


def test_a_second_run_repeats_and_another_day_tries_again(client: httpx.Client, world: World) -> None:
    """One episode a day at most; one that expired yesterday is not lost for ever."""
    found = person(world, current_journey_id=journey(world))
    assert post(client, SLUG).json()["sent"] == 1
    assert (post(client, SLUG).json()["sent"], len(messages(world))) == (0, 1)
    move_to(world, "2026-11-20 12:00-03")
    change(world, found, last_user_message_at=None)
    assert post(client, SLUG).json()["sent"] == 1
    assert [row["facts"]["episode"] for row in messages(world)] == [1, 1]


def test_force_overrides_no_rule(client: httpx.Client, world: World) -> None:
    """Taken as the original took it; at night the message is enqueued and waits for the morning."""
    move_to(world, "2026-11-18 23:00-03")
    person(world, current_journey_id=journey(world), current_episode=8)
    opted_out(world, current_journey_id=journey(world))
    assert post(client, SLUG, {"force": True}).json()["sent"] == 1
    assert world.claim() == []
    [row] = messages(world)
    assert (row["dispatch_state"], row["reason"]) == ("queued", "quiet hours")
    assert post(client, SLUG, {"force": "yes"}).status_code == 400


def test_dry_run_enqueues_nothing(client: httpx.Client, world: World) -> None:
    """The text that the person would get."""
    person(world, current_journey_id=journey(world))
    told = post(client, SLUG, {"dry_run": True}).json()
    assert "EP 1/8" in told["people"][0]["text"] and told["sent"] == 0
    assert messages(world) == []


def test_only_the_service_may_run_it(client: httpx.Client, world: World) -> None:
    """Whoever brings no key gets nothing."""
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
