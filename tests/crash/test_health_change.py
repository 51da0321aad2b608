"""A number that is lost in the middle of a run: it stops at once, its messages wait, it resumes by rule."""

from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.credentials import KeyRing
from shared.db import Database
from shared.dispatcher import Providers
from shared.health import HealthDuty
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.waiting import eventually

# The provider is told by `roleta instance add` not to queue for a number that is not connected.
NUMBERS = [{"id": f"number-{index}", "name": f"Number {index}"} | {"disable_enqueue_when_disconnected": True}
           for index in range(3)]  # fmt: skip
MESSAGES = 120


@pytest.mark.parametrize(
    ("fault", "fields", "expected"),
    [
        pytest.param(
            "disconnect",
            {"explicit": True},
            ("disconnected", None),
            id="disconnected",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "ban", {"kind": "full"}, ("disconnected", None), id="banned-by-whatsapp", marks=pytest.mark.slow
        ),
        pytest.param("lapse", {}, ("active", "subscription_lapsed"), id="lapsed", marks=pytest.mark.slow),
    ],
)
def test_nothing_begins_after_a_number_is_lost_and_its_messages_wait_for_it(
    *,
    db: Database,
    database_url: str,
    tmp_path: Path,
    fault: str,
    fields: dict[str, object],
    expected: tuple[str, str],
) -> None:
    """The refusal of one send stops its number for all workers: no attempt begins after that change is
    committed, no message is blamed, none moves to another number, and the others go on; made active again by
    a person, the number sends the rest once."""
    texts = soak.texts_of(MESSAGES)
    with SimulatorProcess(log=tmp_path / "log", instances=NUMBERS) as simulator:
        instances = soak.add_numbers(database_url, simulator, gaps_s=(0.05, 0.1))
        lost = instances[0]
        soak.enqueue_texts(db, instances, texts)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.started(3)
            eventually(partial(soak.has_accepted, simulator, 15), 30, "15 acceptances")
            simulator.control(fault, instance_id="number-0", **fields)
            eventually(lambda: _fitness(database_url, lost) == expected, 30, f"the number is {expected}")
            _wait_for_the_others(database_url, lost)
            waiting = _states_of(database_url, lost)
            if fault == "lapse":
                simulator.control("lapse", instance_id="number-0", lapsed=False)
            else:
                if fault == "ban":
                    simulator.control("ban", instance_id="number-0", kind=None)
                simulator.control("connect", instance_id="number-0")
            db.call("messaging.set_instance_status", p_instance_id=lost, p_status="active", p_by="test")
            soak.wait_until_ended(database_url, 60)
        verdict = soak.judge(database_url, simulator, texts)
        senders = {line["text"]: line["instance_id"] for line in simulator.accepted()}
    assert set(waiting) == {"accepted", "queued"}
    assert _begun_while_lost(database_url, lost) == 0
    assert verdict.states == {"accepted": MESSAGES}
    assert [senders[text] for text in texts] == [f"number-{index % 3}" for index in range(MESSAGES)]
    verdict.check()


