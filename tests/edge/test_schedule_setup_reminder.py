"""schedule-setup-reminder over HTTP: the answer, the text, repeats."""

import httpx
import pytest

from tests.database.content_world import opted_out, person, plan
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, move_to, post, world_at_noon
from tests.edge.gateway import FUNCTIONS

SLUG = "schedule-setup-reminder"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_each_person_without_days_and_times_is_asked(client: httpx.Client, world: World) -> None:
    """The answer of the original; a finished text on the lane of what can wait."""
    name = plan(world)
    found = person(world, name="Ana Lima", plan=name, needs_schedule_setup=True)
    person(world, plan=name)
    opted_out(world, plan=name, needs_schedule_setup=True)
    told = post(client, SLUG).json()
    [row] = messages(world)
    assert (told["success"], told["processed"], told["sent"]) == (True, 1, 1)
    assert (row["profile_id"], row["purpose"], row["lane"]) == (found, "schedule_setup", "bulk")
    assert (row["dispatch_state"], row["on_unknown"]) == ("queued", "drop")
    assert row["dedupe_key"] == f"schedule_setup:{found}:2026-11-18"
    assert row["content"]["text"].startswith("Oi, Ana! Seu plano tem 4 sessões por mês")


def test_a_second_run_of_the_day_changes_nothing(client: httpx.Client, world: World) -> None:
    """Nothing was accepted yet: repeated today, asked again tomorrow."""
    person(world, plan=plan(world, sessions=1), needs_schedule_setup=True)
    assert [post(client, SLUG).json()["sent"] for _ in range(2)] == [1, 0]
    assert "1 sessão por mês" in messages(world)[0]["content"]["text"]
    move_to(world, "2026-11-19 10:00-03")
    assert post(client, SLUG).json()["sent"] == 1


def test_nobody_is_an_answer_and_strangers_get_none(client: httpx.Client, world: World) -> None:
    """Noughts for the service, 401 for the rest."""
    told = post(client, SLUG).json()
    assert (told["success"], told["processed"], told["sent"]) == (True, 0, 0)
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
