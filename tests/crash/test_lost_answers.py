"""The answer to our own COMMIT is lost: the caller may ask again, and nothing is sent that is not known to
have begun. With a single statement in autocommit the statement's own answer is the answer to its COMMIT."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from scripts.soak.judge import Verdict
from shared import outbox
from shared.db import Database
from shared.errors import DatabaseUnavailable
from tests.crash import soak
from tests.crash.database_proxy import DatabaseProxy, Plan, Trouble
from tests.crash.fleet import Fleet

TIERS = [
    pytest.param(20, id="20"),
    pytest.param(200, id="200", marks=[pytest.mark.slow, pytest.mark.scoreboard("R6", tier="landing")]),
]
NUMBERS = 120


@pytest.mark.parametrize("times", TIERS)
def test_an_enqueue_whose_answer_was_lost_is_repeated_without_a_second_row(
    *, database_url: str, proxy: DatabaseProxy, tmp_path: Path, times: int
) -> None:
    """Answers are lost after the commit; asked again with the same key, the caller gets the message that is
    there, and no request makes a second row."""
    with SimulatorProcess(log=tmp_path / "log", instances=1) as simulator:
        (number,) = soak.add_numbers(database_url, simulator)
    proxy.plans = [Plan(b'"enqueue_many"', "drop", times=times, every=2)]
    given: dict[str, int] = {}
    lost = 0
    with Database(proxy.url) as over_proxy:
        for text in soak.texts_of(2 * times):
            try:
                answer = _enqueue(over_proxy, number, text)
            except DatabaseUnavailable:
                lost += 1
                answer = _enqueue(over_proxy, number, text)
                assert not answer.created
            given[text] = answer.message_id
    stored = _rows(database_url, "select content ->> 'text', id from messaging.outbox")
    assert lost == times
    assert dict(stored) == given
    assert len(stored) == len(given)


@pytest.mark.parametrize("times", TIERS)
def test_what_is_not_known_to_have_begun_is_not_sent_and_an_outcome_is_recorded_again(
    *, db: Database, database_url: str, proxy: DatabaseProxy, tmp_path: Path, times: int
) -> None:
    """The answer to begin is lost: the worker does not send, and the message ends unknown, exactly as many as
    answers were lost. The answer to record is lost: the worker records again, and the message is accepted."""
    lost_begins = Plan(b'"begin_attempt"', "drop", times=times, every=3)
    lost_records = Plan(b'"record_attempt"', "drop", times=times, every=2)
    verdict, book = _run(
        db=db,
        database_url=database_url,
        proxy=proxy,
        folder=tmp_path,
        plans=[lost_begins, lost_records],
        messages=4 * times,
        # A worker asks again for so long and a little more, and a machine may stand still for seconds.
        send_timeout_s=8,
    )
    unknown = {text for (text,) in _rows(database_url, _UNKNOWN)}
    assert lost_begins.done == lost_records.done == len(unknown) == times
    assert lost_records.seen == len(book) + times
    assert unknown & set(book) == set()
    assert verdict.states == {"accepted": len(book), "unknown": times}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["truncate", "reset", "hang", "delay"])
def test_a_bad_line_to_the_database_sends_nothing_twice(
    *, db: Database, database_url: str, proxy: DatabaseProxy, tmp_path: Path, trouble: Trouble
) -> None:
    """Answers cut in half, silent, late, or statements that never arrive, at begin and at record: what is not
    known to have begun is not sent, and what was sent is sent once."""
    begins, records = (
        Plan(needle, trouble, times=4, every=5, seconds=0.3)
        for needle in (b'"begin_attempt"', b'"record_attempt"')
    )
    verdict, book = _run(
        db=db, database_url=database_url, proxy=proxy, folder=tmp_path, plans=[begins, records], messages=60
    )
    # A begin that never arrived is none, and a late answer is an answer.
    uncertain = begins.times if trouble in ("truncate", "hang") else 0
    assert begins.done == records.done == begins.times
    assert verdict.states["unknown"] == uncertain
    assert len(book) == verdict.states["accepted"] == 60 - uncertain


_UNKNOWN = "select content ->> 'text' from messaging.outbox where dispatch_state = 'unknown'"


def _run(
    *,
    db: Database,
    database_url: str,
    proxy: DatabaseProxy,
    folder: Path,
    plans: Sequence[Plan],
    messages: int,
    send_timeout_s: float = 2,
) -> tuple[Verdict, Counter[str]]:
    """Workers over the proxy until all has ended; the verdict, already checked, and what the provider has."""
    texts = soak.texts_of(messages)
    with SimulatorProcess(log=folder / "log", instances=NUMBERS) as simulator:
        instances = soak.add_numbers(database_url, simulator, send_timeout_s=send_timeout_s)
        proxy.plans = list(plans)
        with Fleet(proxy.url, simulator.base_url) as fleet:
            fleet.started(2)
            soak.enqueue_texts(db, instances, texts)
            soak.wait_until_ended(database_url, 120)
        verdict = soak.judge(database_url, simulator, texts, left_begun=sum(plan.times for plan in plans))
        book = Counter(line["text"] for line in simulator.accepted())
    verdict.check()
    return verdict, book


def _enqueue(db: Database, number: UUID, text: str) -> outbox.Enqueued:
    return outbox.enqueue(
        db,
        purpose="direct",
        phone="5511990000001",
        dedupe_key=f"direct:{text}",
        enqueued_by="crash test",
        text=text,
        instance_id=number,
    )


def _rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode()).fetchall()
