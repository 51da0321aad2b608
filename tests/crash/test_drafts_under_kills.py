"""Workers killed with kill -9, or told to stop, while they compose: no draft is lost, none is sent twice."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import outbox
from shared.db import Database
from tests.agent_server import AgentServer, Asked, agent_server
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually

pytestmark = pytest.mark.slow

DRAFTS = 120
# Longer than a kill takes, so that no living worker falls back on a fixed text meanwhile.
AGENT_TIMEOUT_S = 6.0
# Three times that, and ten seconds.
LEASE_S = 28.0
EXIT_LIMIT_S = 10.0
_PEOPLE = """
    with people as (
        insert into public.profiles (user_id, name, phone, status)
        select gen_random_uuid(), 'Ana', '55119' || lpad(n::text, 8, '0'), 'active'
        from generate_series(1, %(people)s::integer) as n
        returning id, user_id, phone
    ), said as (
        insert into public.messages (user_id, role, content)
        select p.user_id, 'user', 'assunto ' || right(p.phone, 6) from people as p
    )
    select id, phone from people order by phone
"""


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """A service that writes to each person about what that person said."""
    with agent_server() as running:
        running.say(_line)
        yield running


def _line(asked: Asked) -> str:
    about = asked.words.rpartition("assunto ")[2][:6]
    return f"Pensei no assunto {about}."


def _settings(service: AgentServer) -> dict[str, str]:
    return {"ROLETA_AGENT_URL": service.url, "ROLETA_AGENT_TIMEOUT_S": str(AGENT_TIMEOUT_S)}


def _enqueue_drafts(db: Database, database_url: str, instances: list[UUID]) -> list[str]:
    """A draft for each person; the texts that they should get."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        people = connection.execute(_PEOPLE, {"people": DRAFTS}).fetchall()
    outbox.enqueue_many(
        db,
        [
            outbox.NewMessage(
                purpose="direct",
                phone=phone,
                profile_id=profile_id,
                dedupe_key=f"draft:{phone}",
                enqueued_by="crash test",
                text=f"Fixo {phone[-6:]}.",
                compose="conversation_followup",
                facts={"context": "um contexto bem comprido"},
                instance_id=instances[index % len(instances)],
            )
            for index, (profile_id, phone) in enumerate(people)
        ],
    )
    return [f"Pensei no assunto {phone[-6:]}." for _, phone in people]


def _in_hand(database_url: str) -> int:
    """How many drafts workers have in hand."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from messaging.outbox where dispatch_state = 'draft' and compose_until > now()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _composed(database_url: str) -> int:
    return DRAFTS - soak.states(database_url)["draft"]


def _taken(database_url: str) -> int:
    """How often drafts were taken, all together."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select sum(compose_count) from messaging.outbox").fetchone()
    assert row is not None
    return int(row[0])


def test_kills_while_composing_lose_nothing_and_send_nothing_twice(
    *, db: Database, database_url: str, tmp_path: Path, service: AgentServer
) -> None:
    """Three workers, five kill -9 with drafts in hand: every person gets the composed text, once. What was in
    a dead worker's hand came back by its lease and was composed by another."""
    random_ = random.Random(7)
    with SimulatorProcess(log=tmp_path / "log", instances=8) as simulator:
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=2)
        texts = _enqueue_drafts(db, database_url, instances)
        left = 0
        with Fleet(database_url, simulator.base_url, _settings(service)) as fleet:
            fleet.start(3)
            for round_ in range(1, 6):
                eventually(
                    lambda round_=round_: _composed(database_url) >= round_ * DRAFTS // 8,  # type: ignore[misc]
                    60,
                    "drafts composed",
                )
                # Now nothing comes back from the service, so that whoever dies has drafts in hand.
                service.open.clear()
                eventually(lambda: _in_hand(database_url) >= 12, 30, "every worker with drafts in hand")
                left += len(fleet.kill(random_.choice(eventually(fleet.at_work, 60, "a worker at work"))))
                service.open.set()
                fleet.start()
            soak.wait_until_ended(database_url, 120)
        verdict = soak.judge(database_url, simulator, texts, left_begun=left)
        assert simulator.complaints() == ""
    taken = _taken(database_url)
    print(f"taken {taken} times for {DRAFTS} drafts")
    verdict.check()
    assert verdict.states["accepted"] + verdict.states["unknown"] == DRAFTS
    assert DRAFTS + 5 <= taken <= DRAFTS + 5 * 4


def test_a_worker_that_is_told_to_stop_does_not_wait_for_the_service(
    *, db: Database, database_url: str, tmp_path: Path, service: AgentServer
) -> None:
    """SIGTERM while the service is silent for longer than anyone waits: the worker goes in time with 0, its
    drafts stay drafts, not fixed texts, and the next worker composes every one of them."""
    patient = _settings(service) | {"ROLETA_AGENT_TIMEOUT_S": "60"}
    with SimulatorProcess(log=tmp_path / "log", instances=8) as simulator:
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=2)
        service.open.clear()
        texts = _enqueue_drafts(db, database_url, instances)
        with Fleet(database_url, simulator.base_url, patient) as fleet:
            (worker,) = fleet.started(1)
            eventually(lambda: len(service.questions) == 4, 30, "four questions")
            fleet.ask_to_stop(worker)
            asked_at = time.monotonic()
            assert fleet.wait_for_end(worker, EXIT_LIMIT_S) == 0
            print(f"stopped after {time.monotonic() - asked_at:.1f} s")
            assert soak.states(database_url) == {"draft": DRAFTS}
            service.open.set()
            # As if the leases were over: they are as long as this patience is.
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("update messaging.outbox set compose_until = now()")
            fleet.start()
            soak.wait_until_ended(database_url, 120)
        verdict = soak.judge(database_url, simulator, texts)
    verdict.check()
    assert verdict.states == {"accepted": DRAFTS}


def test_a_frozen_worker_that_wakes_up_changes_nothing(
    *, db: Database, database_url: str, tmp_path: Path, service: AgentServer
) -> None:
    """SIGSTOP with four drafts in hand until their lease is over and another worker has composed and sent
    them: what the first one brings afterwards is thrown away."""
    with SimulatorProcess(log=tmp_path / "log", instances=8) as simulator:
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=2)
        service.open.clear()
        texts = _enqueue_drafts(db, database_url, instances)
        with Fleet(database_url, simulator.base_url, _settings(service)) as fleet:
            (frozen,) = fleet.started(1)
            eventually(lambda: len(service.questions) == 4, 30, "four questions")
            fleet.freeze(frozen)
            service.open.set()
            fleet.start()
            soak.wait_until_ended(database_url, LEASE_S + 90)
            fleet.thaw(frozen)
            eventually(partial(_has_given_up, frozen.said), 30, "the frozen worker to give up four drafts")
        verdict = soak.judge(database_url, simulator, texts)
    verdict.check()
    assert verdict.states == {"accepted": DRAFTS}


def _has_given_up(said: object) -> bool:
    assert callable(said)
    return str(said()).count('"draft.lost"') == 4
