"""What the dispatcher concludes when our own side fails around a send; whole runs are in tests/crash."""

from pathlib import Path
from uuid import UUID

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


def add_number(db: Database, index: int) -> UUID:
    """The simulator's number `index`, from 1; the first is the default."""
    made = numbered(index)
    secrets = instances.Credentials(made["id"], made["token"], made["client_token"])
    return instances.add(db, f"Aura #{index}", secrets, by="the test")


def dispatched(db: Database, provider_for: ProviderFactory, instance_id: UUID | None = None) -> Row:
    """What became of one message (of this number, else of the default one) that a dispatcher with these
    clients took."""
    if instance_id is None:
        instance_id = add_number(db, 1)
    message = outbox.enqueue(
        db,
        purpose="direct",
        phone="5511980001234",
        dedupe_key="a",
        enqueued_by="the test",
        text="Oi",
        instance_id=instance_id,
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


def test_a_message_leaves_through_its_own_number(db: Database, tmp_path: Path) -> None:
    """With that number's credentials, whichever number is the default."""
    with SimulatorProcess(log=tmp_path / "log", instances=2) as simulator, open_http() as http:
        simulator.control("options", queue_interval_s=0)
        add_number(db, 1)
        second, at = add_number(db, 2), simulator.base_url
        found = dispatched(
            db, lambda row: ZApiClient.from_instance(row, base_url=at, http=http, timeout_s=5), second
        )
        assert [line["instance_id"] for line in simulator.accepted()] == [numbered(2)["id"]]

    assert found["dispatch_state"] == "accepted"
