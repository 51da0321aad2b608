"""Who is believed at a webhook: one table for both providers over HTTP, and the work behind a refusal."""

import hmac
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared import webhook_auth
from shared.db import Database, Row
from shared.webhook_auth import Unauthorized
from tests.agency import Agency
from tests.edge.evolution_events import PATH, listen
from tests.edge.gateway import FUNCTIONS, add_number, message, stored

pytestmark = pytest.mark.scoreboard("S1", tier="commit")

BARE = f"{FUNCTIONS}/webhook-zapi"
METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Request:
    """What a provider sends: where, with which headers, and what."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Hooked:
    """One number of either provider as its webhook is used: secrets by their age, and how one is carried."""

    oldest: str
    previous: str
    present: str
    unclear: str
    foreign: str
    request: Callable[[str | None, str | None], Request]
    own_name: str
    foreign_name: str


def rotate(db: Database, instance_id: object) -> str:
    """A new secret for the number."""
    secret = webhook_auth.new_token()
    digest = webhook_auth.hash_token(secret)
    db.call("messaging.set_webhook_token", p_instance_id=instance_id, p_token_hash=digest, p_by="test")
    return secret


def tried(db: Database, instance_id: object) -> str:
    """A new secret of which the provider did not say whether it took it."""
    secret = webhook_auth.new_token()
    digest = webhook_auth.hash_token(secret)
    db.call("messaging.begin_webhook_rotation", p_instance_id=instance_id, p_token_hash=digest, p_by="test")
    return secret


def zapi(db: Database) -> Hooked:
    """Two numbers of the house, the first one rotated twice."""
    own, other = add_number(db), add_number(db, phone="5511987000002")

    def request(secret: str | None, name: str | None) -> Request:
        path = BARE if secret is None else f"{BARE}/{secret}"
        return Request(path, {}, message(own) | {"instanceId": name})

    previous, present = rotate(db, own.instance_id), rotate(db, own.instance_id)
    unclear = tried(db, own.instance_id)
    oldest, foreign = own.webhook_token, other.webhook_token
    return Hooked(oldest, previous, present, unclear, foreign, request, own.zapi_id, other.zapi_id)


def evolution(db: Database, http: httpx.Client, agency: Agency) -> Hooked:
    """Two clients of an agency, the first one's number rotated twice."""
    own, other = (listen(http, agency, client, is_open=True) for client in agency.clients)

    def request(secret: str | None, name: str | None) -> Request:
        headers = {} if secret is None else {"x-roleta-webhook": secret}
        return Request(PATH, headers, own.envelope(*own.said("oi")) | {"instance": name})

    previous, present = rotate(db, own.instance_id), rotate(db, own.instance_id)
    unclear = tried(db, own.instance_id)
    return Hooked(own.secret, previous, present, unclear, other.secret, request, own.name, other.name)


@pytest.fixture(params=["zapi", "evolution"])
def hooked(request: pytest.FixtureRequest, db: Database, client: httpx.Client, agency: Agency) -> Hooked:
    """A number of each provider."""
    return zapi(db) if request.param == "zapi" else evolution(db, client, agency)


def look_of(answer: httpx.Response) -> tuple[object, ...]:
    """Everything that whoever asks can see, but for the time and the request's own id."""
    own = ("date", "x-request-id")
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in own)
    return answer.status_code, answer.text, tuple(headers)


def test_what_the_provider_may_use_and_the_previous_secret_are_believed_and_no_other(
    client: httpx.Client, db: Database, hooked: Hooked
) -> None:
    """right, previous, unclear: taken. revoked (rotated twice), wrong, another number's, missing, and any of
    them with another number's name or none: the same 401, which stores nothing."""

    def post(secret: str | None, name: str | None) -> httpx.Response:
        request = hooked.request(secret, name)
        return client.post(request.path, content=json.dumps(request.body), headers=request.headers)

    for live in (hooked.present, hooked.previous, hooked.unclear):
        assert post(live, hooked.own_name).status_code == 200
    before, looks = stored(db), {}
    attempts: list[tuple[str, str | None, str | None]] = [
        ("revoked", hooked.oldest, hooked.own_name),
        ("wrong", webhook_auth.new_token(), hooked.own_name),
        ("cut", hooked.present[:-1], hooked.own_name),
        ("the hash", webhook_auth.hash_token(hooked.present).hex(), hooked.own_name),
        ("another's", hooked.foreign, hooked.own_name),
        ("missing", None, hooked.own_name),
        ("right, another's name", hooked.present, hooked.foreign_name),
        ("right, unknown name", hooked.present, "nobody"),
        ("right, no name", hooked.present, None),
        ("previous, another's name", hooked.previous, hooked.foreign_name),
        ("unclear, another's name", hooked.unclear, hooked.foreign_name),
        ("missing, unknown name", None, "nobody"),
    ]
    for what, secret, name in attempts:
        looks[what] = look_of(post(secret, name))
    assert {look[0] for look in looks.values()} == {401}
    assert len(set(looks.values())) == 1, looks
    assert stored(db) == before


