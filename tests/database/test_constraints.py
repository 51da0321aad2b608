"""What may be only once, whatever a function of ours gets wrong: the database refuses the second row."""

from collections.abc import Callable

import psycopg
import pytest

from tests.database.world import World

ATTEMPT = (
    "insert into messaging.attempts (message_id, instance_id, lane, worker, lease_token, begun_at, gap_min_s)"
    " values (%s, %s, %s, 'w2', gen_random_uuid(), now(), 25)"
)


def _a_second_paced_attempt(world: World) -> None:
    """Beside one in flight on the same number, of another message."""
    number = world.number()
    world.enqueue(number)
    other = world.enqueue(number)
    world.begin(world.claim()[0])
    world.rows(
        ATTEMPT,
        other,
        number,
        "bulk",
    )


def _a_second_attempt_of_one_reply(world: World) -> None:
    """Beside one in flight of the same message; replies need no slot."""
    number = world.number()
    message = world.reply(number, "5511987654321")
    world.begin(world.claim()[0])
    world.rows(
        ATTEMPT,
        message,
        number,
        "reply",
    )


def _a_provider_id_twice(world: World) -> None:
    """The id of one message for an attempt of another, on the same number."""
    number = world.number()
    for phone, provider_id in (("5511987654321", "P1"), ("5511987654322", "P2")):
        world.reply(number, phone)
        world.record(world.begin(world.claim()[0])["attempt_id"], p_provider_message_id=provider_id)
    world.rows("update messaging.attempts set provider_message_id = 'P1'")


def _a_key_twice(world: World) -> None:
    """Two messages of the house under one key."""
    number = world.number()
    for _ in range(2):
        world.enqueue(number)
    world.rows("update messaging.outbox set dedupe_key = 'k'")


def _a_second_leased_message(world: World) -> None:
    """Two paced messages of one number leased at once."""
    number = world.number()
    for _ in range(2):
        world.enqueue(number)
    world.rows(
        "update messaging.outbox set dispatch_state = 'leased', lease_token = gen_random_uuid(),"
        " leased_until = now() + interval '1 minute'"
    )


TWICE: dict[str, Callable[[World], None]] = {
    "attempts_one_paced_in_flight": _a_second_paced_attempt,
    "attempts_one_in_flight_per_message": _a_second_attempt_of_one_reply,
    "attempts_provider_message": _a_provider_id_twice,
    "outbox_dedupe": _a_key_twice,
    "outbox_one_paced_in_flight": _a_second_leased_message,
}


@pytest.mark.audit_findings_expected
@pytest.mark.parametrize("constraint", TWICE)
def test_what_may_be_once_is_once(world: World, constraint: str) -> None:
    """Each second row is refused by the constraint that is there for it, not by luck."""
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        TWICE[constraint](world)
    assert refused.value.diag.constraint_name == constraint
