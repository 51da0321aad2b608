"""forget: texts and raw events go on their day, what else is known of them stays; nothing that waits goes."""

import json

import pytest

from shared import retention
from shared.db import Database
from shared.settings import Settings
from tests.database.conftest import Worlds
from tests.database.keeping import (
    ENDED,
    NAME,
    PHONE,
    STATES,
    WORDS,
    Person,
    event,
    holding,
    messages,
    somebody,
)
from tests.database.talking import Talk
from tests.database.world import Connect, World

AGED = """
    update messaging.outbox set created_at = created_at - interval '{days} days',
        changed_at = changed_at - interval '{days} days', expires_at = expires_at - interval '{days} days'
"""


def age(world: World, days: int) -> None:
    """All that happened so far happened so many days earlier."""
    world.rows(AGED.format(days=days))
    world.rows(f"update messaging.history set happened_at = happened_at - interval '{days} days'")
    world.rows(f"update messaging.inbound_events set received_at = received_at - interval '{days} days'")
    world.rows(
        f"update messaging.attempts set begun_at = begun_at - interval '{days} days',"
        f" ended_at = ended_at - interval '{days} days'"
    )
    # Of what has been uncertain for so long somebody was told.
    world.rows("select messaging.tell_unknowns(1000)")


def forget(world: World, what: str, days: int, limit: int = 500) -> int:
    """One batch."""
    done: int = world.value("select messaging.forget(%s, %s, %s)", what, days, limit)
    return done


@pytest.mark.scoreboard("S19", tier="commit")
def test_texts_of_what_is_over_go_on_their_day_and_nothing_else(world: World) -> None:
    """Of every state: an ended message loses its words, one that waits or is unknown keeps them; states,
    times, keys and history stay as they were."""
    person = somebody(world)
    made = messages(world, person)
    world.value("select messaging.retry_effects(10)")
    age(world, 31)
    kept = "select id, dispatch_state, dedupe_key, request_hash, phone, created_at, changed_at, attempt_count"
    before = world.rows(f"{kept} from messaging.outbox order by id")
    history = world.rows("select * from messaging.history order by id")

    assert forget(world, "texts", 32) == 0
    assert world.value("select messaging.forgettable('texts', 30)") == 4
    assert forget(world, "texts", 30) == 4

    told = {state: json.dumps(world.message(made[state])["content"]) for state in STATES}
    assert {state for state in STATES if WORDS in told[state] or NAME in told[state]} == set(STATES) - set(
        ENDED
    )
    accepted = world.message(made["accepted"])
    assert accepted["content"] == {"kind": "text", "removed": "kept for 30 days"}
    assert accepted["facts"] == {"step": 2, "sent_from": "Aura"}
    assert accepted["text_removed_at"] is not None
    assert world.rows(f"{kept} from messaging.outbox order by id") == before
    assert world.rows("select * from messaging.history order by id") == history
    assert forget(world, "texts", 30) == 0


@pytest.mark.scoreboard("S19", tier="commit")
def test_raw_events_and_their_words_go_each_on_its_day(world: World) -> None:
    """First what the provider sent, later the words; an event that still waits for its answer keeps both."""
    person = somebody(world)
    done, waiting = event(world, person, "E1", p_ignored_reason="missing_data"), event(world, person, "E2")
    age(world, 31)
    assert forget(world, "raw_events", 30) == 1
    columns = "select payload, text, media_url, phone, raw_removed_at is not null as raw from"
    [row] = world.rows(f"{columns} messaging.inbound_events where id = %s", done)
    assert row == {
        "payload": {"removed": "kept for 30 days"},
        "text": WORDS,
        "media_url": None,
        "phone": PHONE,
        "raw": True,
    }
    assert forget(world, "event_texts", 30) == 1
    assert world.rows(
        "select text, text_removed_at is not null as gone from messaging.inbound_events where id = %s", done
    ) == [{"text": None, "gone": True}]
    [row] = world.rows(f"{columns} messaging.inbound_events where id = %s", waiting)
    assert (row["text"], row["raw"]) == (WORDS, False)
    assert event(world, person, "E1", p_ignored_reason="missing_data") is None  # still known


def test_a_repeated_request_finds_its_message_after_the_text_went(world: World) -> None:
    """Dedupe goes on working: the same request is the same message, another one is told that it differs."""
    number = world.number(gap=(0, 0))
    asked = world.wanted(number, dedupe_key="once")
    [first] = world.enqueue_many([asked])
    world.record(world.begun(first["message_id"]))
    age(world, 31)
    forget(world, "texts", 30)
    [again] = world.enqueue_many([asked])
    [other] = world.enqueue_many([asked | {"content": {"kind": "text", "text": "Other"}}])
    assert (again["message_id"], again["created"], again["same_request"]) == (
        first["message_id"],
        False,
        True,
    )
    assert (other["message_id"], other["same_request"]) == (first["message_id"], False)


