"""Where the keys come from: fetched when needed, kept, asked for anew, and what happens in between."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import clock
from shared.identity import Verifier
from shared.jwks import LARGEST, REFETCH_S, RETRY_S, AuthUnavailable
from shared.webhook_auth import Unauthorized
from tests.identities import USER, KeyServer, SigningKey, forged, key_server

KEY = SigningKey("key-1")
OTHER = SigningKey("key-2")


class Hands:
    """The monotonic clock in a test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = 1000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.moment)

    def pass_s(self, seconds: float) -> None:
        """So long later."""
        self.moment += seconds


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """An auth service that publishes KEY."""
    with key_server() as server:
        server.publish(KEY)
        yield server


@pytest.fixture
def verifier(keys: KeyServer) -> Iterator[Verifier]:
    """One that trusts it."""
    verifier = Verifier(keys.settings())
    yield verifier
    verifier.close()


@pytest.mark.scoreboard("S2", tier="commit")
def test_what_is_published_and_is_no_signing_key_is_passed_over(keys: KeyServer, verifier: Verifier) -> None:
    """A shared secret, an encryption key, a short or odd curve and nonsense do not stop the good key."""
    weak = SigningKey("weak")
    encryption = KEY.jwk | {"kid": "enc", "use": "enc"}
    secret = {
        "kty": "oct",
        "kid": "oct",
        "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA",
        "alg": "HS256",
    }
    odd = weak.jwk | {"kid": "odd", "alg": "ES512"}
    keys.document = {"keys": [None, 7, {}, {"kty": "EC", "kid": "half"}, secret, encryption, odd, KEY.jwk]}
    assert verifier.person(KEY.sign(keys.claims())).user_id == USER
    for token in (
        KEY.sign(keys.claims(), kid="enc"),
        weak.sign(keys.claims(), kid="odd"),
        forged({"alg": "HS256", "kid": "oct"}, keys.claims(), b"secret-secret-secret-secret-secret"),
    ):
        with pytest.raises(Unauthorized):
            verifier.person(token)


def test_two_keys_are_told_apart_by_their_ids(keys: KeyServer, verifier: Verifier) -> None:
    """While a new key comes into use, both are good, each under its own id."""
    keys.publish(KEY, OTHER)
    for key in (KEY, OTHER):
        assert verifier.person(key.sign(keys.claims())).user_id == USER
    with pytest.raises(Unauthorized):
        verifier.person(OTHER.sign(keys.claims(), kid="key-1"))
    assert keys.asked == 1


@pytest.mark.scoreboard("S2", tier="commit")
def test_a_new_key_is_found_by_its_id(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown id asks for the keys anew, at most once in 30 s however often it comes."""
    hands = Hands(monkeypatch)
    assert verifier.person(KEY.sign(keys.claims())).user_id == USER
    keys.publish(KEY, OTHER)
    hands.pass_s(REFETCH_S - 1)
    for _ in range(20):
        with pytest.raises(Unauthorized):
            verifier.person(OTHER.sign(keys.claims()))
    assert keys.asked == 1
    hands.pass_s(1)
    assert verifier.person(OTHER.sign(keys.claims())).user_id == USER
    assert keys.asked == 2
    for invented in range(20):
        with pytest.raises(Unauthorized):
            verifier.person(OTHER.sign(keys.claims(), kid=f"invented-{invented}"))
    assert keys.asked == 2


def test_a_key_that_was_taken_back_is_believed_ten_minutes_at_most(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known keys are asked for anew when they are old."""
    hands = Hands(monkeypatch)
    token = KEY.sign(keys.claims())
    assert verifier.person(token).user_id == USER
    keys.publish(OTHER)
    hands.pass_s(599)
    assert verifier.person(token).user_id == USER
    hands.pass_s(2)
    with pytest.raises(Unauthorized):
        verifier.person(token)


def test_an_auth_service_that_went_away_signs_nobody_out(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known stays known while it answers nothing good."""
    hands = Hands(monkeypatch)
    token = KEY.sign(keys.claims())
    assert verifier.person(token).user_id == USER
    keys.http_status = 503
    hands.pass_s(3600)
    assert verifier.person(token).user_id == USER
    assert verifier.person(token).user_id == USER
    assert keys.asked == 2


@pytest.mark.parametrize(
    "document",
    [b"<html>", b"[]", b'{"keys": 3}', b"", b'{"keys": [' + b" " * LARGEST + b"]}", b"[" * 100_000],
    ids=["a page", "a list", "no list", "nothing", "too much", "too deep"],
)
def test_keys_that_cannot_be_read__unavailable_and_asked_again_soon(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch, document: bytes
) -> None:
    """That says nothing about the token: it is not refused; two seconds later the keys are asked for anew."""
    hands = Hands(monkeypatch)
    good, keys.document = keys.document, document
    token = KEY.sign(keys.claims())
    for _ in range(3):
        with pytest.raises(AuthUnavailable):
            verifier.person(token)
    assert keys.asked == 1
    keys.document = good
    hands.pass_s(2)
    assert verifier.person(token).user_id == USER


def test_an_auth_service_that_hangs_holds_nobody_for_long(keys: KeyServer, verifier: Verifier) -> None:
    """One thread waits at most 5 s for the keys."""
    keys.hang.clear()
    begun = time.monotonic()
    with pytest.raises(AuthUnavailable):
        verifier.person(KEY.sign(keys.claims()))
    assert time.monotonic() - begun < 5


def test_a_crowd_at_an_auth_service_that_hangs_is_not_kept_one_behind_the_other(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The crowd waits for one answer, together; while the next one is asked for, by one, nobody else waits.
    Else the threads of a gateway would all stand here, and no webhook would be taken."""
    keys.hang.clear()
    token = KEY.sign(keys.claims())

    def tried(_: int) -> float:
        begun = time.monotonic()
        with pytest.raises(AuthUnavailable):
            verifier.person(token)
        return time.monotonic() - begun

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(tried, range(8))) < 4
        assert keys.asked == 1
        monkeypatch.setattr(clock, "monotonic", lambda: time.monotonic() + RETRY_S)
        assert sorted(pool.map(tried, range(8)))[-2] < 1
    assert keys.asked == 2


def test_known_keys_do_not_wait_for_a_fetch(
    keys: KeyServer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody's invented id asks for keys and the service hangs, everybody else goes on."""
    hands = Hands(monkeypatch)
    token = KEY.sign(keys.claims())
    verifier.person(token)
    hands.pass_s(REFETCH_S)
    keys.hang.clear()

    def invent() -> None:
        with pytest.raises(Unauthorized):
            verifier.person(OTHER.sign(keys.claims()))

    inventor = threading.Thread(target=invent)
    inventor.start()
    assert verifier.person(token).user_id == USER
    assert inventor.is_alive() or keys.asked == 2
    keys.hang.set()
    inventor.join(10)
