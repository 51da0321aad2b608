"""Payloads that nobody thought of: no function answers them with a 5xx, and authentic events are kept."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from shared.db import Database
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, Number, message, sign_up, status, stored

# The pool behind the gateway draws its jitter from `random` in its own threads; the strategies do not.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

TYPES = (
    "ReceivedCallback",
    "DeliveryCallback",
    "MessageStatusCallback",
    "ConnectedCallback",
    "DisconnectedCallback",
    "PresenceChatCallback",
)
FIELDS = (
    "type", "instanceId", "messageId", "zaapId", "phone", "connectedPhone", "fromMe", "isGroup", "isEdit",
    "momment", "status", "ids", "text", "audio", "image", "error", "errorCode", "notification", "token",
    "waitingMessage",
)  # fmt: skip
TEXTS = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.sampled_from(
        ["", "\x00", "\ud800", "5511987650001", "SENT", "READ", "x" * 5000, "-group", "@lid", "∞"]
    ),
)
VALUES: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(TEXTS, st.sampled_from(["message", "audioUrl", "caption"])), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@st.composite
def changes(draw: DrawFn) -> dict[str, Any]:
    """What is set in a good event: some known fields, some strange ones."""
    changed = draw(st.dictionaries(st.one_of(st.sampled_from(FIELDS), TEXTS), VALUES, max_size=5))
    return {"type": draw(st.sampled_from(TYPES))} | changed if draw(st.booleans()) else changed


@pytest.fixture
def known(client: httpx.Client, number: Number) -> Number:
    """The number, with the person of the payloads signed up."""
    sign_up(client)
    return number


def body_of(value: object) -> bytes:
    """JSON as a careless sender writes it: NaN, lone surrogates and NUL escapes included."""
    return json.dumps(value).encode()


def no_event_is_lost_or_breaks_anything(
    client: httpx.Client, db: Database, number: Number, changed: Any
) -> None:
    """One mutated event on the number's own path: stored and 200, or refused as another number's."""
    before = stored(db)["events"]
    payload = message(number) | changed
    answer = client.post(number.webhook, content=body_of(payload))
    authentic = payload.get("instanceId") == number.zapi_id
    assert answer.status_code == (200 if authentic else 401), answer.text
    if authentic and answer.json() != {"status": "ignored", "reason": "duplicate"}:
        assert stored(db)["events"] == before + 1


def no_function_fails(client: httpx.Client, body: object) -> None:
    """Any JSON at the functions for people and services: an answer, never a failure."""
    for slug in ("start-trial", "send-zapi-message"):
        answer = client.post(
            f"{FUNCTIONS}/{slug}", content=body_of(body), headers={"authorization": f"Bearer {SERVICE_KEY}"}
        )
        assert answer.status_code in (200, 400), answer.text
        assert answer.status_code == 200 or answer.json()["error"]


QUICK = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=3000)
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries({"name": TEXTS, "phone": TEXTS}, optional={"email": VALUES}),
    st.fixed_dictionaries(
        {"phone": st.just("5511987650001"), "message": TEXTS}, optional={"user_id": VALUES}
    ),
)


@QUICK
@given(changed=changes())
def test_mutated_events_are_stored_or_refused_never_a_failure(
    client: httpx.Client, db: Database, known: Number, changed: dict[str, Any]
) -> None:
    """300 mutations of a good event."""
    no_event_is_lost_or_breaks_anything(client, db, known, changed)


@pytest.mark.slow
@LONG
@given(changed=changes())
def test_mutated_events_at_length(
    client: httpx.Client, db: Database, known: Number, changed: dict[str, Any]
) -> None:
    """3,000 mutations of a good event."""
    no_event_is_lost_or_breaks_anything(client, db, known, changed)


@QUICK
@given(body=BODIES)
def test_any_json_at_the_functions_is_answered(client: httpx.Client, number: Number, body: object) -> None:
    """300 bodies that are JSON and little else."""
    no_function_fails(client, body)


@pytest.mark.slow
@LONG
@given(body=BODIES)
def test_any_json_at_the_functions_at_length(client: httpx.Client, number: Number, body: object) -> None:
    """3,000 bodies that are JSON and little else."""
    no_function_fails(client, body)


@QUICK
@given(noise=st.binary(max_size=300), at=st.integers(0, 400))
def test_events_with_bytes_overwritten_are_stored_or_refused(
    client: httpx.Client, number: Number, noise: bytes, at: int
) -> None:
    """300 good events with noise written over them."""
    good = body_of(status(number, "READ", "WA-1"))
    answer = client.post(number.webhook, content=good[:at] + noise + good[at + len(noise) :])
    assert answer.status_code in (200, 400, 401), answer.text


def test_known_person_is_still_served_after_odd_events(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Oddities leave nothing behind that stops a real message."""
    sign_up(client)
    oddities: list[dict[str, Any]] = [
        {"phone": {}},
        {"text": []},
        {"momment": -1},
        {"ids": [[]]},
        {"messageId": ""},
        {"type": None},
    ]
    for odd in oddities:
        client.post(number.webhook, content=body_of(message(number) | odd))
    assert client.post(number.webhook, json=message(number)).json()["status"] == "accepted"