def test_what_the_app_has_not_taken_yet_is_kept(world: World) -> None:
    """A failed effect reads the text when it is tried again."""
    person = somebody(world)
    made = messages(world, person)
    age(world, 31)
    assert world.value("select messaging.forgettable('texts', 30)") == 3
    assert forget(world, "texts", 30) == 3
    assert WORDS in json.dumps(world.message(made["accepted"])["content"])


def test_the_words_that_the_app_has_not_taken_yet_are_kept(db: Database, connect: Connect) -> None:
    """A turn whose effect failed reads the events again when it is tried again: until then their words stay,
    and nobody counts them; afterwards they go on their day."""
    world = World(connect())
    talk = Talk(world, db)
    talk.say(WORDS, payload={})
    event(world, Person(talk.profile, talk.profile, talk.number), "E1", p_ignored_reason="missing_data")
    world.rows("alter table public.messages rename to messages_away")
    assert talk.answer()
    world.cancel(instance_id=talk.number)
    age(world, 31)

    assert world.value("select messaging.forgettable('event_texts', 30)") == 1
    assert (forget(world, "event_texts", 30), forget(world, "texts", 30)) == (1, 0)

    world.rows("alter table public.messages_away rename to messages")
    assert [row["succeeded"] for row in world.rows("select * from messaging.retry_effects()")] == [True]
    said = world.rows("select content from public.messages where role = 'user'")
    assert said == [{"content": WORDS}]
    assert world.value("select messaging.forgettable('event_texts', 30)") == 1
    assert (forget(world, "event_texts", 30), forget(world, "texts", 30)) == (1, 1)


def test_a_batch_is_small_and_passes_over_what_is_busy(world: World, another: Worlds) -> None:
    """Short locks: it waits for nobody, and takes no more rows than it was told."""
    number = world.number(gap=(0, 0))
    ids = [world.enqueue(number) for _ in range(5)]
    world.cancel(instance_id=number)
    age(world, 2)
    busy = another()
    busy.rows("begin")
    busy.rows("select from messaging.outbox where id = %s for update", ids[0])
    assert [forget(world, "texts", 1, 2) for _ in range(3)] == [2, 2, 0]
    busy.rows("commit")
    assert forget(world, "texts", 1, 2) == 1


@pytest.mark.parametrize(("what", "days", "limit"), [("all", 30, 5), ("texts", 0, 5), ("texts", 30, 0)])
def test_nonsense_is_refused(world: World, what: str, days: int, limit: int) -> None:
    """0 days would be everything: whoever keeps for ever does not ask."""
    assert world.refusal("select messaging.forget(%s, %s, %s)", what, days, limit) == "WP003"


def test_the_job_removes_all_that_is_due_and_says_how_much(db: Database, connect: Connect) -> None:
    """Texts, events and what has leaked from the buckets, by the settings; 0 days keeps for ever."""
    world = World(connect())
    person = somebody(world)
    number = world.number(gap=(0, 0))
    world.rows("select messaging.enqueue(%s) from generate_series(1, 1)", json.dumps(world.wanted(number)))
    world.cancel(instance_id=number)
    event(world, person, "E1", p_ignored_reason="missing_data")
    world.rows("insert into messaging.sign_up_buckets values ('phone:x', now() - interval '1 s')")
    world.rows("insert into messaging.sign_up_buckets values ('phone:y', now() + interval '1 h')")
    age(world, 60)
    kept = Settings(keep_texts_days=0, keep_events_days=0)
    assert retention.forgettable(db, kept) == {}
    assert retention.retain(db, kept) == {
        "texts": 0, "event_texts": 0, "raw_events": 0, "buckets": 1, "more": False
    }  # fmt: skip
    short = Settings(keep_texts_days=50, keep_events_days=7)
    assert retention.forgettable(db, short) == {"texts": 1, "event_texts": 1, "raw_events": 1}
    assert retention.retain(db, short) == {
        "texts": 1, "event_texts": 1, "raw_events": 1, "buckets": 0, "more": False
    }  # fmt: skip
    assert retention.forgettable(db, short) == {"texts": 0, "event_texts": 0, "raw_events": 0}
    found = holding(world, WORDS)
    assert not {"messaging.outbox", "messaging.inbound_events"} & set(found)


def test_a_job_whose_time_is_up_leaves_the_rest_for_the_next_day(db: Database, connect: Connect) -> None:
    """It says so, and no slot is held longer than its lease."""
    world = World(connect())
    number = world.number(gap=(0, 0))
    world.enqueue(number)
    world.cancel(instance_id=number)
    age(world, 200)
    assert retention.retain(db, Settings(), longest_s=-1)["more"] is True
    assert retention.forgettable(db, Settings())["texts"] == 1
