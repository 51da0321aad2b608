"""Drafts: born with a fixed text, taken by one worker at a time, finished once, and never sent before."""

import json
import uuid
from itertools import pairwise

import pytest
from psycopg.types.json import Jsonb

from tests.database.drafts import FIXED, draft, finish, take, take_one, text_of
from tests.database.world import BentClock, World

INVALID = "WP003"


def test_a_message_to_be_composed_is_not_sent_before(world: World) -> None:
    """Born a draft: no claim takes it, and it holds up nobody behind it."""
    number = world.number(gap=(0, 0))
    waiting, behind = draft(world, number), world.enqueue(number)
    assert world.state(waiting) == "draft"
    assert [row.message_id for row in world.claim()] == [behind]
    assert world.state(waiting) == "draft"


def test_a_draft_alone_does_not_wake_its_number(world: World) -> None:
    """A number with nothing but drafts sleeps, and is not counted as forgotten."""
    number = world.number()
    draft(world, number)
    assert world.claim() == []
    assert world.sender(number)["ready_at"] is None
    assert world.value("select messaging.wake_forgotten()") == 0


def test_a_taken_draft_carries_what_a_composer_needs(world: World) -> None:
    """The name of the composer, the fixed text, the facts, and who it is for."""
    profile = world.profile("5511987654321")
    message = draft(
        world, world.number(), profile_id=str(profile), facts={"week": 7}, subject_id="s-1", compose="poet"
    )
    (taken,) = take(world)
    token = taken.pop("compose_token")
    assert isinstance(token, uuid.UUID)
    assert taken == {
        "message_id": message,
        "compose": "poet",
        "compose_count": 1,
        "purpose": "direct",
        "content": {"kind": "text", "text": FIXED},
        "facts": {"week": 7},
        "profile_id": profile,
        "profile_name": "Ana",
        "subject_id": "s-1",
    }


def test_a_draft_of_a_person_who_is_gone_can_still_be_taken(world: World) -> None:
    """A deleted profile, or none at all, leaves only the name out."""
    profile = world.profile("5511987654321")
    number = world.number()
    draft(world, number, profile_id=str(profile))
    draft(world, number)
    world.rows("delete from public.profiles where id = %s", profile)
    assert [row["profile_name"] for row in take(world)] == [None, None]


def test_what_is_due_first_is_composed_first(world: World) -> None:
    """By the moment of sending, then by age; no more than asked for."""
    number = world.number()
    late = draft(world, number, not_before="2090-01-02T12:00:00Z", expires_at="2090-02-01T12:00:00Z")
    first, second = draft(world, number), draft(world, number)
    assert [row["message_id"] for row in take(world, 1)] == [first]
    assert [row["message_id"] for row in take(world, 5)] == [second, late]
    assert take(world) == []


def test_a_lost_worker_gives_its_drafts_back(world: World, bent_clock: BentClock) -> None:
    """When the lease is over another worker gets the draft, and only that one may finish it."""
    message = draft(world, world.number())
    (lost,) = take(world, lease_s=60)
    bent_clock.forward(59)
    assert take(world, worker="w2") == []
    bent_clock.forward(2)
    (again,) = take(world, worker="w2")
    assert (again["message_id"], again["compose_count"]) == (message, 2)
    assert again["compose_token"] != lost["compose_token"]
    assert not finish(world, lost, "Do primeiro")
    assert (world.state(message), text_of(world, message)) == ("draft", FIXED)
    assert finish(world, again, "Do segundo")
    assert text_of(world, message) == "Do segundo"


def test_a_late_worker_counts_where_nobody_came_before_it(world: World, bent_clock: BentClock) -> None:
    """Work is not thrown away only because it took long."""
    message = draft(world, world.number())
    (taken,) = take(world, lease_s=1)
    bent_clock.forward(100)
    assert finish(world, taken, "Demorou, mas veio")
    assert world.state(message) == "queued"


