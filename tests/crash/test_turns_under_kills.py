"""Workers killed with kill -9, or told to stop, while they answer people: everybody is answered, once."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from tests.agent_server import AgentServer, agent_server
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PEOPLE = 24
AT_ONCE = 4
EXIT_LIMIT_S = 10.0
_PEOPLE = """
    insert into public.profiles (user_id, name, phone, status)
    select gen_random_uuid(), 'Ana', '55119' || lpad(n::text, 8, '0'), 'active'
    from generate_series(1, %(people)s::integer) as n
"""
_THEY_WRITE = """
    select count(e.event_id) from public.profiles as p
    cross join lateral messaging.accept_event(
        %(instance)s, 'event ' || p.phone, 'message', '{}', p.phone, 'sou ' || right(p.phone, 6), 'text',
        p_debounce_s => 0
    ) as e
"""
_ANSWERS = """
    select o.phone, o.facts ->> 'text' from messaging.outbox as o where o.purpose = 'answer' order by o.phone
"""


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """A service that answers each person by what that person said."""
    with agent_server() as running:
        running.say(lambda asked: f"Oi, {asked.words[-6:]}.")
        yield running


def _settings(service: AgentServer) -> dict[str, str]:
    return {"ROLETA_AGENT_URL": service.url, "ROLETA_AGENT_TIMEOUT_S": "60", "ROLETA_REPLY_DEBOUNCE_S": "0"}


def _write(database_url: str, instance: UUID) -> None:
    """Everybody is there and writes one message."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_PEOPLE, {"people": PEOPLE})
        connection.execute(_THEY_WRITE, {"instance": instance})


def _rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def _end_leases(database_url: str) -> None:
    """As if the time of every turn in hand were over."""
    _rows(
        database_url,
        "update messaging.turns set ready_at = messaging.clock() where lease_token is not null returning 1",
    )


def _is_answered(database_url: str) -> bool:
    [(turns,)] = _rows(database_url, "select count(*) from messaging.turns")
    return turns == 0


def _check(database_url: str) -> None:
    """One answer each, to the right person, and every word in the history once."""
    answers = _rows(database_url, _ANSWERS)
    assert answers == [(f"55119{n:08d}", f"Oi, {n:06d}.") for n in range(1, PEOPLE + 1)]
    said = _rows(database_url, "select content from public.messages where role = 'user' order by content")
    assert said == [(f"sou {n:06d}",) for n in range(1, PEOPLE + 1)]


def test_kills_while_answering_leave_nobody_unanswered_and_answer_nobody_twice(
    *, database_url: str, tmp_path: Path, service: AgentServer
) -> None:
    """Three workers die one after the other with four answers in hand each; a fourth answers everybody."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator:
        [instance] = soak.add_numbers(database_url, simulator, send_timeout_s=2)
        _write(database_url, instance)
        with Fleet(database_url, simulator.base_url, _settings(service)) as fleet:
            for round_ in range(1, 4):
                service.open.clear()
                [worker] = fleet.started(1)
                eventually(
                    lambda round_=round_: len(service.questions) >= AT_ONCE * round_,  # type: ignore[misc]
                    30,
                    "answers in hand",
                )
                fleet.kill(worker)
                _end_leases(database_url)
            service.open.set()
            fleet.start()
            eventually(lambda: _is_answered(database_url), 60, "everybody answered")
            soak.wait_until_ended(database_url, 60)
    _check(database_url)


def test_worker_that_is_told_to_stop_waits_for_no_agent(
    *, database_url: str, tmp_path: Path, service: AgentServer
) -> None:
    """SIGTERM while the service is silent: it goes in time with 0, and what it had in hand is answered by the
    next worker, by the agent and not by the fixed text."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator:
        [instance] = soak.add_numbers(database_url, simulator, send_timeout_s=2)
        _write(database_url, instance)
        service.open.clear()
        with Fleet(database_url, simulator.base_url, _settings(service)) as fleet:
            [worker] = fleet.started(1)
            eventually(lambda: len(service.questions) == AT_ONCE, 30, "answers in hand")
            fleet.ask_to_stop(worker)
            assert fleet.wait_for_end(worker, EXIT_LIMIT_S) == 0
            assert _rows(database_url, _ANSWERS) == []
            _end_leases(database_url)
            service.open.set()
            fleet.start()
            eventually(lambda: _is_answered(database_url), 60, "everybody answered")
    _check(database_url)
