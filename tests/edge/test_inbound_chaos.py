"""Providers that repeat, shuffle and lose events: it ends as if each that came had come once, in order."""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog

from shared.agent import FixedAgent
from shared.db import Database
from shared.turns import TurnDuty
from tests.database.world import Connect, World
from tests.edge.gateway import SETTINGS, Number, add_number, message, serving, status

LOST = 0.05
COPIES = (1, 5)
AT_ONCE = 8
# Several messages of one person are one turn, whenever they come.
PATIENT = replace(SETTINGS, reply_debounce_s=0.0)
RECEIPTS = ("SENT", "RECEIVED", "READ")


class Side:
    """One number with its people, and what they and the provider tell about it."""

    def __init__(self, world: World, db: Database, tag: str, people: int) -> None:
        self.number: Number = add_number(db)
        self.people = [f"55{11 + (tag == 'B')}98{index:07d}" for index in range(people)]
        self.tag = tag
        world.rows(
            "insert into public.profiles (user_id, name, phone, whatsapp_instance_id, status)"
            " select gen_random_uuid(), 'Ana', p, %s, 'active' from unnest(%s::text[]) as p",
            self.number.instance_id, self.people,
        )  # fmt: skip
        world.value("select messaging.set_gaps(%s, 0, 0, 'test')", self.number.instance_id)
        for index, phone in enumerate(self.people):
            sent = world.enqueue(self.number.instance_id, phone=phone)
            world.record(world.begun(sent), p_provider_message_id=f"P{tag}-{index}")

    def events(self) -> list[dict[str, Any]]:
        """In the order in which they happened: of each person two messages, and three receipts."""
        told: list[dict[str, Any]] = []
        for index, phone in enumerate(self.people):
            told += [status(self.number, name, f"P{self.tag}-{index}") for name in RECEIPTS]
            told += [
                message(
                    self.number,
                    f"texto {index} {part}",
                    phone=phone,
                    messageId=f"IN{self.tag}-{index}-{part}",
                )
                for part in range(2)
            ]
        return told

    def state(self, world: World) -> dict[str, Counter[Any]]:
        """What became of it all, without what only tells the sides apart."""
        queries = {
            "events": "select replace(event_key, %(tag)s, ''), kind from messaging.inbound_events"
            " where instance_id = %(number)s",
            "receipts": "select replace(provider_message_id, %(tag)s, ''), receipt, message_id is not null"
            " from messaging.receipts where instance_id = %(number)s",
            "deliveries": "select right(phone, 7), delivery_state from messaging.outbox"
            " where instance_id = %(number)s and purpose = 'direct'",
            "answers": "select right(phone, 7), content from messaging.outbox"
            " where instance_id = %(number)s and purpose = 'answer'",
            "history": "select right(p.phone, 7), m.role, m.content from public.messages as m"
            " inner join public.profiles as p on m.user_id = p.user_id"
            " where p.whatsapp_instance_id = %(number)s and m.role = 'user'",
        }
        values = {"tag": f"{self.tag}-", "number": self.number.instance_id}
        found = {}
        for name, query in queries.items():
            with world.connection.cursor() as cursor:
                cursor.execute(query.encode(), values)
                found[name] = Counter(str(row) for row in cursor.fetchall())
        return found


def post(client: httpx.Client, number: Number, events: Sequence[dict[str, Any]]) -> Counter[int]:
    """Eight at a time, in this order; how they were answered."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Counter(
            answer.status_code
            for answer in threads.map(lambda each: client.post(number.webhook, json=each), events)
        )


@pytest.mark.parametrize(
    "people",
    [
        pytest.param(20, id="small"),
        pytest.param(170, id="2500", marks=[pytest.mark.slow, pytest.mark.scoreboard("R11", tier="landing")]),
        pytest.param(
            1_380, id="20000", marks=[pytest.mark.slow, pytest.mark.scoreboard("R11", tier="nightly")]
        ),
    ],
)
def test_repeated_shuffled_and_lost_events_end_as_if_each_had_come_once_in_order(
    *, db: Database, connect: Connect, people: int
) -> None:
    """Each event comes one to five times, all are shuffled, 5 % never come, through the real gateway; what
    did come, once and in order, on a number beside it, ends in the same state. Nobody is answered twice, and
    every authentic event is answered with 200."""
    source, world = random.Random(11), World(connect())
    chaos, calm = Side(world, db, "A", people), Side(world, db, "B", people)
    pairs = [pair for pair in zip(chaos.events(), calm.events(), strict=True) if source.random() >= LOST]
    stormy = [event for event, _ in pairs for _ in range(source.randint(*COPIES))]
    source.shuffle(stormy)
    with serving(db, PATIENT) as client:
        answers = post(client, chaos.number, stormy) + post(client, calm.number, [one for _, one in pairs])
    duty = TurnDuty(db, PATIENT, structlog.get_logger(), FixedAgent())
    while duty.run_once("w"):
        pass

    print(f"{len(stormy)} events of {len(pairs)} that came; {dict(answers)}")
    assert answers == {200: len(stormy) + len(pairs)}
    found = chaos.state(world)
    assert found == calm.state(world)
    written = {str(one["phone"])[-7:] for one, _ in pairs if one["type"] == "ReceivedCallback"}
    assert len(written) == len({answer.split("'")[1] for answer in found["answers"]})
    assert set(found["answers"].values()) == {1}