def test_a_composed_draft_is_sent_with_its_text_and_facts(world: World) -> None:
    """draft -> queued: the text replaces the fixed one, facts are merged, and the number wakes."""
    number = world.number(gap=(0, 0))
    message = draft(world, number, facts={"a": 1, "b": 2})
    taken = take_one(world, message)
    assert finish(world, taken, "Composto 💛", p_facts=Jsonb({"b": 3, "c": [4]}))
    row = world.message(message)
    assert (row["content"], row["facts"]) == (
        {"kind": "text", "text": "Composto 💛"},
        {"a": 1, "b": 3, "c": [4]},
    )
    assert (row["compose_token"], row["compose_until"]) == (None, None)
    (claimed,) = world.claim()
    assert claimed.message_id == message
    assert world.begin(claimed)["content"] == {"kind": "text", "text": "Composto 💛"}


def test_without_a_text_the_fixed_one_is_sent(world: World) -> None:
    """The history says so."""
    message = draft(world, world.number(gap=(0, 0)), facts={"a": 1})
    assert finish(world, take_one(world, message))
    row = world.message(message)
    assert (row["dispatch_state"], row["reason"]) == ("queued", "the fixed text stands")
    assert (text_of(world, message), row["facts"]) == (FIXED, {"a": 1})
    assert [claimed.message_id for claimed in world.claim()] == [message]


def test_what_is_better_not_said_is_withdrawn(world: World) -> None:
    """draft -> withdrawn with the reason; it is never sent."""
    message = draft(world, world.number(gap=(0, 0)))
    assert finish(world, take_one(world, message), p_withdraw_why="silence is kinder")
    row = world.message(message)
    assert (row["dispatch_state"], row["reason"], row["changed_by"]) == (
        "withdrawn",
        "silence is kinder",
        "w1",
    )
    assert world.claim() == []


def test_a_draft_is_finished_once(world: World) -> None:
    """The second word of the same worker changes nothing, whatever became of the message meanwhile."""
    number = world.number(gap=(0, 0))
    message = draft(world, number)
    taken = take_one(world, message)
    assert finish(world, taken, "Primeira")
    assert not finish(world, taken, "Segunda")
    world.record(world.begun(message))
    assert not finish(world, taken, "Terceira")
    assert not finish(world, taken, p_withdraw_why="tarde demais")
    assert (text_of(world, message), world.state(message)) == ("Primeira", "accepted")


def test_another_token_finishes_nothing(world: World) -> None:
    """A made-up token, a message that is no draft, and one that does not exist."""
    number = world.number()
    message, queued = draft(world, number), world.enqueue(number)
    taken = take_one(world, message)
    strange = uuid.uuid4()
    for wrong in (
        taken | {"compose_token": strange},
        taken | {"compose_token": None},
        taken | {"message_id": queued},
        taken | {"message_id": 10**12},
    ):
        assert not finish(world, wrong, "De ninguém")
    assert text_of(world, message) == FIXED
    assert world.state(message) == "draft"


def test_a_wrong_argument_is_refused_and_the_draft_stays(world: World) -> None:
    """Nothing is lost by it: the same worker may finish rightly afterwards."""
    message = draft(world, world.number())
    taken = take_one(world, message)
    call = "select messaging.finish_draft(%s, %s, 'w1', %s, %s)"
    for text, facts in (("", None), ("  ", None), ("a" * 65_537, None), ("Oi", "[]"), ("Oi", '"a"')):
        assert world.refusal(call, message, taken["compose_token"], text, facts) == INVALID, text[:9]
    assert finish(world, taken, "a" * 65_536)


@pytest.mark.parametrize(("worker", "limit"), [("", 4), (None, 4), ("w", 0), ("w", 101), ("w", None)])
def test_a_worker_asks_rightly(world: World, worker: str | None, limit: int | None) -> None:
    """It gives its name and how many it wants."""
    assert world.refusal("select messaging.take_drafts(%s, %s, 60)", worker, limit) == INVALID


@pytest.mark.parametrize(
    "fields",
    [
        {"compose": "Nobody!"},
        {"compose": ""},
        {"compose": "../etc"},
        {"facts": [1]},
        {"facts": "a"},
        {"content": {"kind": "audio", "media_url": "https://example.com/a.mp3"}, "compose": "poet"},
        {"content": {"kind": "text", "text": ""}, "compose": "poet"},
    ],
    ids=json.dumps,
)
def test_a_draft_of_the_wrong_form_is_refused(world: World, fields: dict[str, object]) -> None:
    """No name of a composer, facts that are no object, and a draft without a fixed text."""
    wanted = world.wanted(world.number(), **fields)
    assert world.refusal("select messaging.enqueue_many(%s)", json.dumps([wanted])) == INVALID


