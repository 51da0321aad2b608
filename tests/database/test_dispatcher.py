"""What the dispatcher concludes when our own side fails around a send; whole runs are in tests/crash."""

from pathlib import Path

from scripts.simulator.instances import numbered
from scripts.simulator.process import SimulatorProcess
from shared import instances, outbox
from shared.db import Database
from shared.dispatcher import Dispatcher, ProviderFactory, Row
from shared.providers.base import AttemptReport, Content
from shared.providers.transport import open_http
from shared.providers.zapi import ZApiClient


class FailingAfterwards(ZApiClient):
    """The product's client with a defect: it falls over what the provider answered."""

    def send(self, phone: str, content: Content, *, deadline: float) -> AttemptReport:
        """The request is made all the same."""
        super().send(phone, content, deadline=deadline)
        raise KeyError("messageId")


def dispatched(db: Database, provider_for: ProviderFactory) -> Row:
    """What became of one message that a dispatcher with these clients took."""
    made = numbered(1)
    instances.add(
        db, "Aura #1", instances.Credentials(made["id"], made["token"], made["client_token"]), by="the test"
    )
    message = outbox.enqueue(
        db, purpose="direct", phone="5511980001234", dedupe_key="a", enqueued_by="the test", text="Oi"
    )
    dispatcher = Dispatcher(db, provider_for, worker="w1", max_in_flight=1)
    assert dispatcher.fill() == 1
    dispatcher.drain()
    return outbox.explain(db, message.message_id)


def test_a_client_that_fails_after_writing_leaves_an_unknown(db: Database, tmp_path: Path) -> None:
    """A defect of ours proves nothing about what left: the message did arrive, and must not go again."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator, open_http() as http:
        simulator.control("options", queue_interval_s=0)
        at = simulator.base_url
        found = dispatched(db, lambda row: FailingAfterwards.from_instance(row, base_url=at, http=http))
        assert len(simulator.accepted()) == 1

    assert found["dispatch_state"] == "unknown"
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["unknown"]
    assert "KeyError" in found["attempts"][0]["detail"]


def test_credentials_that_no_client_can_be_made_of_stop_the_number(db: Database) -> None:
    """Nothing was sent: the message waits, and somebody is told why."""

    def none_for(_row: Row) -> ZApiClient:
        raise ValueError("the credentials cannot be read")

    found = dispatched(db, none_for)

    assert found["dispatch_state"] == "queued"
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["not_sent"]
    assert [number.halted_reason for number in instances.every(db)] == ["credentials_unusable"]
