"""Builders for messages of which we cannot tell whether they were sent, and what is told of them."""

import json
import uuid
from typing import Any

from tests.database.world import BentClock, World

PERSON, SHORT_FORM = "5511987654321", "551187654321"
MINUTE_S = 60.0


def uncertain(world: World, number: uuid.UUID, text: str = "Oi", **fields: Any) -> int:
    """A message that was begun and ended as unknown, without an id, to PERSON unless the fields say
    otherwise."""
    wanted: dict[str, Any] = {
        "phone": PERSON,
        "content": {"kind": "text", "text": text},
        # What is uncertain to the same person would hold back the next paced one.
        "purpose": "answer",
        "expires_at": "2199-01-01T00:00:00Z",
    }
    message = world.enqueue(number, **(wanted | fields))
    world.record(world.begun(message), "unknown", p_detail="no whole answer after writing began")
    return message


def attempt_of(world: World, message: int) -> int:
    """The latest attempt at a message."""
    return int(world.value("select max(id) from messaging.attempts where message_id = %s", message))


def outgoing(world: World, number: uuid.UUID, provider_id: str, **facts: Any) -> None:
    """The echo of a message that left the number, over the API and with the text "Oi" unless the facts say
    otherwise."""
    given = {"sent_by": "api", "text": "Oi", "kind": "text", "phone": PERSON, "at": None} | facts
    world.rows(
        "select * from messaging.accept_event(%s, %s, 'message', '{}', p_phone => %s, p_text => %s,"
        " p_message_kind => %s, p_happened_at => %s, p_ignored_reason => 'own_message',"
        " p_receipt_ids => %s, p_sent_by => %s)",
        number, f"e{uuid.uuid4()}", given["phone"], given["text"], given["kind"], given["at"],
        [provider_id], given["sent_by"],
    )  # fmt: skip


def delivery(
    world: World, number: uuid.UUID, provider_id: str, phone: str = PERSON, error: str | None = None
) -> None:
    """A DeliveryCallback: an id and a phone, no text."""
    world.rows(
        "select * from messaging.accept_event(%s, %s, 'delivery', '{}', p_phone => %s, p_receipt => %s,"
        " p_receipt_ids => %s, p_error => %s, p_sent_by => 'api', p_queue_id => %s)",
        number, f"e{uuid.uuid4()}", phone, "failed" if error else "sent", [provider_id], error,
        f"Z{provider_id}",
    )  # fmt: skip


def status(world: World, number: uuid.UUID, *provider_ids: str) -> None:
    """A receipt for ids that nobody knows: of a message of ours, or of a hand."""
    world.rows(
        "select * from messaging.accept_event(%s, %s, 'status', '{}', p_phone => %s, p_receipt => 'read',"
        " p_receipt_ids => %s, p_sent_by => 'unsaid')",
        number, f"e{uuid.uuid4()}", PERSON, list(provider_ids),
    )  # fmt: skip


def heard(world: World, number: uuid.UUID) -> None:
    """Somebody else writes to the number: its channel is alive."""
    world.rows(
        "select * from messaging.accept_event(%s, %s, 'message', '{}', p_phone => '5521912345678',"
        " p_text => 'oi', p_message_kind => 'text')",
        number,
        f"e{uuid.uuid4()}",
    )


def gather(world: World, message: int) -> str:
    """gather_evidence: where the message stands."""
    return str(world.value("select messaging.gather_evidence(%s)", message))


def presume(world: World, message: int) -> str:
    """presume: where the message stands after it."""
    before = world.state(message)
    resent = world.value("select messaging.presume(%s)", message)
    after = world.state(message)
    assert resent == (before != after)
    return after


def asked(world: World, message: int, *traces: dict[str, Any], source: str = "provider_queue") -> int:
    """What the provider answered about a message: nothing, unless there are traces."""
    return int(
        world.value(
            "select messaging.note_traces(array[%s::bigint], %s, %s)",
            attempt_of(world, message),
            source,
            json.dumps(traces, default=str),
        )
    )


def quiet(world: World, number: uuid.UUID, bent_clock: BentClock, message: int) -> None:
    """A quarter of an hour in which others write and nothing is seen of the message; its provider has
    nothing."""
    bent_clock.forward(1)
    heard(world, number)
    bent_clock.forward(15 * MINUTE_S - 1)
    asked(world, message)


def trace(provider_id: str, **facts: Any) -> dict[str, Any]:
    """One message that the provider has to PERSON."""
    return {
        "provider_message_id": provider_id,
        "provider_queue_id": f"Z{provider_id}",
        "phone": PERSON,
        "sent_by": "api",
        "text": "Oi",
    } | facts


def evidence(world: World, message: int) -> list[tuple[str, str]]:
    """Source and verdict of each piece of evidence, oldest first."""
    rows = world.rows(
        "select source, says from messaging.evidence where message_id = %s order by id", message
    )
    return [(row["source"], row["says"]) for row in rows]
