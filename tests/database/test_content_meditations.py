"""send-meditation in SQL: which one is chosen, for whom, and what acceptance and refusal write."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.database.content_world import as_json, history, person, profile
from tests.database.world import World

CHOOSE = "select * from messaging.choose_meditation(%s, %s, %s, %s)"
URL = "https://audio.example/calma.mp3"


@pytest.fixture(autouse=True)
def number(world: World) -> UUID:
    """Each test has one number without a gap."""
    return world.number(gap=(0, 0))


def meditation(
    world: World, name: str, *, category: str = "sono", url: str | None = URL, active: bool = True
) -> str:
    """A meditation, recorded unless `url` is None; its id."""
    world.rows(
        "insert into public.meditations (id, title, category, duration_seconds, is_active)"
        " values (%s, %s, %s, 300, %s)",
        name, name.title(), category, active,
    )  # fmt: skip
    if url is not None:
        world.rows(
            "insert into public.meditation_audios (meditation_id, storage_path, public_url)"
            " values (%s, 'a', %s)",
            name, url,
        )  # fmt: skip
    return name


def had(world: World, found: UUID, name: str, days: float) -> None:
    """The person had this meditation so many days ago."""
    world.rows(
        "insert into public.user_meditation_history (user_id, meditation_id, sent_at)"
        " select user_id, %s, messaging.clock() - make_interval(secs => %s) from public.profiles"
        " where id = %s",
        name, days * 86_400, found,
    )  # fmt: skip


def chosen(world: World, category: str, found: UUID | None = None, *, times: int = 40) -> set[str]:
    """What so many draws for this person come to."""
    return {world.rows(CHOOSE, f"k{n}", None, category, found)[0]["meditation_id"] for n in range(times)}


def audio(world: World, found: UUID, name: str, key: str = "meditation:k", **facts: Any) -> int:
    """The audio message as edge/send_meditation enqueues it; its id."""
    row = profile(world, found)
    return world.enqueue(
        purpose="meditation",
        phone=row["phone"],
        profile_id=found,
        dedupe_key=key,
        content={"kind": "audio", "media_url": URL},
        facts={"meditation_id": name, "context": "noite ruim", "link_text": f"Ouça: {URL}"} | facts,
    )


def sent(world: World) -> list[dict[str, Any]]:
    """What user_meditation_history says."""
    return world.rows("select meditation_id, context from public.user_meditation_history")


def test_category_is_drawn_among_those_not_had_within_thirty_days(world: World) -> None:
    """Just inside and outside of the thirty days; other people's history does not count."""
    for name in ("a", "b", "c"):
        meditation(world, name)
    found, other = person(world), person(world)
    had(world, found, "a", 29.999)
    had(world, found, "b", 30.001)
    had(world, other, "c", 1)
    assert chosen(world, "sono", found) == {"b", "c"}
    assert chosen(world, "sono") == {"a", "b", "c"}


def test_when_all_were_had_any_comes_again(world: World) -> None:
    """Nobody gets nothing because they had everything."""
    found = person(world)
    for name in ("a", "b"):
        had(world, found, meditation(world, name), 1)
    assert chosen(world, "sono", found) == {"a", "b"}


def test_only_recorded_active_ones_of_the_category_are_drawn(world: World) -> None:
    """Not another category's, not a retired one, and one without an audio only where there is no other."""
    meditation(world, "a")
    meditation(world, "b", category="foco")
    meditation(world, "c", active=False)
    meditation(world, "d", url=None)
    meditation(world, "e", category="estresse", url="/storage/e.mp3")
    found = person(world)
    had(world, found, "a", 1)
    assert chosen(world, "sono", found) == {"a"}
    assert world.rows(CHOOSE, "k", None, "estresse", found)[0]["audio_url"] is None
    assert world.rows(CHOOSE, "k", None, "gratidao", found) == []


def test_named_one_is_given_with_its_newest_audio(world: World) -> None:
    """By id also a retired one; the audio's own duration goes before the meditation's."""
    meditation(world, "a", active=False)
    world.rows(
        "insert into public.meditation_audios (meditation_id, storage_path, public_url, duration_seconds,"
        " created_at) values ('a', 'b', 'https://audio.example/novo.mp3', 420, now() + interval '1 second')"
    )
    [row] = world.rows(CHOOSE, "k", "a", "foco", None)
    assert row == {
        "meditation_id": "a",
        "title": "A",
        "duration_seconds": 420,
        "audio_url": "https://audio.example/novo.mp3",
    }
    assert world.rows(CHOOSE, "k", "z", "sono", None) == []


