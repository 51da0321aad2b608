"""The worker's duty about drafts, with real composers over a real service: composed, fixed, withdrawn."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog

from shared import compose, log
from shared.agent import Agent, FixedAgent, from_settings
from shared.compose import COMPOSERS, Draft, DraftDuty, Verdict, composer
from shared.db import Calls, Database
from shared.errors import DatabaseUnavailable
from shared.settings import Settings
from shared.worker import DRAFTS_AT_ONCE, Worker
from tests.agent_server import AgentServer, agent_server, failing
from tests.database.drafts import CONTEXT, FIXED, draft, finish, follow_up, take, text_of
from tests.database.world import BentClock, World
from tests.waiting import eventually

Said = list[Mapping[str, Any]]
LINE = "Como vai a mudança?"


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """A service that writes the same line for everybody."""
    with agent_server() as running:
        running.say(LINE)
        yield running


@pytest.fixture
def said() -> Iterator[Said]:
    """What was logged, as it is before it is masked."""
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


@pytest.fixture
def agent(service: AgentServer) -> Iterator[Agent]:
    """The agent over that service."""
    made = from_settings(Settings(agent_url=service.url))
    yield made
    made.close()


@pytest.fixture
def duty(db: Database, agent: Agent, said: Said) -> DraftDuty:
    """The duty of a worker."""
    return DraftDuty(db, agent, log.get())


@pytest.fixture
def number(world: World) -> UUID:
    """A number without a pace."""
    return world.number(gap=(0, 0))


def _events(said: Said) -> list[str]:
    return [line["event"] for line in said]


def test_the_composers_that_exist_are_the_composers_that_are_known() -> None:
    """A new file joins the list, a name on the list has its file, and each can be called."""
    folder = Path(compose.__file__).parent / "composers"
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert files == COMPOSERS
    assert all(callable(composer(name)) for name in COMPOSERS)


@pytest.mark.parametrize("name", ["nobody", "__init__", "", "../worker", "weekly_report.os"])
def test_a_name_that_is_no_composer_imports_nothing(name: str) -> None:
    """What stands in the table chooses among our own composers only."""
    with pytest.raises(LookupError):
        composer(name)


def test_without_drafts_there_is_nothing_to_do(duty: DraftDuty, world: World) -> None:
    """An empty table, or one with queued messages only."""
    world.enqueue(world.number())
    assert duty.run_once("w") is False


def test_a_draft_is_composed_by_the_service(duty: DraftDuty, world: World, number: UUID, said: Said) -> None:
    """The line that the service wrote goes instead of the fixed one; the log holds neither."""
    message = follow_up(world, number)
    assert duty.run_once("w") is True
    assert (world.state(message), text_of(world, message)) == ("queued", LINE)
    assert world.message(message)["facts"] == {"context": CONTEXT}
    assert _events(said) == ["draft.composed"]
    assert LINE not in repr(said)
    assert duty.run_once("w") is False


def test_a_service_that_fails_leaves_the_fixed_text(
    duty: DraftDuty, service: AgentServer, *, world: World, number: UUID, said: Said
) -> None:
    """Once asked, not again: the person gets the fixed text in time rather than a better one late."""
    service.trouble = failing(500)
    message = follow_up(world, number)
    assert duty.run_once("w") is True
    assert (world.state(message), text_of(world, message)) == ("queued", FIXED)
    assert _events(said) == ["the agent failed", "draft.fixed"]
    assert len(service.requests) == 1


def test_an_agent_that_is_off_leaves_the_fixed_text(db: Database, world: World, number: UUID) -> None:
    """The default: everything goes, with the fixed texts."""
    messages = [follow_up(world, number) for _ in range(3)]
    duty = DraftDuty(db, FixedAgent(), log.get())
    assert [duty.run_once("w") for _ in range(4)] == [True, True, True, False]
    assert {text_of(world, message) for message in messages} == {FIXED}
    assert {world.state(message) for message in messages} == {"queued"}


def test_what_the_agent_would_not_say_is_withdrawn(
    duty: DraftDuty, service: AgentServer, *, world: World, number: UUID
) -> None:
    """SKIP: nothing is sent, and the reason stands in the message."""
    service.say("SKIP")
    message = follow_up(world, number)
    duty.run_once("w")
    row = world.message(message)
    assert row["dispatch_state"] == "withdrawn"
    assert row["reason"]


def test_a_composer_that_fails_leaves_the_fixed_text(
    db: Database, world: World, number: UUID, said: Said
) -> None:
    """A defect of ours is said in the log by kind and place, never in words that may be a person's; the
    message goes."""

    def broken(agent: Agent, db: Calls, draft: Draft) -> Verdict:
        raise ValueError("segredo")

    message = draft(world, number)
    DraftDuty(db, FixedAgent(), log.get(), composer_named=lambda name: broken).run_once("w")
    assert (world.state(message), text_of(world, message)) == ("queued", FIXED)
    failed = said[0]
    assert (failed["event"], failed["log_level"]) == ("a composer failed", "error")
    assert failed["message_id"] == message
    assert failed["why"].startswith("ValueError at broken:")
    assert "segredo" not in repr(said)


def test_an_unknown_composer_leaves_the_fixed_text(
    duty: DraftDuty, world: World, number: UUID, said: Said
) -> None:
    """Such as one of a newer version, met by an older worker."""
    message = draft(world, number, compose="from_the_future")
    duty.run_once("w")
    assert (world.state(message), text_of(world, message)) == ("queued", FIXED)
    assert _events(said) == ["a composer failed", "draft.fixed"]


def test_a_draft_that_loses_its_workers_goes_as_it_is(
    duty: DraftDuty, service: AgentServer, *, world: World, number: UUID, bent_clock: BentClock, said: Said
) -> None:
    """After three of them the fixed text goes, without another question: whatever it does to workers, it does
    it three times."""
    message = follow_up(world, number)
    for _ in range(3):
        assert len(take(world, lease_s=60)) == 1
        bent_clock.forward(61)
    duty.run_once("w")
    assert (world.state(message), text_of(world, message)) == ("queued", FIXED)
    assert service.requests == []
    assert "a draft lost its workers" in _events(said)


def test_a_draft_that_lost_two_workers_is_still_composed(
    duty: DraftDuty, world: World, number: UUID, bent_clock: BentClock
) -> None:
    """A worker may be lost by chance; the third one tries."""
    message = follow_up(world, number)
    for _ in range(2):
        assert len(take(world, lease_s=60)) == 1
        bent_clock.forward(61)
    duty.run_once("w")
    assert text_of(world, message) == LINE


def _in_the_background(duty: DraftDuty) -> tuple[threading.Thread, list[object]]:
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(duty.run_once("w"))
        except DatabaseUnavailable as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def test_a_draft_that_was_cancelled_meanwhile_stays_so(
    duty: DraftDuty, service: AgentServer, *, world: World, number: UUID, said: Said
) -> None:
    """The cancel comes while the service thinks: its text is thrown away."""
    message = follow_up(world, number)
    service.open.clear()
    thread, ended = _in_the_background(duty)
    eventually(lambda: service.questions, what="the question")
    world.cancel(message_id=message)
    service.open.set()
    thread.join(20)
    assert ended == [True]
    assert (world.state(message), text_of(world, message)) == ("withdrawn", FIXED)
    assert _events(said) == ["draft.lost"]


def test_a_slow_worker_does_not_overwrite_a_faster_one(
    duty: DraftDuty, service: AgentServer, *, world: World, number: UUID, bent_clock: BentClock, said: Said
) -> None:
    """Its lease was over, another worker composed the draft: that text stands."""
    message = follow_up(world, number)
    service.open.clear()
    thread, ended = _in_the_background(duty)
    eventually(lambda: service.questions, what="the question")
    bent_clock.forward(3600)
    (taken,) = take(world)
    assert finish(world, taken, "Do outro")
    service.open.set()
    thread.join(20)
    assert ended == [True]
    assert text_of(world, message) == "Do outro"
    assert _events(said) == ["draft.lost"]


def test_a_lease_lasts_for_every_question_that_a_composer_asks(
    db: Database, world: World, number: UUID, *, agent: Agent, service: AgentServer
) -> None:
    """Three slow answers fit into it: nobody composes the same draft beside a worker that is alive."""
    follow_up(world, number)
    service.open.clear()
    thread, _ = _in_the_background(DraftDuty(db, agent, log.get(), agent_timeout_s=120.0))
    eventually(lambda: service.questions, what="the question")
    lease_s = world.value(
        "select extract(epoch from compose_until - messaging.clock()) from messaging.outbox"
    )
    service.open.set()
    thread.join(20)
    assert 3 * 120 < lease_s <= 3 * 120 + 10


def test_a_database_that_goes_away_leaves_the_draft_to_its_lease(
    duty: DraftDuty, db: Database, *, service: AgentServer, world: World, number: UUID
) -> None:
    """Between the question and the storing: the error passes through, and the draft is composed again."""
    message = follow_up(world, number)
    service.open.clear()
    thread, ended = _in_the_background(duty)
    eventually(lambda: service.questions, what="the question")
    db.close()
    service.open.set()
    thread.join(20)
    assert [type(each) for each in ended] == [DatabaseUnavailable]
    assert world.state(message) == "draft"


def test_a_worker_composes_four_at_a_time(
    db: Database, service: AgentServer, *, world: World, number: UUID, said: Said
) -> None:
    """While the service thinks, four drafts are in hand and the others wait; then all are composed."""
    messages = [follow_up(world, number) for _ in range(DRAFTS_AT_ONCE + 2)]
    world.set_status(number, "paused")
    service.open.clear()
    stop = threading.Event()
    worker = Worker(db, Settings(agent_url=service.url), "w")
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: len(service.questions) == DRAFTS_AT_ONCE, what="four questions")
        waiting = world.value("select count(*) from messaging.outbox where compose_count = 0")
        service.open.set()
        eventually(lambda: {world.state(message) for message in messages} == {"queued"})
    finally:
        service.open.set()
        stop.set()
        thread.join(30)
    assert waiting == 2
    assert {text_of(world, message) for message in messages} == {LINE}
    assert len(service.questions) == len(messages)
