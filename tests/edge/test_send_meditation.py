"""send-meditation over HTTP: every answer of its contract, the two messages, and what a repeat means."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.database.content_world import person, profile
from tests.database.world import Connect, World
from tests.edge.content_gateway import messages, post, world_at_noon
from tests.edge.gateway import FUNCTIONS, PERSON, SERVICE_KEY
from tests.waiting import eventually

SLUG = "send-meditation"
URL = "https://audio.example/{}.mp3"


@pytest.fixture
def world(connect: Connect) -> World:
    """A number; six recorded meditations for sleep, one for focus that is not."""
    world = world_at_noon(connect)
    world.rows(
        "insert into public.meditations (id, title, category, duration_seconds)"
        " select 'sono-' || g, 'Sono ' || g, 'sono', 290 from generate_series(1, 6) as g"
    )
    world.rows("insert into public.meditations (id, title, category) values ('foco', 'Foco', 'foco')")
    world.rows(
        "insert into public.meditation_audios (meditation_id, storage_path, public_url)"
        " select id, id, 'https://audio.example/' || id || '.mp3' from public.meditations where id <> 'foco'"
    )
    return world


def user(world: World, **columns: object) -> str:
    """A new person's user id."""
    return str(profile(world, person(world, **columns))["user_id"])


def test_intro_and_audio_are_enqueued_in_order(client: httpx.Client, world: World) -> None:
    """The original's answer and the audio's message id; both on the person's number, the intro first."""
    found = person(world, name="Ana Lima")
    row = profile(world, found)
    answer = post(
        client,
        SLUG,
        {"meditation_id": "sono-2", "user_id": str(row["user_id"]), "context": "noite ruim"},
    )

    intro, audio = messages(world)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "success": True,
            "meditation_id": "sono-2",
            "audio_url": URL.format("sono-2"),
            "duration_seconds": 290,
            "message_id": audio["id"],
        },
    )
    assert intro["content"]["text"].startswith(
        "Oi, Ana! Separei uma meditação para você: *Sono 2* (5 minutos)."
    )
    assert audio["content"] == {"kind": "audio", "media_url": URL.format("sono-2")}
    for message, purpose in ((intro, "meditation_intro"), (audio, "meditation")):
        assert (message["purpose"], message["lane"]) == (purpose, "timed")
        assert (message["profile_id"], message["phone"]) == (found, row["phone"])
    assert audio["facts"]["context"] == "noite ruim" and URL.format("sono-2") in audio["facts"]["link_text"]
    assert [row.message_id for row in world.claim()] == [intro["id"]]


def test_phone_alone_finds_its_person(client: httpx.Client, world: World) -> None:
    """In any form of the phone; a stranger's phone gets it too, from the default number."""
    found = person(world)
    world.rows("update public.profiles set phone = %s where id = %s", PERSON, found)
    post(client, SLUG, {"category": "sono", "phone": "(11) 8765-0001"})
    post(client, SLUG, {"category": "sono", "phone": "11 91234-0000"})
    assert [row["profile_id"] for row in messages(world)] == [found, found, None, None]


def test_bug_20_no_meditation_is_lost_when_nobody_waits_and_no_row_tells_of_a_failed_one(
    client: httpx.Client, world: World
) -> None:
    """A caller that hangs up at once has stored both messages; a refused audio leaves no history row."""
    with pytest.raises(httpx.TimeoutException):
        client.post(
            f"{FUNCTIONS}/{SLUG}",
            json={"meditation_id": "sono-1", "user_id": user(world)},
            headers={"authorization": f"Bearer {SERVICE_KEY}"},
            timeout=httpx.Timeout(10, read=0.0001),
        )
    eventually(lambda: len(messages(world)) == 2, what="both messages stored")
    world.rows("select messaging.set_gaps(id, 0, 0, 'test') from public.whatsapp_instances")
    intro, audio = messages(world)
    world.record(world.begun(intro["id"]))
    world.record(world.begun(audio["id"]), "rejected")
    assert world.value("select count(*) from public.user_meditation_history") == 0
    assert URL.format("sono-1") in messages(world)[2]["content"]["text"]


def test_repeat_with_the_same_key_is_the_same_meditation(client: httpx.Client, world: World) -> None:
    """32 callers with one key and one category get one draw, though it is random."""
    body = {"category": "sono", "user_id": user(world)}
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda _: post(client, SLUG, body, idempotency_key="k"), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(messages(world)) == 2


