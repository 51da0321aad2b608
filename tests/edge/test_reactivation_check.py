"""reactivation-check over HTTP: the answer and what is enqueued."""

import httpx
import pytest

from tests.database.nudging import ago, midnight, person, with_session
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, post, world_at_noon

SLUG = "reactivation-check"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_both_parts_are_one_run(client: httpx.Client, world: World) -> None:
    """The original's answer, and the run; each part with its purpose, key and text."""
    missed = with_session(world, was="2 hours")
    early, late = person(world, wrote="4 days"), person(world, wrote="8 days")
    answer = post(client, SLUG)

    assert answer.status_code == 200
    rows = {row["profile_id"]: row for row in messages(world)}
    told = answer.json()
    assert told.pop("expectedEnd") is not None
    assert told == {
        "success": True, "missed_sessions_sent": 1, "reactivations_sent": 2,
        "runId": rows[missed]["run_id"], "repeated": 0,
    }  # fmt: skip
    assert {row["purpose"] for row in rows.values()} == {"reactivation_missed", "reactivation"}
    assert {(row["lane"], row["on_unknown"]) for row in rows.values()} == {("bulk", "drop")}
    assert {row["expires_at"] for row in rows.values()} == {midnight(world, "0")}
    wrote = {profile: int(world.value("select extract(epoch from %s)", ago(world, how_long)))
             for profile, how_long in ((early, "4 days"), (late, "8 days"))}  # fmt: skip
    assert rows[early]["dedupe_key"] == f"reactivation:{early}:3:{wrote[early]}"
    assert rows[late]["dedupe_key"] == f"reactivation:{late}:7:{wrote[late]}"
    assert rows[missed]["dedupe_key"].startswith(f"reactivation_missed:{rows[missed]['subject_id']}:")
    assert "18/11, às 10:00" in rows[missed]["content"]["text"]
    assert rows[early]["content"] != rows[late]["content"]


def test_a_dry_run_counts_nothing_as_sent(client: httpx.Client, world: World) -> None:
    """Its people are told; its counters are of what was enqueued."""
    with_session(world)
    person(world, wrote="4 days")
    told = post(client, SLUG, {"dry_run": True}).json()
    assert (told["missed_sessions_sent"], told["reactivations_sent"]) == (0, 0)
    assert sorted(shown["purpose"] for shown in told["people"]) == ["reactivation", "reactivation_missed"]


def test_a_second_run_changes_nothing(client: httpx.Client, world: World) -> None:
    """Both wait already: nobody is written to twice."""
    with_session(world)
    person(world, wrote="4 days")
    post(client, SLUG)
    told = post(client, SLUG).json()
    assert (told["missed_sessions_sent"], told["reactivations_sent"], told["repeated"]) == (0, 0, 2)