@pytest.mark.parametrize("method", METHODS)
def test_another_method_tells_nothing_of_a_secret(client: httpx.Client, hooked: Hooked, method: str) -> None:
    """A right, a revoked and an unknown secret look alike to whoever does not post; none is looked up."""
    looks = set()
    for secret in (hooked.present, hooked.oldest, webhook_auth.new_token()):
        request = hooked.request(secret, hooked.own_name)
        looks.add(look_of(client.request(method, request.path, headers=request.headers)))
    assert len(looks) == 1 and next(iter(looks))[0] == 405


class Counted:
    """A database that counts the calls, and comparisons of secrets beside them."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._db = db
        self.calls = self.comparisons = 0

        def compare(one: bytes, other: bytes) -> bool:
            self.comparisons += 1
            return real(one, other)

        real = hmac.compare_digest
        monkeypatch.setattr(hmac, "compare_digest", compare)

    def call(self, function: str, /, **arguments: object) -> list[Row]:
        """Counted, then the database's own."""
        self.calls += 1
        return self._db.call(function, **arguments)

    def work_of(self, ask: Callable[[Any], object]) -> tuple[int, int, bool]:
        """Calls and comparisons of one question, and whether it was refused."""
        self.calls = self.comparisons = 0
        try:
            ask(self)
        except Unauthorized:
            return self.calls, self.comparisons, True
        return self.calls, self.comparisons, False


def test_every_refusal_costs_the_same_work(
    db: Database, client: httpx.Client, agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look-up, and as many comparisons for a number that exists as for none: no time tells them apart."""
    one, two = zapi(db), evolution(db, client, agency)
    counted = Counted(db, monkeypatch)
    for path, header, name in (
        (one.present, "wrong", one.own_name),
        (one.present, None, one.foreign_name),
        (one.present, "wrong", None),
        (one.oldest, None, one.own_name),
        (one.unclear, None, one.foreign_name),
        ("unknown", "x", one.own_name),
        (None, "wrong", one.own_name),
        (None, None, one.own_name),
        (None, "wrong", "nobody"),
    ):

        def ask_zapi(db: Any, path: Any = path, header: Any = header, name: Any = name) -> object:
            return webhook_auth.authenticate(db, path_token=path, header_token=header, claimed_instance=name)

        assert counted.work_of(ask_zapi) == (1, 2, True), (path, header, name)
    for header, name in (
        (two.present, two.foreign_name),
        (two.oldest, two.own_name),
        (two.unclear, two.foreign_name),
        ("unknown", two.own_name),
        (None, two.own_name),
        (two.foreign, None),
    ):

        def ask_evolution(db: Any, header: Any = header, name: Any = name) -> object:
            return webhook_auth.authenticate_connection(db, header_token=header, claimed_name=name)

        assert counted.work_of(ask_evolution) == (1, 1, True), (header, name)


def test_secrets_are_kept_as_hashes_and_compared_in_constant_time(db: Database) -> None:
    """What the database holds opens no webhook; one place compares, with hmac.compare_digest."""
    number = add_number(db)
    [row] = db.rows("select i::text as whole from public.whatsapp_instances as i")
    assert number.webhook_token not in row["whole"]
    assert webhook_auth.hash_token(number.webhook_token).hex() in row["whole"]
    assert "compare_digest" in inspect.getsource(webhook_auth.same_secret)
    assert "==" not in inspect.getsource(webhook_auth)


@pytest.mark.scoreboard("S2", tier="commit")
def test_a_token_in_authorization_is_no_proof(client: httpx.Client, hooked: Hooked) -> None:
    """Evolution could sign with a key of ours (contract 6); we set none, so whatever comes is nobody's word,
    and a right secret needs none."""
    for value in ("Bearer x", "Bearer eyJhbGciOiJub25lIn0.e30.", f"Bearer {hooked.present}"):
        without = hooked.request(None, hooked.own_name)
        answer = client.post(without.path, json=without.body, headers={"authorization": value})
        assert answer.status_code == 401
        beside = hooked.request(hooked.present, hooked.own_name)
        headers = beside.headers | {"authorization": value}
        assert client.post(beside.path, json=beside.body, headers=headers).status_code == 200
