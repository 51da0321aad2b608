"""A person decides on a message of which we cannot tell whether it was sent: each decision is a row."""

import pytest

from tests.database.states import in_state
from tests.database.world import HOUR_S, BentClock, World

NOT_FOUND, INVALID, CONFLICT = "WP002", "WP003", "WP004"
DECIDE = "select messaging.decide_unknown(%s, %s, %s)"


def decisions(world: World, message: int) -> list[tuple[str, str, str | None]]:
    """What was decided of a message, by whom and why."""
    rows = world.rows("select * from messaging.decisions where message_id = %s order by id", message)
    return [(row["decision"], row["decided_by"], row["why"]) for row in rows]


@pytest.mark.parametrize(
    ("decision", "state"), [("resend", "queued"), ("consider_sent", "accepted"), ("drop", "withdrawn")]
)
def test_each_decision_settles_and_is_recorded(world: World, decision: str, state: str) -> None:
    """It moves the message, stays as a row with who and why, and stands in the history and in what is
    told."""
    message = in_state(world, "unknown")
    assert world.decide(message, decision, " Ana ", "she did not see it") == state
    assert world.state(message) == state
    assert decisions(world, message) == [(decision, "Ana", "she did not see it")]
    told = world.value("select messaging.explain(%s)", message)
    assert told["history"][-1]["by"] == "decide_unknown"
    assert told["history"][-1]["reason"] == f"Ana decided: {decision} (she did not see it)"
    assert [(each["decision"], each["by"]) for each in told["decisions"]] == [(decision, "Ana")]


def test_a_resend_is_one_new_attempt_to_the_same_person_on_the_same_number(world: World) -> None:
    """It is claimed at once on its own number; a second unknown outcome waits for a person again."""
    message = in_state(world, "unknown")
    before = world.message(message)
    world.decide(message, "resend")
    world.record(world.begun(message), "unknown")
    after = world.message(message)
    assert (after["instance_id"], after["phone"], after["attempt_count"]) == (
        before["instance_id"],
        before["phone"],
        2,
    )
    assert after["dispatch_state"] == "unknown"
    assert world.claim() == []


def test_a_resend_past_its_time_gets_the_whole_time_of_its_purpose(
    world: World, bent_clock: BentClock
) -> None:
    """Who presses Reenviar a day later means now: it does not expire unseen."""
    message = in_state(world, "unknown")
    bent_clock.forward(30 * HOUR_S)
    assert world.decide(message, "resend") == "queued"
    row = world.message(message)
    assert row["not_before"] == bent_clock.now()
    assert (row["expires_at"] - bent_clock.now()).total_seconds() == 6 * HOUR_S
    world.value("select messaging.expire_due()")
    assert world.record(world.begun(message))["dispatch_state"] == "accepted"


def test_a_resend_never_shortens_the_time_that_was_given(world: World) -> None:
    """A window that the caller chose stays."""
    message = in_state(world, "unknown", expires_at="2199-01-01T00:00:00Z")
    before = world.message(message)["expires_at"]
    world.decide(message, "resend")
    assert world.message(message)["expires_at"] == before


def test_considered_sent_writes_what_an_acceptance_writes(world: World) -> None:
    """The effect of its purpose runs, as if the provider had confirmed it."""
    profile = world.profile("5511987654321")
    number = world.number(gap=(0, 0))
    message = world.enqueue(number, phone="5511987654321", profile_id=profile, purpose="welcome")
    world.record(world.begun(message), "unknown")
    assert world.value("select count(*) from public.messages") == 0
    world.decide(message, "consider_sent")
    assert world.value("select content from public.messages") == "Oi"


@pytest.mark.parametrize("decision", ["resend", "consider_sent", "drop"])
def test_what_waited_behind_it_may_go(world: World, decision: str) -> None:
    """Any decision releases what was held back, and its number is awake."""
    held = in_state(world, "held")
    blocker = int(world.message(held)["held_by"].removeprefix("message "))
    world.decide(blocker, decision)
    assert world.state(held) == "queued"
    assert world.claim() != []


def test_who_may_not_decide_and_what_cannot_be_decided(world: World) -> None:
    """An odd decision or nobody's: refused as input; no such message; one that is settled: a conflict."""
    unknown, accepted = in_state(world, "unknown"), in_state(world, "accepted")
    assert world.refusal(DECIDE, unknown, "forget", "Ana") == INVALID
    assert world.refusal(DECIDE, unknown, "drop", " ") == INVALID
    assert world.refusal(DECIDE, 0, "drop", "Ana") == NOT_FOUND
    assert world.refusal(DECIDE, accepted, "resend", "Ana") == CONFLICT
    assert decisions(world, unknown) == decisions(world, accepted) == []
    world.decide(unknown, "drop")
    assert world.refusal(DECIDE, unknown, "resend", "Ana") == CONFLICT
    assert [each[0] for each in decisions(world, unknown)] == ["drop"]


def test_the_list_shows_what_a_person_needs_to_decide(world: World, bent_clock: BentClock) -> None:
    """Only unknown messages, the longest uncertain first, with the last four digits and the evidence."""
    first = in_state(world, "unknown", on_unknown="drop")
    bent_clock.forward(60)
    second = in_state(world, "unknown", content={"kind": "text", "text": "x" * 200})
    in_state(world, "accepted")
    rows = world.rows("select * from messaging.unknown_messages()")
    assert [row["message_id"] for row in rows] == [first, second]
    assert [row["on_unknown"] for row in rows] == ["drop", "hold"]
    assert (bent_clock.now() - rows[0]["unknown_since"]).total_seconds() == 60
    assert rows[0]["phone_tail"] == world.message(first)["phone"][-4:]
    assert (rows[0]["text_preview"], len(rows[1]["text_preview"])) == ("Oi", 80)
    assert (rows[0]["presumed"], rows[0]["evidence"]) == (None, [])
    assert len(world.rows("select * from messaging.unknown_messages(1)")) == 1
