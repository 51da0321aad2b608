"""What the four nudging functions have in common over HTTP: who may call them, what the body may ask."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import httpx
import pytest

from tests.database.nudging import person, user_of, with_commitment, with_conversation
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, post, world_at_noon
from tests.edge.gateway import FUNCTIONS

DUE: dict[str, Callable[[World], UUID]] = {
    "scheduled-followup": with_commitment,
    "scheduled-checkin": lambda world: person(world, wrote="40 days"),
    "reactivation-check": lambda world: person(world, wrote="4 days"),
    "conversation-followup": with_conversation,
}
TOTALS = ("totalCommitments", "totalUsers", "reactivations_sent", "totalConversations")
slugs = pytest.mark.parametrize("slug", DUE)


@pytest.fixture
def world(connect: Connect) -> World:
    """A Wednesday at noon, one number."""
    return world_at_noon(connect)


@slugs
def test_only_the_whole_service_key_opens_it(client: httpx.Client, world: World, slug: str) -> None:
    """Nobody else makes it choose, let alone write."""
    DUE[slug](world)
    for authorization in (None, "", "Bearer", "Bearer nonsense", "service-role-key"):
        headers = {} if authorization is None else {"authorization": authorization}
        answer = client.post(f"{FUNCTIONS}/{slug}", json={}, headers=headers)
        assert answer.status_code == 401, authorization
        assert messages(world) == [], authorization


@slugs
def test_a_dry_run_shows_who_would_get_what_and_enqueues_nothing(
    client: httpx.Client, world: World, slug: str
) -> None:
    """Profile, purpose, text and expiry; no phone in full."""
    profile = DUE[slug](world)
    told = post(client, slug, {"dry_run": True}).json()
    [shown] = told["people"]
    assert (told["dryRun"], shown["profileId"]) == (True, str(profile))
    assert shown["text"] and shown["purpose"] and shown["expiresAt"]
    phone = world.value("select phone from public.profiles where id = %s", profile)
    assert phone not in str(told)
    assert messages(world) == []


@slugs
def test_one_person_may_be_named(client: httpx.Client, world: World, slug: str) -> None:
    """By the app's user id or by the profile; nobody else is touched."""
    first, second = DUE[slug](world), DUE[slug](world)
    post(client, slug, {"target_user_id": str(user_of(world, first))})
    assert [row["profile_id"] for row in messages(world)] == [first]
    post(client, slug, {"profile_id": str(second)})
    assert [row["profile_id"] for row in messages(world)] == [first, second]


WRONG: list[tuple[dict[str, object], int]] = [
    ({"dry_run": "yes"}, 400),
    ({"dry_run": 1}, 400),
    ({"target_user_id": "7"}, 400),
    ({"target_user_id": ["a"]}, 400),
    ({"profile_id": {}}, 400),
    ({"target_user_id": str(uuid4())}, 404),
    ({"profile_id": str(uuid4())}, 404),
]


@slugs
def test_what_is_wrong_with_the_body_is_said(client: httpx.Client, world: World, slug: str) -> None:
    """A clear refusal, and nothing enqueued."""
    DUE[slug](world)
    for body, code in WRONG:
        answer = post(client, slug, body)
        assert answer.status_code == code and answer.json()["error"], body
        assert messages(world) == [], body


@slugs
def test_eight_runs_at_once_enqueue_each_person_once(client: httpx.Client, world: World, slug: str) -> None:
    """Our scheduler, another worker's and pg_cron beside them: one message a person."""
    people = {DUE[slug](world) for _ in range(20)}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(client, slug), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(row["profile_id"] for row in messages(world)) == sorted(people)
    assert sum(answer.json()["repeated"] for answer in answers) == 7 * len(people)


@slugs
def test_nobody_due_is_an_answer_too(client: httpx.Client, world: World, slug: str) -> None:
    """Noughts and a run, not an error."""
    told = post(client, slug).json()
    assert [told[name] for name in TOTALS if name in told] == [0]
    assert told["runId"].startswith(f"{slug}:") and told["repeated"] == 0


@slugs
def test_a_failing_database_is_a_500_that_says_nothing_of_the_people(
    client: httpx.Client, world: World, slug: str
) -> None:
    """An app table that is gone gives an error in the original's shape, without a name or a phone."""
    DUE[slug](world)
    for table in ("commitments", "sessions", "conversation_followups", "checkins"):
        world.rows(f"alter table public.{table} rename to {table}_gone")
    answer = post(client, slug)
    assert answer.status_code in (500, 503)
    assert set(answer.json()) >= {"error"} and "5511" not in answer.text and "Ana" not in answer.text
