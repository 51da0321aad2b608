"""The legal moves of a message: exactly these, whoever tries, and each one done by the product itself."""

import pytest

from tests.database.states import in_state
from tests.database.world import BentClock, World

STATES = [
    "draft",
    "held",
    "leased",
    "sending",
    "accepted",
    "rejected",
    "unknown",
    "expired",
    "withdrawn",
    "queued",
]
# design.md 4; and what expired before it could go again may have been sent the first time
LEGAL = {
    "draft": {"queued", "expired", "withdrawn"},
    "queued": {"leased", "held", "expired", "withdrawn"},
    "held": {"queued", "expired", "withdrawn"},
    "leased": {"sending", "queued"},
    "sending": {"accepted", "rejected", "unknown", "queued"},
    "unknown": {"accepted", "rejected", "queued", "withdrawn"},
    "accepted": set(),
    "rejected": set(),
    "expired": {"accepted"},
    "withdrawn": set(),
}
MOVES = {(before, after) for before, afters in LEGAL.items() for after in afters}
BORN = {"draft", "queued"}
AS_IF = (
    "lease_token = case when %s in ('leased', 'sending') then gen_random_uuid() end,"
    " leased_until = case when %s in ('leased', 'sending') then now() end,"
    " held_by = case when %s = 'held' then 'message 1' end"
)


def attempt(world: World, statement: str, *parameters: object) -> str | None:
    """The SQLSTATE of a statement, which is undone in any case."""
    world.rows("begin")
    try:
        return world.refusal(statement, *parameters)
    finally:
        world.rows("rollback")


@pytest.mark.own_database
def test_exactly_the_legal_moves_are_possible(world: World) -> None:
    """From each state to each other one, by a superuser's own update: legal, or WP001."""
    move = f"update messaging.outbox set dispatch_state = %s, {AS_IF} where id = %s"
    messages = {state: in_state(world, state) for state in STATES}
    answers = {
        (before, after): attempt(world, move, after, after, after, after, messages[before])
        for before in STATES
        for after in STATES
        if after != before
    }
    expected = {pair: None if pair in MOVES else "WP001" for pair in answers}
    assert answers == expected


@pytest.mark.own_database
def test_a_message_is_born_queued_or_as_a_draft(world: World) -> None:
    """Nobody can insert one that was sent already."""
    message = world.enqueue(world.number())
    world.rows("create temp table born as select * from messaging.outbox where id = %s", message)
    world.rows("alter table born drop column id")
    columns = world.value(
        "select string_agg(attname, ', ') from pg_attribute where attrelid = 'born'::regclass"
        " and attnum > 0 and not attisdropped"
    )
    for state in STATES:
        world.rows(f"update born set dedupe_key = 'other', dispatch_state = %s, {AS_IF}", *[state] * 4)
        born = attempt(world, f"insert into messaging.outbox ({columns}) select {columns} from born")
        assert born == (None if state in BORN else "WP001"), state


def test_the_table_of_moves_is_the_designs(world: World) -> None:
    """messaging.transitions holds the design's moves and no other."""
    rows = world.rows("select from_state, to_state from messaging.transitions")
    assert {(row["from_state"], row["to_state"]) for row in rows} == MOVES | {(None, state) for state in BORN}


def test_every_legal_move_is_made_by_the_product(world: World, bent_clock: BentClock) -> None:
    """Each of them happens in some run of our own functions; none of them is there for nobody."""
    for state in ("accepted", "rejected", "unknown", "expired", "withdrawn"):
        in_state(world, state)
    world.record(world.begun(world.enqueue(world.number())), "not_sent")
    for receipt in ("delivered", "failed"):
        unknown = in_state(world, "unknown")
        world.receipt(world.message(unknown)["instance_id"], f"P{unknown}", receipt)
    settled, cancelled, _expired = (world.message(in_state(world, "held")) for _ in range(3))
    world.receipt(settled["instance_id"], settled["held_by"].replace("message ", "P"), "read")
    world.cancel(message_id=cancelled["id"])
    cancelled_draft, _expired_draft = in_state(world, "draft"), in_state(world, "draft")
    world.cancel(message_id=cancelled_draft)
    in_state(world, "unknown", on_unknown="drop")
    world.decide(in_state(world, "unknown"), "resend")
    in_state(world, "leased")
    proven = in_state(world, "unknown")
    world.decide(proven, "resend")
    bent_clock.forward(12 * 3600)
    world.value("select messaging.expire_due()")
    world.receipt(world.message(proven)["instance_id"], f"P{proven}", "read")
    world.claim()
    in_state(world, "draft")
    draft = world.rows("select * from messaging.take_drafts('w')")[0]
    world.value("select messaging.finish_draft(%s, %s, 'w')", draft["message_id"], draft["compose_token"])
    made = world.rows("select distinct from_state, to_state from messaging.history")
    assert {(row["from_state"], row["to_state"]) for row in made} == MOVES | {(None, state) for state in BORN}


def test_a_move_is_history_and_ends_what_belonged_to_the_old_state(
    world: World, bent_clock: BentClock
) -> None:
    """One row per move with its moment; a lease and a hold end with their states, also in a direct update."""
    message = in_state(world, "leased")
    bent_clock.forward(7)
    world.rows("update messaging.outbox set dispatch_state = 'queued' where id = %s", message)
    row = world.message(message)
    assert (row["lease_token"], row["leased_until"], row["changed_at"]) == (None, None, bent_clock.now())
    last = world.rows("select * from messaging.history where message_id = %s order by id desc", message)[0]
    assert (last["from_state"], last["to_state"], last["happened_at"]) == (
        "leased",
        "queued",
        bent_clock.now(),
    )
    held = in_state(world, "held")
    world.rows("update messaging.outbox set dispatch_state = 'queued' where id = %s", held)
    assert world.message(held)["held_by"] is None
    assert world.value("select messaging.wake_forgotten()") == 1


def test_what_was_said_cannot_be_deleted(world: World) -> None:
    """Not even its owner removes a message that has a history."""
    message = in_state(world, "accepted")
    assert world.refusal("delete from messaging.outbox where id = %s", message) in {"23001", "23503"}
