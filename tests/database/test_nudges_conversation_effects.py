"""conversation-followup on its way: what withdraws it, and what its acceptance writes."""

import pytest

from shared.db import Database
from tests.database.nudging import (
    NOON,
    conversation_of,
    delivered,
    run,
    texts,
    with_conversation,
    write_again,
)
from tests.database.world import BentClock, World

FUNCTION = "conversation-followup"
MINUTE_S = 60


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


CHANGES = {
    "update public.profiles set last_user_message_at = messaging.clock()": "the person wrote meanwhile",
    "update public.conversation_followups set last_user_message_at = messaging.clock()": (
        "the person wrote meanwhile"
    ),
    "update public.conversation_followups set closed_at = messaging.clock()": "the conversation was closed",
    "update public.conversation_followups set last_user_message_at = null": "the conversation was closed",
    "delete from public.conversation_followups": "the conversation was closed",
    "update public.profiles set status = 'canceled'": "the person is no longer with us",
    "insert into public.sessions (user_id, scheduled_at, ended_at, status)"
    " select user_id, messaging.clock(), messaging.clock(), 'completed' from public.profiles": (
        "a session of the person just ended"
    ),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.items())
def test_what_changed_before_it_went_withdraws_it(
    world: World, db: Database, noon: BentClock, change: str, reason: str
) -> None:
    """Asked again at begin: no nudge to who wrote, no word about what was closed."""
    with_conversation(world)
    run(db, FUNCTION)
    world.rows(change)
    assert delivered(world) == []
    [message] = world.rows("select * from messaging.outbox")
    assert (message["dispatch_state"], message["reason"]) == ("withdrawn", reason)


def test_who_writes_while_it_is_on_its_way_begins_at_nought(
    world: World, db: Database, noon: BentClock
) -> None:
    """The follow-up that crossed their message counts for the pause, not for the new silence."""
    profile = with_conversation(world)
    run(db, FUNCTION)
    for draft in world.rows("select * from messaging.take_drafts('w1', 1)"):
        world.value(
            "select messaging.finish_draft(%s, %s, 'w1', 'Oi', %s)",
            draft["message_id"],
            draft["compose_token"],
            '{"context": "trabalho | cansada | descanso"}',
        )
    attempt = world.begun(world.value("select id from messaging.outbox"))
    noon.forward(10)
    write_again(world)
    world.record(attempt)
    row = conversation_of(world, profile)
    assert (row["followup_count"], row["conversation_context"]) == (0, None)
    assert row["last_followup_at"] == noon.now()


def test_the_composed_line_and_its_context_are_kept(world: World, db: Database, noon: BentClock) -> None:
    """What the agent understood is written where the next follow-up finds it; a fixed line keeps the old."""
    profile = with_conversation(world, conversation_context="prova | nervosa | pausas")
    run(db, FUNCTION)
    delivered(world)
    assert conversation_of(world, profile)["conversation_context"] == "prova | nervosa | pausas"
    noon.forward(31 * MINUTE_S)
    run(db, FUNCTION)
    [draft] = world.rows("select * from messaging.take_drafts('w1', 1)")
    assert draft["facts"]["context"] == "prova | nervosa | pausas"
    world.value(
        "select messaging.finish_draft(%s, %s, 'w1', 'Como foi a prova?', %s)",
        draft["message_id"],
        draft["compose_token"],
        '{"context": "prova | aliviada | celebrar"}',
    )
    assert texts(delivered(world)) == ["Como foi a prova?"]
    row = conversation_of(world, profile)
    assert (row["conversation_context"], row["followup_count"]) == ("prova | aliviada | celebrar", 2)