def test_the_same_draft_twice_is_one(world: World) -> None:
    """A dedupe key that exists answers with the earlier message, before and after it was composed."""
    wanted = world.wanted(world.number(), compose="poet")
    (first,) = world.enqueue_many([wanted])
    (second,) = world.enqueue_many([wanted])
    finish(world, take_one(world, first["message_id"]), "Composto")
    (third,) = world.enqueue_many([wanted])
    assert first["message_id"] == second["message_id"] == third["message_id"]
    assert [row["created"] for row in (first, second, third)] == [True, False, False]
    assert second["same_request"]
    assert third["same_request"]
    assert (world.state(first["message_id"]), text_of(world, first["message_id"])) == ("queued", "Composto")


def test_a_draft_past_its_time_expires(world: World, bent_clock: BentClock) -> None:
    """Composed or not; the worker that still has it in hand finishes nothing."""
    message = draft(world, world.number(gap=(0, 0)))
    (taken,) = take(world)
    bent_clock.forward(6 * 3600 - 1)
    world.value("select messaging.expire_due()")
    assert world.state(message) == "draft"
    bent_clock.forward(2)
    world.value("select messaging.expire_due()")
    assert world.state(message) == "expired"
    assert not finish(world, taken, "Tarde demais")
    assert take(world) == []


def test_a_draft_composed_after_its_time_is_not_sent(world: World, bent_clock: BentClock) -> None:
    """Before the sweep comes by: it is queued, and the claim ends it."""
    message = draft(world, world.number(gap=(0, 0)))
    (taken,) = take(world)
    bent_clock.forward(6 * 3600 + 1)
    finish(world, taken, "Tarde demais")
    assert world.claim() == []
    assert world.state(message) == "expired"


def test_a_cancelled_draft_stays_cancelled(world: World) -> None:
    """Whatever its composer brings afterwards."""
    message = draft(world, world.number(), run_id="r")
    (taken,) = take(world)
    assert len(world.cancel(run_id="r")) == 1
    assert not finish(world, taken, "De volta?")
    assert world.state(message) == "withdrawn"
    assert take(world) == []


def test_a_draft_is_composed_while_everything_is_paused(world: World) -> None:
    """Composing sends nothing: after the pause the text is there, and not before is it sent."""
    message = draft(world, world.number(gap=(0, 0)))
    world.value("select messaging.pause_all('test')")
    assert finish(world, take_one(world, message), "Pronto")
    assert world.claim() == []
    world.value("select messaging.resume_all('test')")
    assert [row.message_id for row in world.claim()] == [message]


def test_a_composed_draft_keeps_its_place(world: World) -> None:
    """It was enqueued before the others of its lane, so it goes before them, however long composing took."""
    number = world.number(gap=(0, 0))
    first, then, last = draft(world, number), world.enqueue(number), draft(world, number)
    taken = {row["message_id"]: row for row in take(world)}
    for message in (last, first):
        finish(world, taken[message], "Pronto")
    gone = []
    while claimed := world.claim():
        gone.append(claimed[0].message_id)
        world.record(world.begin(claimed[0])["attempt_id"])
    assert gone == [first, then, last]


def test_a_draft_has_the_forecast_that_it_has_when_composed(world: World, bent_clock: BentClock) -> None:
    """What a run says of its end does not wait for the composing."""
    number = world.number(gap=(30, 30))
    messages = [draft(world, number) if index % 2 else world.enqueue(number) for index in range(8)]
    forecast = "select messaging.forecast(%s)"
    before = [world.value(forecast, message) for message in messages]
    for taken in take(world, 10):
        finish(world, taken, "Pronto")
    assert [world.value(forecast, message) for message in messages] == before
    assert sorted(before) == before
    assert len({later - earlier for earlier, later in pairwise(before)}) == 1


def test_an_explanation_of_a_draft_says_that_it_is_being_written(world: World) -> None:
    """A person who asks why it does not go gets an answer."""
    told = world.value("select messaging.explain(%s)", draft(world, world.number()))
    assert told["dispatch_state"] == "draft"
    assert told["because"]
