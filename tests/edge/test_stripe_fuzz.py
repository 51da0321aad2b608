"""Signed events that nobody thought of: an answer, never a failure; and bytes that only look signed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from shared.db import Database
from tests.edge.conftest import Logs
from tests.edge.gateway import PERSON, SETTINGS, Number, serving
from tests.edge.stripe_events import (
    CREATED,
    PATH,
    SECRET,
    checkout,
    deliver,
    signature,
    subscription,
    unpaid_invoice,
)

# The pool behind the gateway draws its jitter from `random` in its own threads; the strategies do not.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

TEXTS = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.sampled_from(
        ["", "\x00", "a\x00b", "\ud800", PERSON, "cs_1", "direcao", "unpaid", "x" * 5000, "{}", "∞", "1" * 60]
    ),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
VALUES: SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["id", "phone", "name", "metadata", "plan"])), inner, max_size=4
        ),
    ),
    max_leaves=10,
)
EVENTS = (
    checkout(),
    checkout("async_payment_failed"),
    subscription("deleted"),
    subscription("updated", "past_due"),
    subscription("resumed"),
    unpaid_invoice(),
)
OUTER = st.sampled_from(["id", "type", "created", "data", "object"])
INNER = st.sampled_from(
    ["id", "customer", "subscription", "metadata", "customer_details", "customer_email", "customer_phone",
     "payment_status", "mode", "status", "parent"]
)  # fmt: skip


@st.composite
def mutated(draw: DrawFn) -> Any:
    """A good event with some fields of it, or of its object, replaced by anything; now and then no event."""
    if draw(st.integers(0, 19)) == 0:
        return draw(VALUES)
    told = draw(st.sampled_from(EVENTS))
    told = told | {"created": draw(st.sampled_from([CREATED, CREATED + 60]))}
    told = told | {
        "data": {"object": told["data"]["object"] | draw(st.dictionaries(INNER, VALUES, max_size=4))}
    }
    if draw(st.booleans()):
        told = told | {"id": f"evt_{draw(st.integers(0, 10**9))}"}
    return told | draw(st.dictionaries(OUTER, VALUES, max_size=1))


@pytest.fixture
def client(db: Database, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a gateway that knows the keys of Stripe; no request may end as an internal error."""
    with serving(db, replace(SETTINGS, stripe_secret_key="sk", stripe_webhook_secret=SECRET)) as client:
        yield client
    assert logs.named("request.failed") == []


QUICK = settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=2000)


def is_answered(client: httpx.Client, told: object) -> None:
    """200 received, or a 400 that says why it is no event."""
    answer = deliver(client, told)
    assert answer.status_code in (200, 400), answer.text
    assert answer.json().get("received") is True or answer.json()["error"]


@QUICK
@given(told=mutated())
def test_signed_oddities_are_answered(client: httpx.Client, number: Number, told: object) -> None:
    """50 mutations of good events."""
    is_answered(client, told)


@pytest.mark.slow
@LONG
@given(told=mutated())
def test_signed_oddities_at_length(client: httpx.Client, number: Number, told: object) -> None:
    """2,000 mutations of good events."""
    is_answered(client, told)


@QUICK
@given(
    header=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=90)
)
def test_headers_of_noise_open_nothing(client: httpx.Client, number: Number, header: str) -> None:
    """50 headers that nobody signed."""
    body = json.dumps(EVENTS[0]).encode()
    sent = [(b"stripe-signature", header.strip().encode("latin-1"))]
    assert client.post(PATH, content=body, headers=sent).status_code == 400


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{}", b'{"id": "\xff"}', b"{}", b'{"type": ["checkout"]}', b'{"a": NaN}']
)
def test_signed_bytes_that_are_no_event_are_answered(
    client: httpx.Client, number: Number, body: bytes
) -> None:
    """Not UTF-8: nobody can have signed it. Otherwise nothing that concerns us."""
    answer = client.post(PATH, content=body, headers={"stripe-signature": signature(body)})
    assert answer.status_code == (400 if b"\xff" in body else 200)
