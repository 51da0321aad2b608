"""The judge itself: each sin is seen, by the provider's book against our tables, and nothing else is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.process import SimulatorProcess
from scripts.soak.judge import BrokenPromise, Verdict
from shared.db import Database
from tests.crash import soak

TEXTS = soak.texts_of(4)


class Provider:
    """A provider whose book the test writes by hand, in the words of the real one."""

    def __init__(self, log: Path) -> None:
        self.process = SimulatorProcess(log=log)
        self.book = AcceptanceLog(log)

    def takes(self, text: str, number: str = "N") -> None:
        """One acceptance."""
        self.book.accept({"instance_id": number, "text": text, "messageId": f"M {text}"})


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    """An empty book; the process behind it is never started."""
    made = Provider(tmp_path / "book")
    yield made
    made.book.close()


@pytest.fixture
def number(db: Database) -> UUID:
    """A number with four messages queued."""
    added = db.call_one("messaging.add_instance", p_name="N", p_zapi_instance_id="I", p_zapi_token="t",
                        p_zapi_client_token="c", p_by="test")  # fmt: skip
    instance: UUID = added["add_instance"]
    db.call("messaging.set_gaps", p_instance_id=instance, p_gap_min_s=0, p_gap_max_s=0, p_by="test")
    soak.enqueue_texts(db, [instance], TEXTS)
    return instance


def _send(db: Database, provider: Provider, *, outcome: str = "accepted", taken: int = 1) -> str:
    """One message through claim, begin and record; the provider takes it `taken` times. Its text."""
    (leased,) = db.call("messaging.claim", p_worker="test", p_limit=1)
    begun = db.call_one("messaging.begin_attempt", p_message_id=leased["message_id"],
                        p_lease_token=leased["lease_token"], p_worker="test")  # fmt: skip
    text: str = begun["content"]["text"]
    for _ in range(taken):
        provider.takes(text)
    its_id = f"M {text}" if outcome == "accepted" else None
    db.call("messaging.record_attempt", p_attempt_id=begun["attempt_id"], p_outcome=outcome,
            p_provider_message_id=its_id)  # fmt: skip
    return text


def _verdict(database_url: str, provider: Provider, **expected: Any) -> Verdict:
    return soak.judge(database_url, provider.process, TEXTS, **expected)


@pytest.mark.usefixtures("number")
def test_what_both_agree_on_breaks_nothing(db: Database, database_url: str, provider: Provider) -> None:
    """Four sent, four in the book: every promise is kept."""
    for _ in TEXTS:
        _send(db, provider)
    verdict = _verdict(database_url, provider)
    verdict.check()
    assert (verdict.states, verdict.unknown_ever) == ({"accepted": 4}, 0)


@pytest.mark.usefixtures("number")
def test_each_sin_is_seen(db: Database, database_url: str, provider: Provider) -> None:
    """Accepted by our tables alone is lost; twice in the book is duplicated; in the book and queued in our
    tables, or known to nobody, is unexpected; what is queued at the end is stuck."""
    lost, doubled = _send(db, provider, taken=0), _send(db, provider, taken=2)
    queued = next(text for text in TEXTS if text not in (lost, doubled))
    provider.takes(queued)
    provider.takes("never enqueued")
    verdict = _verdict(database_url, provider)
    assert (verdict.lost, verdict.duplicated) == ([lost], [doubled])
    assert sorted(verdict.unexpected) == sorted([queued, "never enqueued"])
    assert verdict.stuck == 2
    with pytest.raises(BrokenPromise, match=r"1 lost: .*; 1 duplicated: .*; 2 unexpected: .*; 2 stuck"):
        verdict.check()


@pytest.mark.usefixtures("number")
def test_a_message_that_is_in_no_table_is_lost(db: Database, database_url: str, provider: Provider) -> None:
    """Enqueued by the caller's account, and nowhere to be found."""
    for _ in TEXTS:
        _send(db, provider)
    verdict = soak.judge(database_url, provider.process, [*TEXTS, "message 999999"])
    assert verdict.lost == ["message 999999"]


