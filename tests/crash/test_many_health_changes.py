"""Fifty numbers go down in the middle of a run, in every way that they can: each stops at once, for good."""

from datetime import datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared.db import Database
from tests.crash import soak
from tests.crash.database_proxy import DatabaseProxy, Plan
from tests.crash.fleet import Fleet
from tests.waiting import eventually

WAYS = ("ban", "pause", "disconnect", "halt")
# After the change was committed: what has the sender's lock when the change comes may begin before it.
_BEGUN_WHILE_LOST = "select count(*) from messaging.attempts where instance_id = %s and begun_at > %s"
_CHANGES = """
    select count(distinct instance_id) from messaging.instance_history
    where change ~ '->|^halt' and changed_by = 'test of health'
"""
_AT_ONCE = """
    select count(*) from messaging.attempts as one
    join messaging.attempts as two
        on two.instance_id = one.instance_id and two.id > one.id
        and two.begun_at < coalesce(one.ended_at, 'infinity')
"""


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(6, id="6-numbers", marks=pytest.mark.slow),
        pytest.param(
            50, id="50-numbers", marks=[pytest.mark.slow, pytest.mark.scoreboard("R13", tier="landing")]
        ),
    ],
)
def test_numbers_that_go_down_in_mid_run_begin_nothing_more_and_keep_their_own(
    *, db: Database, database_url: str, proxy: DatabaseProxy, tmp_path: Path, lost: int
) -> None:
    """Banned, paused, disconnected or halted while three workers send: 0 attempts begin after the change is
    committed, never two of a number are in flight, what was accepted stays with its number, what was not
    waits for it, and the numbers that are left send on."""
    numbers, each = lost + 5, 12
    texts = soak.texts_of(numbers * each)
    # Those that go down have more to send than any machine sends until it is their turn.
    more = soak.texts_of(lost * 5 * each, "of those that go down")
    with SimulatorProcess(log=tmp_path / "log", instances=numbers) as simulator:
        simulator.control("slow", seconds=0.05)
        instances = soak.add_numbers(database_url, simulator, gaps_s=(0.3, 0.5), send_timeout_s=5)
        own = {text: instances[index % numbers] for index, text in enumerate(texts)}
        own |= {text: instances[index % lost] for index, text in enumerate(more)}
        # What is leased begins a little later, as on a busy machine, and the changes fall into that time.
        proxy.plans = [Plan(b'"begin_attempt"', "late", times=len(own) * 10, seconds=0.3)]
        with Fleet(proxy.url, simulator.base_url) as fleet:
            fleet.started(3)
            soak.enqueue_texts(db, instances, texts)
            soak.enqueue_texts(db, instances[:lost], more, first_phone=len(texts))
            eventually(partial(soak.has_accepted, simulator, numbers), 60, "the run is under way")
            ways = dict(
                zip(instances[:lost], zip(simulator.instances(), cycle(WAYS), strict=False), strict=False)
            )
            gone: dict[UUID, datetime] = {}
            while ways:
                leased = eventually(partial(_leased, database_url, list(ways)), 30, "leases not begun")
                for instance in leased[:4]:  # then look again: these few are changed before they begin
                    number, how = ways.pop(instance)
                    _lose(db, simulator, instance, number["id"], how)
                    gone[instance] = _now(database_url)
            eventually(lambda: _rest(database_url, instances[lost:]) == 0, 120, "the others have sent all")
            refused = fleet.said().count("the number may not send now")
        verdict = soak.judge(database_url, simulator, [*texts, *more])
        senders = {line["text"]: line["instance_id"] for line in simulator.accepted()}
        names = {number["id"]: number["name"] for number in simulator.instances()}
    print(f"{lost} numbers lost, {refused} begins refused")
    assert refused >= lost // 3, "the changes came between no lease and its begin"
    assert _count(database_url, _CHANGES) == lost
    assert [_count(database_url, _BEGUN_WHILE_LOST, *each) for each in gone.items()] == [0] * lost
    assert _count(database_url, _AT_ONCE) == 0
    assert _homes(database_url) == own
    assert {text: names[sender] for text, sender in senders.items()} == {
        text: _name(database_url, own[text]) for text in senders
    }
    assert set(verdict.states) == {"accepted", "queued"}
    assert verdict.states["queued"] >= lost
    assert verdict.lost == verdict.duplicated == verdict.unexpected == verdict.findings == []


def _lose(db: Database, simulator: SimulatorProcess, instance: UUID, its_id: str, how: str) -> None:
    """In our tables first, then at the provider, which the workers ask too."""
    by = {"p_instance_id": instance, "p_by": "test of health"}
    if how == "disconnect":
        db.call("messaging.record_health", p_connected=False, **by)
        simulator.control("disconnect", instance_id=its_id, explicit=True)
    elif how == "halt":
        db.call("messaging.record_health", p_connected=None, p_refusal="subscription_lapsed", **by)
        simulator.control("lapse", instance_id=its_id)
    else:
        db.call("messaging.set_instance_status", p_status={"ban": "banned", "pause": "paused"}[how], **by)


def _now(database_url: str) -> datetime:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select messaging.clock()").fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def _leased(database_url: str, instances: list[UUID]) -> list[UUID]:
    with psycopg.connect(database_url) as connection:
        query = (
            "select distinct instance_id from messaging.outbox"
            " where dispatch_state = 'leased' and instance_id = any(%s)"
        )
        return [instance for (instance,) in connection.execute(query, [instances]).fetchall()]


def _rest(database_url: str, others: list[UUID]) -> int:
    return _count(
        database_url,
        "select count(*) from messaging.outbox where dispatch_state in ('leased', 'sending')"
        " or (dispatch_state = 'queued' and instance_id = any(%s))",
        others,
    )


def _count(database_url: str, query: str, *parameters: object) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None
    return int(row[0])


def _homes(database_url: str) -> dict[str, UUID]:
    with psycopg.connect(database_url) as connection:
        query = "select content ->> 'text', instance_id from messaging.outbox"
        return dict(connection.execute(query).fetchall())


def _name(database_url: str, instance: UUID) -> str:
    with psycopg.connect(database_url) as connection:
        query = "select name from public.whatsapp_instances where id = %s"
        row = connection.execute(query, [instance]).fetchone()
    assert row is not None
    return str(row[0])
