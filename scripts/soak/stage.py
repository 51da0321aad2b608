"""What a soak and the crash tests play on: numbers at the simulator, messages for them, how far they are."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import psycopg

from scripts.simulator.process import SimulatorProcess
from scripts.soak.waiting import eventually
from shared import outbox
from shared.db import Database

ENDED = frozenset({"accepted", "rejected", "unknown", "expired", "withdrawn"})


def add_numbers(
    url: str,
    simulator: SimulatorProcess,
    *,
    gaps_s: tuple[float, float] = (0, 0),
    send_timeout_s: float = 1.0,
) -> list[UUID]:
    """Register every number of the simulator. The lease of a message is 5 s + timeout + largest gap."""
    found: list[UUID] = []
    with psycopg.connect(url) as connection:
        for number in simulator.instances():
            row = connection.execute(
                "select messaging.add_instance(%s, %s, %s, %s, 'test', %s, 100000)",
                [number[key] for key in ("name", "id", "token", "client_token", "phone")],
            ).fetchone()
            if row is None:
                raise RuntimeError("add_instance answered nothing")
            found.append(row[0])
            connection.execute(
                "select messaging.set_gaps(%s, %s::numeric, %s::numeric, 'test', 0.01, 1)", [row[0], *gaps_s]
            )
        # No function sets it: it belongs to the provider, not to an operator.
        connection.execute("update messaging.senders set send_timeout_s = %s", [send_timeout_s])
    return found


def enqueue_texts(
    db: Database,
    instances: Sequence[UUID],
    texts: Sequence[str],
    *,
    purpose: str = "direct",
    first_phone: int = 0,
) -> None:
    """One message per text, dealt over the numbers in turn, each to a person of its own."""
    messages = [
        outbox.NewMessage(
            purpose=purpose,
            phone=f"55119{90_000_000 + first_phone + index:08d}",
            dedupe_key=f"{purpose}:{text}",
            enqueued_by="crash test",
            text=text,
            instance_id=instances[index % len(instances)],
        )
        for index, text in enumerate(texts)
    ]
    for start in range(0, len(messages), 1000):
        outbox.enqueue_many(db, messages[start : start + 1000])


def texts_of(how_many: int, prefix: str = "message") -> list[str]:
    """Texts by which a message is known again in the simulator's log."""
    return [f"{prefix} {number:06d}" for number in range(how_many)]


def states(url: str) -> Counter[str]:
    """How many messages are in each dispatch state."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select dispatch_state, count(*) from messaging.outbox group by 1"
        ).fetchall()
    return Counter(dict(rows))


def all_ended(url: str) -> Counter[str] | None:
    """The states when every message is in one that it can stay in; None before."""
    found = states(url)
    return found if set(found) <= ENDED else None


def wait_until_ended(url: str, timeout: float) -> Counter[str]:
    """The final states."""
    return eventually(
        lambda: all_ended(url), timeout, f"every message in a final state ({dict(states(url))})"
    )


def has_accepted(simulator: SimulatorProcess, how_many: int) -> bool:
    """Whether the simulator has accepted so many since it started."""
    return int(simulator.control("counters")["accepted"]) >= how_many