@pytest.mark.usefixtures("number")
def test_an_unknown_needs_a_reason(db: Database, database_url: str, provider: Provider) -> None:
    """One that the book has and one that it has not: both need an ambiguous fault, or an attempt that was
    left begun; one reason is too few."""
    _send(db, provider, outcome="unknown", taken=1)
    _send(db, provider, outcome="unknown", taken=0)
    for _ in range(2):
        _send(db, provider)
    provider.book.fault("hang", ambiguous=True, accepted=False, fields={})
    provider.book.fault("429", ambiguous=False, accepted=False, fields={})
    verdict = _verdict(database_url, provider)
    assert (verdict.unknown_ever, verdict.unknown_sent, verdict.unknown_limit) == (2, 1, 1)
    assert verdict.broken() == ["2 became unknown, with a reason for 1"]
    _verdict(database_url, provider, left_begun=1).check()


@pytest.mark.usefixtures("number")
@pytest.mark.parametrize("kind", ["DeliveryCallback", "ReceivedCallback"])
def test_an_unknown_that_was_recognisable_must_be_confirmed(
    db: Database, database_url: str, provider: Provider, kind: str
) -> None:
    """The provider told us that the API sent it, and our tables still do not know: one is one too many. Of
    what was not told nothing is asked."""
    told = _send(db, provider, outcome="unknown")
    _send(db, provider, outcome="unknown")
    for _ in range(2):
        _send(db, provider)
    provider.book.told({"messageId": f"M {told}", "kind": kind})
    verdict = _verdict(database_url, provider, left_begun=2)
    assert (verdict.told, verdict.recognisable, verdict.recognisable_confirmed) == (1, 1, 0)
    assert verdict.broken() == ["0 confirmed of 1 recognisable"]
    assert replace(verdict, confirmed=1, recognisable_confirmed=1).broken() == []


@pytest.mark.usefixtures("number")
def test_of_unknowns_with_any_receipt_99_of_100_must_be_confirmed(
    db: Database, database_url: str, provider: Provider
) -> None:
    """A status does not say who sent the message, so one may stay unknown; 11 of 1,000 are too many."""
    told = _send(db, provider, outcome="unknown")
    for _ in range(3):
        _send(db, provider)
    provider.book.told({"messageId": f"M {told}", "kind": "MessageStatusCallback"})
    verdict = _verdict(database_url, provider, left_begun=1)
    assert (verdict.told, verdict.told_confirmed, verdict.recognisable) == (1, 0, 0)
    assert verdict.broken() == []
    many = replace(verdict, told=1_000, told_confirmed=989)
    assert many.broken() == ["989 confirmed of 1000 unknowns with a receipt"]
    assert replace(many, told_confirmed=990).broken() == []


@pytest.mark.usefixtures("number")
def test_a_gap_that_is_too_short_is_seen_in_the_book(
    db: Database, database_url: str, provider: Provider
) -> None:
    """Of one number, whatever other numbers do meanwhile; a line that was cut by a death is not read."""
    for _ in TEXTS:
        _send(db, provider, taken=0)
    lines = [(10.0, "N", TEXTS[0]), (10.1, "other", TEXTS[1]), (12.0, "N", TEXTS[2]), (14.0, "N", TEXTS[3])]
    with provider.process.log.open("a") as book:
        for at, number, text in lines:
            entry = {"event": "accepted", "at": at, "instance_id": number, "text": text, "messageId": text}
            book.write(json.dumps(entry) + "\n")
        book.write('{"event": "accepted", "at": 14.1, "inst')
    verdict = _verdict(database_url, provider, promised_gap_s=2.5)
    assert verdict.smallest_gap_s == 2.0
    assert verdict.broken() == ["a gap of 2.0000 s where 2.5 s were promised"]
    _verdict(database_url, provider, promised_gap_s=2.0).check()
