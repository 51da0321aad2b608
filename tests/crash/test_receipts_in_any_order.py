"""Receipts at a real gateway while workers send: early, shuffled or doubled, they end in the right state."""

from collections import Counter
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import webhook_auth
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.edge.gateway import serving
from tests.waiting import eventually

pytestmark = pytest.mark.slow

NUMBERS = 10


@pytest.mark.parametrize(
    ("mode", "messages"),
    [
        pytest.param("before_answer", 200),
        pytest.param("out_of_order", 200, marks=pytest.mark.slow),
        pytest.param("twice", 200, marks=pytest.mark.slow),
        pytest.param("before_answer", 1_000, id="issue-2", marks=pytest.mark.slow),
    ],
)
def test_every_receipt_is_applied_and_no_delivery_state_goes_back(
    *, db: Database, database_url: str, tmp_path: Path, mode: str, messages: int
) -> None:
    """Each message gets "sent", "received" and "read" from the provider's own webhooks, before the answer to
    its send, shuffled, or twice: in the end every one is read, each receipt stored once and applied."""
    texts = soak.texts_of(messages)
    tokens = [webhook_auth.new_token() for _ in range(NUMBERS)]
    with serving(db) as gateway:
        webhooks = f"{str(gateway.base_url).rstrip('/')}/functions/v1/webhook-zapi"
        numbers = [
            {"id": f"number-{index}", "name": f"Number {index}", "webhook_url": f"{webhooks}/{token}"}
            for index, token in enumerate(tokens)
        ]
        with SimulatorProcess(log=tmp_path / "log", instances=numbers) as simulator:
            simulator.control("receipts", mode=mode, until="READ", seed=5)
            simulator.control("options", queue_interval_s=0.01)
            instances = soak.add_numbers(database_url, simulator, send_timeout_s=10)
            for instance, token in zip(instances, tokens, strict=True):
                token_hash = webhook_auth.hash_token(token)
                db.call(
                    "messaging.set_webhook_token",
                    p_instance_id=instance,
                    p_token_hash=token_hash,
                    p_by="test",
                )
            with Fleet(database_url, simulator.base_url) as fleet:
                fleet.started(2)
                soak.enqueue_texts(db, instances, texts)
                soak.wait_until_ended(database_url, 120)
            expected = {"read": messages}
            eventually(lambda: _deliveries(database_url) == expected, 60, "every message is read")
            eventually(lambda: simulator.control("counters")["background_tasks"] == 0, 30, "no event is left")
            counters = simulator.control("counters")["webhooks"]
            verdict = soak.judge(database_url, simulator, texts)
    print(f"{mode}: webhooks {counters}")
    assert counters.get("failed", 0) == 0
    assert verdict.states == {"accepted": messages}
    assert _receipts(database_url) == {"sent": messages, "delivered": messages, "read": messages}
    verdict.check()


def _deliveries(database_url: str) -> Counter[str | None]:
    return _counts(database_url, "select delivery_state, count(*) from messaging.outbox group by 1")


def _receipts(database_url: str) -> Counter[str | None]:
    return _counts(
        database_url,
        "select receipt, count(*) from messaging.receipts where message_id is not null group by 1",
    )


def _counts(database_url: str, query: str) -> Counter[str | None]:
    with psycopg.connect(database_url) as connection:
        return Counter(dict(connection.execute(query.encode()).fetchall()))