@pytest.mark.slow
def test_a_ban_by_a_person_stops_the_number_from_the_next_begin_on(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """Banned by an operator while three workers send: no attempt begins after the ban is committed, the queue
    stays whole and on this number, and a provider that says "connected" does not undo a person's ban."""
    texts = soak.texts_of(MESSAGES)
    with SimulatorProcess(log=tmp_path / "log", instances=NUMBERS) as simulator:
        instances = soak.add_numbers(database_url, simulator, gaps_s=(0.02, 0.05))
        banned = instances[0]
        soak.enqueue_texts(db, instances, texts)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.started(3)
            eventually(partial(soak.has_accepted, simulator, 15), 30, "15 acceptances")
            db.call("messaging.set_instance_status", p_instance_id=banned, p_status="banned", p_by="test")
            assert _ask_health(db, simulator) == len(instances) - 1
            _wait_for_the_others(database_url, banned)
        verdict = soak.judge(database_url, simulator, texts)
    assert _fitness(database_url, banned) == ("banned", None)
    assert _begun_while_lost(database_url, banned) == 0
    assert set(_states_of(database_url, banned)) == {"accepted", "queued"}
    assert verdict.lost == verdict.duplicated == verdict.unexpected == verdict.findings == []


def test_the_health_poll_finds_a_lost_number_and_brings_it_back(
    *, db: Database, database_url: str, tmp_path: Path
) -> None:
    """Without any send or webhook: the poll sees that the phone is gone and holds the messages, sees that it
    is back and lets them go."""
    texts = soak.texts_of(5)
    with SimulatorProcess(log=tmp_path / "log", instances=NUMBERS[:1]) as simulator:
        (number,) = soak.add_numbers(database_url, simulator, gaps_s=(0.05, 0.1))
        simulator.control("disconnect", instance_id="number-0", explicit=True)
        _ask_health(db, simulator)
        assert _fitness(database_url, number) == ("disconnected", None)
        soak.enqueue_texts(db, [number], texts)
        assert db.call("messaging.claim", p_worker="nobody", p_limit=10) == []
        simulator.control("connect", instance_id="number-0")
        _ask_health(db, simulator)
        assert _fitness(database_url, number) == ("active", None)
        with Fleet(database_url, simulator.base_url) as fleet:
            fleet.start()
            final = soak.wait_until_ended(database_url, 30)
        verdict = soak.judge(database_url, simulator, texts)
    assert final == {"accepted": len(texts)}
    verdict.check()


def _ask_health(db: Database, simulator: SimulatorProcess) -> int:
    """One round of the poll over all numbers; how many were asked."""
    providers = Providers(zapi_base_url=simulator.base_url, max_connections=8, ring=KeyRing())
    try:
        return HealthDuty(db, providers, every_s=0).run_once()
    finally:
        providers.close()


def _fitness(database_url: str, instance: UUID) -> tuple[str, str | None]:
    with psycopg.connect(database_url) as connection:
        row: tuple[str, str | None] | None = connection.execute(
            "select status, halted_reason from public.whatsapp_instances where id = %s", [instance]
        ).fetchone()
    assert row is not None
    return row


def _states_of(database_url: str, instance: UUID) -> dict[str, int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select dispatch_state, count(*) from messaging.outbox where instance_id = %s group by 1",
            [instance],
        )
        return dict(rows.fetchall())


def _wait_for_the_others(database_url: str, lost: UUID) -> None:
    """Until every message of the other numbers has ended and nothing of the lost one is in flight."""

    def others_ended() -> bool:
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "select count(*) from messaging.outbox where dispatch_state in ('leased', 'sending')"
                " or (dispatch_state = 'queued' and instance_id <> %s)",
                [lost],
            ).fetchone()
        return row == (0,)

    eventually(others_ended, 60, "the other numbers' messages ended")


def _begun_while_lost(database_url: str, instance: UUID) -> int:
    """Attempts begun between the commit of a change to unfit and of the one back to fit.

    The history's time is taken under the sender's lock that every begin needs, so it tells exactly.
    """
    with psycopg.connect(database_url) as connection:
        changes: list[tuple[datetime, str]] = connection.execute(
            "select happened_at, change from messaging.instance_history"
            " where instance_id = %s and (change ~ '->' or change ~ '^halt') order by id",
            [instance],
        ).fetchall()
        assert changes, "the number was never lost"
        lost_at = changes[0][0]
        back_at = changes[1][0] if len(changes) > 1 else datetime.max.replace(tzinfo=lost_at.tzinfo)
        row = connection.execute(
            "select count(*) from messaging.attempts"
            " where instance_id = %s and begun_at > %s and begun_at < %s",
            [instance, lost_at, back_at],
        ).fetchone()
    assert row is not None
    return int(row[0])