def test_the_same_key_chooses_the_same_also_after_it_was_sent(world: World) -> None:
    """A repeat of a caller who heard no answer asks for what is already under way."""
    for letter in "abcdef":
        meditation(world, letter)
    found = person(world)
    [first] = world.rows(CHOOSE, "k", None, "sono", found)
    world.record(world.begun(audio(world, found, first["meditation_id"])))
    assert world.rows(CHOOSE, "k", None, "sono", found) == [first]
    assert first["meditation_id"] not in chosen(world, "sono", found)


def test_history_row_only_when_the_provider_accepted(world: World) -> None:
    """The original wrote the row also where the audio had failed."""
    found = person(world)
    name = meditation(world, "calma")
    for outcome in ("unknown", "not_sent", "rejected"):
        other = person(world, whatsapp_instance_id=world.number(gap=(0, 0)))
        message = audio(world, other, name, f"meditation:{outcome}")
        world.record(world.begun(message), outcome)
    assert sent(world) == []
    world.record(world.begun(audio(world, found, name)))
    assert sent(world) == [{"meditation_id": "calma", "context": "noite ruim"}]
    assert history(world, found) == []


def test_refused_audio_goes_as_a_link_on_the_same_number(world: World, number: UUID) -> None:
    """In the transaction of the refusal, once, also when the person was moved to another number meanwhile."""
    found = person(world, whatsapp_instance_id=number)
    message = audio(world, found, meditation(world, "calma"))
    attempt = world.begun(message)
    world.rows("update public.profiles set whatsapp_instance_id = %s where id = %s", world.number(), found)
    assert world.record(attempt, "rejected")["dispatch_state"] == "rejected"
    assert world.record(attempt, "rejected")["recorded"] is False

    [link] = world.rows("select * from messaging.outbox where id <> %s", message)
    assert (link["instance_id"], link["profile_id"], link["purpose"]) == (number, found, "meditation")
    assert (link["dedupe_key"], link["dispatch_state"]) == (f"meditation_link:{message}", "queued")
    assert link["content"] == {"kind": "text", "text": f"Ouça: {URL}"}
    world.record(world.begun(link["id"]))
    assert sent(world) == [{"meditation_id": "calma", "context": "noite ruim"}]
    assert history(world, found) == [f"Ouça: {URL}"]


def test_refused_link_ends_there(world: World) -> None:
    """A link that is refused too makes no third message and no row."""
    message = audio(world, person(world), meditation(world, "calma"))
    world.record(world.begun(message), "rejected")
    link = world.value("select id from messaging.outbox where id <> %s", message)
    world.record(world.begun(link), "rejected")
    assert world.value("select count(*) from messaging.outbox") == 2
    assert sent(world) == []
    assert world.value("select count(*) from messaging.failed_effects") == 0


def test_link_that_cannot_be_enqueued_leaves_the_refusal_recorded(world: World) -> None:
    """The outcome stands whatever the fallback does; what failed is kept to be tried again."""
    message = audio(world, person(world), meditation(world, "calma"), link_text="")
    assert world.record(world.begun(message), "rejected")["dispatch_state"] == "rejected"
    assert world.value("select effect from messaging.failed_effects") == "fallback_meditation"
    world.rows(
        "update messaging.outbox set facts = facts || %s where id = %s",
        as_json({"link_text": "Ouça"}), message,
    )  # fmt: skip
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    assert (
        world.value(
            "select count(*) from messaging.outbox where dedupe_key = 'meditation_link:' || %s", message
        )
        == 1
    )


def test_stranger_gets_the_audio_and_no_row(world: World) -> None:
    """A phone without a profile: nobody's history is written."""
    name = meditation(world, "calma")
    message = world.enqueue(
        purpose="meditation",
        content={"kind": "audio", "media_url": URL},
        facts={"meditation_id": name, "link_text": "Ouça"},
    )
    world.record(world.begun(message))
    assert (sent(world), world.state(message)) == ([], "accepted")


def test_recipient_is_the_app_users_person_else_the_phones(world: World) -> None:
    """The phone given wins over the profile's; an unknown user id falls back to the phone."""
    found = person(world, name="Ana")
    row = profile(world, found)
    ask = "select * from messaging.meditation_recipient(%s, %s)"
    assert world.rows(ask, row["user_id"], None) == [
        {"profile_id": found, "phone": row["phone"], "name": "Ana"}
    ]
    assert world.rows(ask, row["user_id"], "5511912340000")[0]["phone"] == "5511912340000"
    assert world.rows(ask, uuid4(), row["phone"])[0]["profile_id"] == found
    assert world.rows(ask, uuid4(), "5511900000000") == []
    assert world.rows(ask, None, None) == []
