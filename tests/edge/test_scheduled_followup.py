"""scheduled-followup over HTTP: the answer, what is enqueued, and two thousand people at once."""

import time

import httpx
import pytest

from tests.database.nudging import insert, midnight, person, with_commitment
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, post, world_at_noon

SLUG = "scheduled-followup"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_each_person_gets_one_reminder(client: httpx.Client, world: World) -> None:
    """The original's answer, and the run; lane, expiry and dedupe key as the rules say."""
    found = with_commitment(world, person(world), title="Caminhar", due="1 day")
    with_commitment(world, completed=True)
    answer = post(client, SLUG)

    assert answer.status_code == 200
    [row] = messages(world)
    told = answer.json()
    assert told.pop("expectedEnd") is not None
    assert told == {
        "status": "success", "totalCommitments": 1, "remindersSent": 1, "runId": row["run_id"], "repeated": 0,
    }  # fmt: skip
    assert (row["purpose"], row["lane"], row["dispatch_state"]) == ("commitment_followup", "bulk", "queued")
    assert (row["profile_id"], row["on_unknown"], row["enqueued_by"]) == (found, "drop", SLUG)
    assert row["dedupe_key"] == f"followup:{row['subject_id']}:1:2026-11-18"
    assert row["expires_at"] == midnight(world, "0")
    assert row["content"]["text"].startswith("Oi, Ana!") and "“Caminhar” para 17/11" in row["content"]["text"]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("  Ler\n\n*duas* páginas {due} ", "“Ler *duas* páginas {due}”"),
        ("x" * 500, "“" + "x" * 119 + "…”"),
        ("", "“seu combinado”"),
    ],
)
def test_titles_of_any_shape_are_shown(client: httpx.Client, world: World, title: str, shown: str) -> None:
    """One line, at most 120 characters, nothing in it is taken for ours."""
    with_commitment(world, title=title)
    post(client, SLUG)
    assert shown in messages(world)[0]["content"]["text"]


@pytest.mark.slow
@pytest.mark.alone
def test_bug_09_a_run_over_two_thousand_people_returns_within_seconds_and_leaves_nobody_out(
    client: httpx.Client, world: World
) -> None:
    """The original slept 25 to 45 s after each and died after a few; here nobody is waited for."""
    world.rows(
        "insert into public.profiles (user_id, name, phone, last_user_message_at)"
        " select gen_random_uuid(), 'Ana ' || g, '55119' || (80000000 + g),"
        " messaging.clock() - interval '1 day' from generate_series(1, 2000) as g"
    )
    world.rows(
        "insert into public.commitments (user_id, title, due_date)"
        " select p.user_id, 'Caminhar', messaging.clock() - n * interval '1 day'"
        " from public.profiles as p cross join generate_series(1, 3) as n"
    )
    began = time.monotonic()
    told = post(client, SLUG).json()
    took_s = time.monotonic() - began
    print(f"scheduled-followup for 2,000 people answered in {took_s:.2f} s")
    assert (told["totalCommitments"], told["remindersSent"]) == (2000, 2000)
    assert world.value("select count(distinct profile_id) from messaging.outbox") == 2000
    assert took_s < 5
    assert post(client, SLUG).json()["repeated"] == 2000


def test_what_an_earlier_reminder_left_is_taken_up(client: httpx.Client, world: World) -> None:
    """A commitment of today is asked about in today's words; one followed up twice in the last words."""
    today = person(world)
    insert(world, "commitments", today, title="Nadar", due_date=midnight(world, "-1 minute"))
    with_commitment(world, title="Ler", follow_up_count=2)
    post(client, SLUG)
    told = {row["profile_id"]: row["content"]["text"] for row in messages(world)}
    last = next(text for profile, text in told.items() if profile != today)
    assert "Hoje é o dia" in told[today] and "Nadar" in told[today]
    assert "ainda faz sentido" in last and "Ler" in last
