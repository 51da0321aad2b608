"""The Evolution simulator's webhooks: what is said, in which order, to which address, with which headers, and
how often (evolution contract 6, Appendix B)."""

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import jwt
import pytest

from scripts.simulator.evolution.deliveries import NOT_RETRIED, pause_before
from scripts.simulator.evolution.settings import Options
from tests.contract.evolution_calls import OWN_PHONE, EvolutionCalls
from tests.contract.receiver import Receiver

KEY = "a-key-for-tokens-that-is-long-enough-for-hs256"


def _events(receiver: Receiver) -> list[str]:
    return [one.payload["event"] for one in receiver.posted]


def _set(evolution: EvolutionCalls, name: str, url: str, **fields: Any) -> dict[str, Any]:
    webhook = {"enabled": True, "url": url, "events": [], **fields}
    answer = evolution.ask("POST", f"/webhook/set/{name}", {"webhook": webhook})
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


@pytest.fixture
def two_receivers() -> Iterator[tuple[Receiver, Receiver]]:
    """Two addresses."""
    with Receiver() as first, Receiver() as second:
        yield first, second


def test_the_envelope_before_and_after_the_scan(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """`sender` is absent until connected; `apikey` is the instance's token, or null by the server's flag."""
    token = evolution.create("a", receiver.url)["hash"]
    evolution.ask("GET", "/instance/connect/a")
    evolution.quiet()
    assert all("sender" not in one.payload and one.payload["apikey"] == token for one in receiver.posted)

    evolution.control("options", expose_apikey=False)
    evolution.scan("a")
    evolution.quiet()
    last = receiver.posted[-1].payload
    assert (last["sender"], last["apikey"]) == (f"{OWN_PHONE}@s.whatsapp.net", None)


@pytest.mark.parametrize(
    ("ending", "path"),
    [
        ("", "/hook/connection-update"),
        ("/", "/hook//connection-update"),
        ("?tok=1", "/hook?tok=1/connection-update"),
    ],
)
def test_the_suffix_is_joined_as_text(
    ending: str, path: str, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """With byEvents the name is appended to the string, whatever it ends with; `destination` has none."""
    evolution.create("a")
    address = receiver.url + ending
    _set(evolution, "a", address, byEvents=True, events=["CONNECTION_UPDATE"])
    evolution.ask("GET", "/instance/connect/a")

    posted = receiver.wait_for(1)[0]
    assert posted.path == path
    assert posted.payload["destination"] == address


def test_only_what_is_subscribed(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """No other event is posted; nothing while disabled, nor to an address that is none."""
    evolution.create("a")
    _set(evolution, "a", receiver.url, events=["QRCODE_UPDATED"])
    evolution.ask("GET", "/instance/connect/a")
    evolution.quiet()
    assert _events(receiver) == ["qrcode.updated"]

    for url, enabled in ((receiver.url, False), ("", True), ("example.test/hook", True)):
        _set(evolution, "a", url, enabled=enabled, events=["QRCODE_UPDATED"])
        evolution.control("qr_turn", instance="a")
        evolution.quiet()
    assert _events(receiver) == ["qrcode.updated"]


@pytest.mark.parametrize(("profile", "count"), [("2.3.6", 31), ("2.3.7", 31), ("2.4.0", 32)])
def test_settings_are_merged(profile: str, count: int, evolution: EvolutionCalls) -> None:
    """Omitted keys keep their value, `headers: {}` clears, no events means all, disabled means none."""
    evolution.control("server", profile=profile)
    evolution.create("a")
    first = _set(evolution, "a", "http://127.0.0.1:9/x", headers={"x": "1"}, base64=True, events=["CALL"])
    second = _set(evolution, "a", "http://127.0.0.1:9/y", events=[])
    third = _set(evolution, "a", "", headers={}, enabled=False)

    assert first["events"] == ["CALL"]
    assert len(second["events"]) == count
    assert (second["headers"], second["webhookBase64"], second["id"]) == ({"x": "1"}, True, first["id"])
    assert (third["headers"], third["events"], third["enabled"]) == ({}, [], False)
    assert evolution.ask("GET", "/webhook/find/a").json() == third


def test_enabled_without_events__500(evolution: EvolutionCalls) -> None:
    """The real server trips over it."""
    evolution.create("a")
    body = {"webhook": {"enabled": True, "url": "http://127.0.0.1:9/x"}}
    answer = evolution.ask("POST", "/webhook/set/a", body)

    assert answer.status_code == 500
    text = "Cannot read properties of undefined (reading 'length')"
    assert answer.json()["response"]["message"] == text


def test_headers_and_the_token_of_the_event(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Configured headers arrive; `jwt_key` arrives as a signed bearer token and not by itself."""
    evolution.create("a")
    _set(evolution, "a", receiver.url, headers={"x-roleta-webhook": "secret", "jwt_key": KEY})
    evolution.ask("GET", "/instance/connect/a")

    headers = receiver.wait_for(1)[0].headers
    assert headers["x-roleta-webhook"] == "secret"
    assert "jwt_key" not in headers
    assert headers["user-agent"].startswith("axios/")
    bearer = headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(bearer, KEY, algorithms=["HS256"])
    assert jwt.get_unverified_header(bearer) == {"alg": "HS256", "typ": "JWT"}
    assert claims["exp"] - claims["iat"] == 600
    assert (claims["app"], claims["action"]) == ("evolution", "webhook")


@pytest.mark.parametrize(("profile", "described"), [("2.3.6", False), ("2.3.7", False), ("2.4.0", True)])
def test_describing_headers(
    profile: str, described: bool, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """2.4 alone says in headers whose event it is."""
    evolution.control("server", profile=profile)
    evolution.create("a", receiver.url)

    headers = receiver.wait_for(1)[0].headers
    assert (headers.get("x-event-type") == "instance.create") is described
    assert (headers.get("x-instance-name") == "a") is described


def test_a_failing_receiver_is_tried_ten_times(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """429 and 5xx are retried, each event by itself, with the same body and token; then it is lost."""
    evolution.control("server", speed=20_000)
    receiver.answers += [429, 500, 503, 408] * 5
    evolution.create("a")
    chosen = ["QRCODE_UPDATED", "CONNECTION_UPDATE"]
    _set(evolution, "a", receiver.url, headers={"jwt_key": KEY}, events=chosen)
    evolution.ask("GET", "/instance/connect/a")
    evolution.quiet()

    for name in ("connection.update", "qrcode.updated"):
        tried = [one for one in receiver.posted if one.payload["event"] == name]
        assert len(tried) == 10
        assert len({json.dumps(one.payload) + one.headers["authorization"] for one in tried}) == 1
    names = _events(receiver)
    assert names.index("qrcode.updated") < len(names) - 1 - names[::-1].index("connection.update")
    assert evolution.control("counters")["webhooks"]["given_up"] == 2


@pytest.mark.parametrize("refusal", sorted(NOT_RETRIED))
def test_a_refusal_is_not_retried(refusal: int, evolution: EvolutionCalls, receiver: Receiver) -> None:
    """400, 401, 403, 404 and 422 lose the event at once."""
    receiver.answers.append(refusal)
    evolution.create("a", receiver.url)
    evolution.quiet()

    assert len(receiver.posted) == 1
    assert {400, 401, 403, 404, 422} == NOT_RETRIED


def test_a_receiver_that_is_down_gets_it_later(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """A refused connection is retried, and does not slow the API's own answers."""
    evolution.control("server", speed=2_000)
    receiver.answers += [500, 500]
    evolution.create("a", receiver.url)

    assert [one.payload["event"] for one in receiver.wait_for(3)] == ["instance.create"] * 3
    evolution.quiet()
    assert len(receiver.posted) == 3


def test_the_waits_between_attempts() -> None:
    """5 s doubled each time up to 300 s, a fifth more or less, never under the first."""
    options, dice = Options(), random.Random(1)
    for attempt in range(1, 10):
        wanted = min(5.0 * 2 ** (attempt - 1), 300.0)
        for _ in range(50):
            pause = pause_before(attempt, options, dice)
            assert max(5.0, wanted * 0.8) <= pause <= wanted * 1.2


def test_webhooks_lost_doubled_late(
    evolution: EvolutionCalls, two_receivers: tuple[Receiver, Receiver]
) -> None:
    """The three ways in which they reach us otherwise."""
    first, second = two_receivers
    evolution.control("webhooks", mode="lost")
    evolution.create("lost", first.url)
    evolution.control("webhooks", mode="doubled")
    evolution.create("doubled", first.url)
    evolution.quiet()
    assert [one.payload["instance"] for one in first.posted] == ["doubled"] * 2
    assert first.posted[0].payload == first.posted[1].payload

    evolution.control("webhooks", mode="late", seconds=100)
    evolution.create("late", second.url)
    evolution.control("webhooks", mode="normal")
    evolution.ask("GET", "/instance/connect/late")
    second.wait_for(3)
    assert _events(second)[-1] == "instance.create"


def test_a_restart_of_the_server_loses_what_waits(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """The queue of retries is in memory only."""
    receiver.answers.append(500)
    evolution.create("a", receiver.url)
    receiver.wait_for(1)
    evolution.control("restart_server")
    evolution.quiet()

    assert len(receiver.posted) == 1
    assert evolution.state("a") == "close"


def test_events_of_one_moment_arrive_in_order(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """On a quiet network, though nothing promises it."""
    evolution.opened("a", receiver.url)
    receiver.posted.clear()
    ids = [
        evolution.control("inbound", instance="a", text=str(index), **{"from": "5511977770001"})["id"]
        for index in range(20)
    ]
    evolution.quiet()

    upserts = [one for one in receiver.posted if one.payload["event"] == "messages.upsert"]
    assert [one.payload["data"]["key"]["id"] for one in upserts] == ids
    times = [one.payload["date_time"] for one in receiver.posted]
    assert all(earlier <= later for earlier, later in pairwise(times))