def test_repeat_after_it_was_accepted_answers_alike(client: httpx.Client, world: World) -> None:
    """Once sent it counts as had; the repeat still means that one, not another."""
    body = {"category": "sono", "user_id": user(world)}
    first = post(client, SLUG, body, idempotency_key="k")
    world.rows("select messaging.set_gaps(id, 0, 0, 'test') from public.whatsapp_instances")
    for message in messages(world):
        world.record(world.begun(message["id"]))
    for _ in range(8):
        assert post(client, SLUG, body, idempotency_key="k").json() == first.json()
    other = {post(client, SLUG, body).json()["meditation_id"] for _ in range(16)}
    assert first.json()["meditation_id"] not in other


def test_same_key_for_something_else_is_a_conflict(client: httpx.Client, world: World) -> None:
    """A key stands for one meditation to one person."""
    body = {"meditation_id": "sono-1", "user_id": user(world)}
    assert post(client, SLUG, body, idempotency_key="k").status_code == 200
    for other in ({"meditation_id": "sono-2"}, {"user_id": user(world)}):
        answer = post(client, SLUG, body | other, idempotency_key="k")
        assert answer.status_code == 409 and "Idempotency-Key" in answer.json()["error"]
    assert post(client, SLUG, body, idempotency_key="a b").status_code == 400
    assert len(messages(world)) == 2


def test_keys_that_look_like_ours_stand_for_themselves(client: httpx.Client, world: World) -> None:
    """A caller's key never meets what we call the parts of another one's request."""
    body = {"meditation_id": "sono-1", "user_id": user(world)}
    for key in ("k", "k:intro", "intro:k", "k:text", "meditation:k"):
        assert post(client, SLUG, body, idempotency_key=key).status_code == 200, key
    assert len(messages(world)) == 10


def test_meditation_without_an_audio_is_an_apology_and_404(client: httpx.Client, world: World) -> None:
    """The person is told once per key, however often the caller asks."""
    found = person(world)
    body = {"category": "foco", "user_id": str(profile(world, found)["user_id"])}
    for _ in range(2):
        answer = post(client, SLUG, body, idempotency_key="k")
        assert (answer.status_code, answer.json()) == (
            404, {"error": "this meditation has no audio: the person is told so"},
        )  # fmt: skip
    [row] = messages(world)
    assert (row["profile_id"], row["purpose"]) == (found, "meditation_intro")
    assert "sem áudio" in row["content"]["text"]


def test_meditation_that_does_not_exist_is_404_and_nothing_is_said(
    client: httpx.Client, world: World
) -> None:
    """No such id, no such category."""
    for wanted in ({"meditation_id": "x"}, {"category": "gratidao"}, {"category": "x"}):
        answer = post(client, SLUG, wanted | {"user_id": user(world)})
        assert (answer.status_code, answer.json()) == (404, {"error": "there is no such meditation"})
    assert messages(world) == []


NOBODY = "00000000-0000-4000-8000-00000000000a"
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "meditation_id or category"),
    ({"user_id": NOBODY}, "meditation_id or category"),
    ({"category": " ", "user_id": NOBODY}, "meditation_id or category"),
    ({"category": "sono"}, "phone or user_id"),
    ({"category": "sono", "phone": "", "user_id": " "}, "phone or user_id"),
    ({"category": 7, "phone": PERSON}, "category"),
    ({"meditation_id": ["a"], "phone": PERSON}, "meditation_id"),
    ({"category": "sono", "phone": "12"}, "phone"),
    ({"category": "sono", "user_id": "7"}, "user_id"),
    ({"category": "sono", "user_id": NOBODY}, "user_id has no phone"),
    ({"category": "sono", "phone": PERSON, "context": {"a": 1}}, "context"),
    ({"category": "sono", "phone": PERSON, "context": "x" * 2001}, "context"),
]


def test_bad_fields_are_named(client: httpx.Client, world: World) -> None:
    """400 says which one, and nothing is enqueued."""
    for body, names in BAD:
        answer = post(client, SLUG, body)
        assert answer.status_code == 400 and answer.json()["error"].startswith(names), body
    assert messages(world) == []


def test_person_without_a_phone_is_a_400(client: httpx.Client, world: World) -> None:
    """As the original; with a phone in the body it goes there."""
    user_id = user(world, phone=None)
    assert post(client, SLUG, {"category": "sono", "user_id": user_id}).status_code == 400
    answer = post(client, SLUG, {"category": "sono", "user_id": user_id, "phone": PERSON})
    assert answer.status_code == 200 and {row["phone"] for row in messages(world)} == {PERSON}


def test_only_the_service_may_call(client: httpx.Client, world: World) -> None:
    """401 without the key."""
    body = {"category": "sono", "phone": PERSON}
    assert client.post(f"{FUNCTIONS}/{SLUG}", json=body).status_code == 401
    assert messages(world) == []
