"""monthly-schedule-renewal over HTTP: the answer, the text, once a month."""

import httpx
import pytest

from tests.database.content_world import opted_out, person, plan
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, move_to, post, world_at_noon
from tests.edge.gateway import FUNCTIONS

SLUG = "monthly-schedule-renewal"


@pytest.fixture
def world(connect: Connect) -> World:
    """The first of a month at ten, one number."""
    world = world_at_noon(connect)
    move_to(world, "2026-11-01 10:00-03")
    return world


def test_each_person_with_nothing_booked_is_asked(client: httpx.Client, world: World) -> None:
    """The answer of the original; the month in the person's words."""
    name = plan(world)
    found = person(world, name="Ana Lima", plan=name)
    opted_out(world, plan=name)
    person(world, plan=plan(world, "essencial", 0))
    told = post(client, SLUG).json()
    [row] = messages(world)
    assert (told["success"], told["processed"], told["sent"]) == (True, 1, 1)
    assert (row["profile_id"], row["purpose"], row["lane"]) == (found, "schedule_renewal", "bulk")
    assert row["dedupe_key"] == f"schedule_renewal:{found}:2026-11-01"
    text = row["content"]["text"]
    assert text.startswith("Oi, Ana! Suas sessões de novembro") and "4 sessões" in text


def test_once_a_month_also_where_nothing_was_accepted_yet(client: httpx.Client, world: World) -> None:
    """Run again on another day of the month: repeated; the next month is another message."""
    person(world, plan=plan(world))
    sent = []
    for moment in ("2026-11-01 10:00-03", "2026-11-02 10:00-03", "2026-12-01 10:00-03"):
        move_to(world, moment)
        sent.append(post(client, SLUG).json()["sent"])
    assert sent == [1, 0, 1]
    assert "dezembro" in messages(world)[1]["content"]["text"]


def test_nobody_is_an_answer_and_strangers_get_none(client: httpx.Client, world: World) -> None:
    """Noughts for the service, 401 for the rest."""
    told = post(client, SLUG).json()
    assert (told["success"], told["processed"], told["sent"]) == (True, 0, 0)
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
