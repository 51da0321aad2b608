"""The classification of reliability.md 2 is whole: each of its rows has cases, for each provider that it
names, and they end in the outcome that the row names. The cases themselves run in the neighbouring files."""

from dataclasses import dataclass

import pytest

from shared.providers.base import Outcome
from tests.contract import test_transport_faults, test_zapi_receipts
from tests.contract.adapters import ADAPTERS, Adapter, Answered

pytestmark = pytest.mark.scoreboard("R14", tier="commit")

A, R, N, U = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNKNOWN
BOTH, ZAPI, EVOLUTION = ("zapi", "evolution"), ("zapi",), ("evolution",)


@dataclass(frozen=True)
class Row:
    """One kind of answer of the table. `halts`: whether the number is stopped, None where that differs."""

    outcome: Outcome
    http_statuses: tuple[int, ...]
    providers: tuple[str, ...] = BOTH
    has_id: bool = False
    halts: bool | None = False

    def means(self, answer: Answered) -> bool:
        """Whether this case is one of the row's."""
        return (
            answer.outcome is self.outcome
            and answer.http_status in self.http_statuses
            and (answer.message_id is not None) == self.has_id
            and self.halts in (None, answer.halt_reason is not None)
        )


ANSWERS = {
    "2xx with a message id": Row(A, (200, 201), has_id=True),
    "a refusal of this message, before any send": Row(R, (400,)),
    "a wrong verb": Row(R, (405,), ZAPI),
    "a wrong content type": Row(R, (415,), ZAPI),
    "the account, 400": Row(N, (400,), ZAPI, halts=True),
    "the account, 401": Row(N, (401,), halts=True),
    "the account, 403": Row(N, (403,), halts=True),
    "an unknown instance": Row(N, (404,), halts=True),
    "2xx that is not JSON or has no id": Row(U, (200, 201)),
    "408": Row(U, (408,)),
    "500": Row(U, (500,)),
    "502": Row(U, (502,)),
    "503": Row(U, (503,)),
    "504": Row(U, (504,)),
    "any other 400": Row(U, (400,)),
    "429": Row(N, (429,)),
}
BEFORE_WRITING = {
    "ConnectError": test_transport_faults.test_nobody_listens__not_sent,
    "ConnectTimeout": test_transport_faults.test_nobody_accepts_the_connection__not_sent,
    "PoolTimeout": test_transport_faults.test_no_free_connection__not_sent,
    "our own deadline": test_transport_faults.test_a_deadline_that_has_passed__not_sent,
}


@pytest.mark.parametrize("row", ANSWERS)
def test_each_answer_of_the_table_has_a_case(row: str) -> None:
    """For each provider that the row speaks of."""
    meant = ANSWERS[row]
    for provider in meant.providers:
        assert [answer.name for answer in _adapter(provider).answers if meant.means(answer)] != []


def test_every_status_that_is_no_refusal_ends_unknown() -> None:
    """The default arm: accepted is 2xx alone, rejected and not_sent are the statuses that the table names."""
    certain = {
        (answer.outcome, answer.http_status)
        for adapter in ADAPTERS
        for answer in adapter.answers
        if answer.outcome is not U
    }
    assert {status for outcome, status in certain if outcome is A} == {200, 201}
    assert {status for outcome, status in certain if outcome is R} <= {200, 400, 404, 405, 415}
    assert {status for outcome, status in certain if outcome is N} <= {200, 400, 401, 403, 404, 429, 503}


def test_the_wire_has_its_cases() -> None:
    """Before the first byte four, after it at least the 22 that the scoreboard asks for."""
    assert len(set(BEFORE_WRITING.values())) == 4
    assert len(test_transport_faults.AFTER_WRITING) >= 22


def test_a_delivery_error_settles_only_where_it_is_definite() -> None:
    """The two texts that leave the outcome open are among the cases."""
    errors = dict(test_zapi_receipts.ERRORS)
    assert errors["Timeout on send message"] == errors["Error on send message"] == "transient"


def _adapter(name: str) -> Adapter:
    (found,) = [adapter for adapter in ADAPTERS if adapter.name == name]
    return found
