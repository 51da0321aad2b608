"""conversation-followup over HTTP: the answers, by day and by night, and what is enqueued."""

import httpx
import pytest

from tests.database.nudging import with_conversation
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, move_to, post, world_at_noon

SLUG = "conversation-followup"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_each_resting_conversation_gets_a_draft_with_a_fixed_line(client: httpx.Client, world: World) -> None:
    """The totals, and the run; a draft that the agent may write or skip, worth two hours."""
    found = with_conversation(world, wrote="1 hour")
    with_conversation(world, wrote="29 minutes")
    answer = post(client, SLUG)

    assert answer.status_code == 200
    [row] = messages(world)
    told = answer.json()
    assert told.pop("expectedEnd") is not None
    assert told == {
        "status": "success", "totalConversations": 1, "followupsSent": 1, "runId": row["run_id"],
        "repeated": 0,
    }  # fmt: skip
    assert (row["purpose"], row["lane"], row["dispatch_state"]) == ("conversation_followup", "bulk", "draft")
    assert (row["compose"], row["profile_id"], row["on_unknown"]) == ("conversation_followup", found, "drop")
    assert row["dedupe_key"] == f"convfollow:{found}:{row['facts']['mark']}:1"
    assert row["subject_id"] == f"{found}@{row['facts']['mark']}"
    assert (row["expires_at"] - row["created_at"]).total_seconds() == 7200
    assert row["content"]["text"].startswith("Ana, ") and "\n" not in row["content"]["text"]


@pytest.mark.parametrize(("hour", "told"), [("22:00", 22), ("23:59:59", 23), ("00:30", 0), ("07:59:59", 7)])
def test_at_night_the_whole_run_is_skipped(client: httpx.Client, world: World, hour: str, told: int) -> None:
    """The original's answer, by the hour of São Paulo on the database's clock; nobody is chosen."""
    move_to(world, f"2026-11-18 {hour}-03")
    with_conversation(world)
    answer = post(client, SLUG)
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "skipped", "reason": "quiet_hours", "currentHour": told},
    )
    assert messages(world) == []


def test_a_dry_run_at_night_finds_nobody_and_says_why(client: httpx.Client, world: World) -> None:
    """Whoever reads "people" of a dry run finds it at every hour."""
    move_to(world, "2026-11-18 22:00-03")
    with_conversation(world)
    assert post(client, SLUG, {"dry_run": True}).json() == {
        "status": "skipped", "reason": "quiet_hours", "currentHour": 22, "dryRun": True, "people": [],
    }  # fmt: skip


@pytest.mark.parametrize("hour", ["08:00", "21:59:59"])
def test_by_day_it_runs(client: httpx.Client, world: World, hour: str) -> None:
    """From the first second of the day to the last."""
    move_to(world, f"2026-11-18 {hour}-03")
    with_conversation(world)
    assert post(client, SLUG).json()["followupsSent"] == 1


def test_every_situation_and_step_has_a_line_of_its_own(client: httpx.Client, world: World) -> None:
    """Two steps of one silence are two different messages."""
    with_conversation(world, wrote="2 hours")
    post(client, SLUG)
    world.rows("update public.conversation_followups set followup_count = 1")
    assert post(client, SLUG).json()["followupsSent"] == 1
    first, second = messages(world)
    assert first["content"] != second["content"]
