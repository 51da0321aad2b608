"""Payloads that nobody thought of: no function answers them with a 5xx, and authentic events are kept."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

from edge.functions import load_functions
from scripts.simulator.evolution.process import EvolutionSimulator
from shared.db import Database
from tests import identities
from tests.agency import ISSUER, Agency
from tests.database.world import Connect, World
from tests.edge.conftest import Logs
from tests.edge.evolution_events import listen
from tests.edge.gateway import FUNCTIONS, PERSON, SETTINGS, Number, message, serving, sign_up, status, stored
from tests.edge.mutations import EXAMPLES, TEXTS, VALUES, Known, Sent, examples, good, requests
from tests.edge.stripe_events import SECRET

# The pool behind the gateway draws its jitter from `random` in its own threads; the strategies do not.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

SLUGS = [each.slug for each in load_functions() if each.enabled]
# Together 5,000 over all functions, whatever their number.
EACH = -(-5000 // len(SLUGS))
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


@pytest.fixture
def client(db: Database, evolution: EvolutionSimulator, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a gateway that knows all keys; no request may end as an internal error."""
    keys = replace(
        SETTINGS,
        stripe_secret_key="sk_test",
        stripe_webhook_secret=SECRET,
        evolution_url=evolution.base_url,
        evolution_key=evolution.key,
        jwt_secret=identities.SECRET,
        auth_url=ISSUER,
    )
    with serving(db, keys) as client:
        yield client
    assert logs.named("request.failed") == []


@pytest.fixture
def everybody(connect: Connect, client: httpx.Client, agency: Agency, number: Number) -> Known:
    """A number, three active people on it, a meditation, an agency with a client whose number is connected:
    something for each function to do."""
    world = World(connect())
    people = [world.profile(phone, number.instance_id) for phone in (PERSON, "5511987650002", "12125550123")]
    world.rows(
        "update public.profiles set status = 'active', last_user_message_at = now() - interval '1 day'"
    )
    world.rows("insert into public.meditations (id, title, category) values ('sono', 'Sono', 'sono')")
    world.rows(
        "insert into public.meditation_audios (meditation_id, storage_path, public_url)"
        " values ('sono', 'sono', 'https://audio.example/sono.mp3')"
    )
    user_id = world.value("select user_id from public.profiles where id = %s", people[0])
    line = listen(client, agency, agency.clients[0], is_open=True)
    token = agency.authorization["authorization"].removeprefix("Bearer ")
    return Known(number, str(people[0]), str(user_id), line, token, str(agency.clients[0]))


def post(client: httpx.Client, sent: Sent) -> httpx.Response:
    """The request, as it is."""
    return client.post(f"{FUNCTIONS}/{sent.path}", content=sent.content, headers=sent.headers)


def no_request_fails(client: httpx.Client, sent: Sent) -> None:
    """An answer in JSON; below 500; a refusal says what to change."""
    answer = post(client, sent)
    told = answer.json()
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    assert isinstance(told, dict)
    assert answer.status_code == 200 or (isinstance(told["error"], str) and told["error"])


QUICK = settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=1500)
SHORT = settings(QUICK, max_examples=8)
SHARE = settings(QUICK, max_examples=EACH)


def test_there_is_a_good_request_for_every_function() -> None:
    """A function that is added later comes with its example, or takes what every cron function takes."""
    cron = {each.slug for each in load_functions() if each.caller == "cron"}
    assert set(SLUGS) - cron <= set(EXAMPLES) <= set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_good_requests_are_taken(client: httpx.Client, everybody: Known, slug: str) -> None:
    """So that what is mutated reaches the function, and not only its door."""
    for body in examples(slug, everybody):
        answer = post(client, good(slug, body, everybody))
        assert answer.status_code == 200, answer.text


@pytest.mark.scoreboard("S5", tier="commit")
@QUICK
@given(changed=changes())
def test_mutated_events_are_stored_or_refused_never_a_failure(
    client: httpx.Client, db: Database, known: Number, changed: dict[str, Any]
) -> None:
    """50 mutations of a good event; 1,500 below."""
    no_event_is_lost_or_breaks_anything(client, db, known, changed)


@pytest.mark.slow
@LONG
@given(changed=changes())
def test_mutated_events_at_length(
    client: httpx.Client, db: Database, known: Number, changed: dict[str, Any]
) -> None:
    """1,500 mutations of a good event; the functions together have 5,000 more."""
    no_event_is_lost_or_breaks_anything(client, db, known, changed)


@pytest.mark.parametrize("slug", SLUGS)
@SHORT
@given(data=st.data())
def test_a_mutated_request_is_answered(
    client: httpx.Client, everybody: Known, slug: str, data: DataObject
) -> None:
    """Eight requests to each function with body, bytes and headers changed."""
    no_request_fails(client, data.draw(requests(slug, everybody)))


@pytest.mark.slow
@pytest.mark.scoreboard("S5", tier="landing")
@pytest.mark.parametrize("slug", SLUGS)
@SHARE
@given(data=st.data())
def test_mutated_requests_at_length(
    client: httpx.Client, everybody: Known, slug: str, data: DataObject
) -> None:
    """5,000 over all functions; and afterwards the good ones are taken as before."""
    no_request_fails(client, data.draw(requests(slug, everybody)))


@pytest.mark.scoreboard("S5", tier="commit")
@QUICK
@given(noise=st.binary(max_size=300), at=st.integers(0, 400))
def test_events_with_bytes_overwritten_are_stored_or_refused(
    client: httpx.Client, number: Number, noise: bytes, at: int
) -> None:
    """50 good events with noise written over them."""
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
