"""Keys rotated while workers send: nobody notices. The judge is the simulator's log on disk."""

import threading
from pathlib import Path

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import credentials, outbox, sealing
from shared.credentials import KeyRing, parse
from shared.db import Database
from tests.crash import soak
from tests.crash.fleet import Fleet
from tests.keys import entry
from tests.waiting import eventually

OLD, MIDDLE, NEW = entry("old", "o"), entry("middle", "m"), entry("new", "n")


def keys_in_use(db: Database) -> set[str | None]:
    """The ids under which credentials stand."""
    return {each.key_id for each in sealing.standing(db)}


def halted(url: str) -> list[tuple[str, str | None]]:
    """Every trace of a number that could not be sent with."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select i.name, coalesce(i.halted_reason, i.status) from public.whatsapp_instances as i"
            " where i.halted_reason is not null or i.status <> 'active' union all"
            " select 'an attempt', a.detail from messaging.attempts as a where a.outcome <> 'accepted'"
            " union all"
            " select 'in the past', h.change from messaging.instance_history as h where h.change ~ 'halted'"
        ).fetchall()


@pytest.mark.scoreboard("S10", tier="landing")
def test_rotating_keys_while_workers_send_halts_nothing(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    """Adopted in plain text, encrypted, then rotated to and fro by two at once, all while two workers send:
    every message is accepted once, no attempt fails, no number is halted, and the last ring opens all."""
    texts = soak.texts_of(400)
    both = f"{NEW},{MIDDLE},{OLD}"
    ring, back = parse(both), parse(f"{MIDDLE},{OLD},{NEW}")
    with SimulatorProcess(log=tmp_path / "log", instances=10) as simulator:
        instances = soak.add_numbers(database_url, simulator)
        soak.enqueue_texts(db, instances, texts[:100])
        settings = {"ROLETA_MAX_IN_FLIGHT": "4", credentials.VARIABLE: both}
        with Fleet(database_url, simulator.base_url, settings) as fleet:
            fleet.started(2)
            sealing.seal_plain(db, parse(OLD), told=lambda _: None)
            assert keys_in_use(db) == {"old"}
            # The rest only now, so that most leave while keys change.
            soak.enqueue_texts(db, instances, texts[100:], first_phone=100)
            rounds = _rotate_until_sent(db, (ring, back), simulator, len(texts))
            soak.wait_until_ended(database_url, 60)
            sealing.seal_anew(db, ring, told=lambda _: None)
            assert keys_in_use(db) == {"new"}
        verdict = soak.judge(database_url, simulator, texts)
    verdict.check()
    print(f"{rounds} rotations while {len(texts)} messages left")
    assert verdict.states == {"accepted": len(texts)}
    assert halted(database_url) == []
    assert rounds >= 4


def _rotate_until_sent(
    db: Database, rings: tuple[KeyRing, KeyRing], simulator: SimulatorProcess, messages: int
) -> int:
    """Two threads, each towards its own first key, until the simulator has everything; how many rotations."""
    rounds, over = [0, 0], threading.Event()

    def rotate(index: int) -> None:
        while not over.is_set():
            sealing.seal_anew(db, rings[index], told=lambda _: None)
            rounds[index] += 1

    threads = [threading.Thread(target=rotate, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: soak.has_accepted(simulator, messages), 60, "everything accepted")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return sum(rounds)


def test_a_worker_without_the_key_loses_nothing(db: Database, database_url: str, tmp_path: Path) -> None:
    """The wrong order: values under a key that the workers do not have. The number is halted and says which
    key is missing, the message goes back to its queue; a worker with the key sends it, once, and its health
    check lifts the halt."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator:
        [number] = soak.add_numbers(database_url, simulator)
        sealing.seal_plain(db, parse(NEW), told=lambda _: None)
        soak.enqueue_texts(db, [number], ["only once"])
        [message_id] = [row["id"] for row in db.rows("select id from messaging.outbox")]
        with Fleet(database_url, simulator.base_url, {credentials.VARIABLE: OLD}) as fleet:
            fleet.started(1)
            eventually(lambda: halted(database_url), 30, "the number halted")
            [worker] = fleet.running
            fleet.ask_to_stop(worker)
            assert fleet.wait_for_end(worker, 30) == 0
            assert "sealed with key new, which ROLETA_CREDENTIALS_KEYS does not have" in fleet.said()
        assert soak.states(database_url) == {"queued": 1}
        assert "credentials_unusable" in str(halted(database_url))
        assert "credentials_unusable" in str(outbox.explain(db, message_id))
        assert list(simulator.accepted()) == []
        with psycopg.connect(database_url, autocommit=True) as connection:
            # As if the five minutes that a halt lasts at least were over.
            connection.execute(
                "update public.whatsapp_instances set halted_at = halted_at - interval '6 min',"
                " last_health_check = null"
            )
        with Fleet(database_url, simulator.base_url, {credentials.VARIABLE: f"{NEW},{OLD}"}) as fleet:
            fleet.started(1)
            eventually(lambda: soak.has_accepted(simulator, 1), 30, "the message accepted")
            soak.wait_until_ended(database_url, 10)
        verdict = soak.judge(database_url, simulator, ["only once"])
    verdict.check()
    assert verdict.states == {"accepted": 1}
