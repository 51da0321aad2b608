"""scheduled-checkin over HTTP: the answer and what is enqueued."""

import httpx
import pytest

from tests.database.nudging import midnight, person
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, post, world_at_noon

SLUG = "scheduled-checkin"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_each_silent_person_is_asked(client: httpx.Client, world: World) -> None:
    """The original's answer, and the run; lane, expiry and dedupe key as the rules say."""
    found = person(world, wrote="8 days", name=None)
    person(world, wrote="6 days")
    answer = post(client, SLUG)

    assert answer.status_code == 200
    [row] = messages(world)
    told = answer.json()
    assert told.pop("expectedEnd") is not None
    assert told == {
        "status": "success", "totalUsers": 1, "messagesSent": 1, "runId": row["run_id"], "repeated": 0,
    }  # fmt: skip
    assert (row["purpose"], row["lane"], row["dispatch_state"]) == ("checkin", "bulk", "queued")
    assert (row["profile_id"], row["subject_id"], row["on_unknown"]) == (found, str(found), "drop")
    assert row["dedupe_key"] == f"checkin:{found}:2026-11-18"
    assert row["expires_at"] == midnight(world, "0")
    assert row["content"]["text"].startswith("Boa tarde! ")


def test_a_second_run_of_the_day_changes_nothing(client: httpx.Client, world: World) -> None:
    """One question a day however often it runs, and another day asks again while none went out."""
    person(world, wrote="8 days")
    counts = [post(client, SLUG).json()["messagesSent"] for _ in range(3)]
    assert counts == [1, 0, 0]
    world.rows("update messaging.bent_clock set now = now + interval '1 day'")
    assert post(client, SLUG).json()["messagesSent"] == 1
