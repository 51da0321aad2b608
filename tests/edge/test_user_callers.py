"""Functions for people: a token of the auth service opens them, with its person's rights and no others."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from edge.app import create_app
from edge.functions import load_functions
from shared.db import Database
from shared.errors import SettingsError
from shared.settings import Settings
from tests.agency import Agency, found_agency
from tests.edge.conftest import Logs
from tests.edge.gateway import FUNCTIONS, SERVICE_KEY, serving, stored
from tests.identities import SECRET, KeyServer, SigningKey, claims_of, forged, key_server

USERS = [each.slug for each in load_functions() if each.caller == "user"]
KEY, OTHER = SigningKey("key-1"), SigningKey("key-2")


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    """The auth service that the gateway trusts."""
    with key_server() as server:
        server.publish(KEY)
        yield server


@pytest.fixture
def people(db: Database, keys: KeyServer, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a gateway that trusts it."""
    settings = Settings(service_role_key=SERVICE_KEY, auth_url=keys.auth_url)
    with serving(db, settings) as client:
        yield client
    assert logs.named("request.failed") == []


@pytest.fixture
def agency(db: Database) -> Agency:
    """A manager with two clients."""
    return found_agency(db)


def bearer(keys: KeyServer, user_id: uuid.UUID) -> dict[str, str]:
    """The header of somebody who signed in."""
    return {"authorization": f"Bearer {KEY.sign(claims_of(user_id, keys.auth_url))}"}


def test_the_pages_functions_are_for_people() -> None:
    """What the agency's pages call asks who calls."""
    assert set(USERS) == {"evolution-whatsapp", "manage-clients"}


@pytest.mark.parametrize("slug", USERS)
@pytest.mark.parametrize("header", [None, ""])
def test_without_authorization__missing(people: httpx.Client, slug: str, header: str | None) -> None:
    """401 in the original's own words, before the body is read (functions 4.2)."""
    headers = {} if header is None else {"authorization": header}
    answer = people.post(f"{FUNCTIONS}/{slug}", content=b"no json", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "Missing authorization"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.scoreboard("S2", tier="commit")
@pytest.mark.parametrize("slug", USERS)
def test_a_token_that_is_not_good__unauthorized(
    people: httpx.Client, keys: KeyServer, db: Database, agency: Agency, slug: str
) -> None:
    """Forged, expired, of another audience, the service key itself: all alike, and nothing is stored."""
    claims = claims_of(agency.manager, keys.auth_url)
    before = stored(db)
    for given in (
        "Bearer",
        "Bearer x",
        f"Bearer {SERVICE_KEY}",
        f"Basic {KEY.sign(claims)}",
        f"Bearer {KEY.sign(claims)}x",
        f"Bearer {OTHER.sign(claims, kid='key-1')}",
        f"Bearer {KEY.sign(claims | {'aud': 'anon'})}",
        f"Bearer {KEY.sign(claims | {'role': 'service_role'})}",
        f"Bearer {KEY.sign(claims | {'exp': claims['iat'] - 60})}",
        f"Bearer {KEY.sign(claims | {'iss': 'http://another.test/auth/v1'})}",
        f"Bearer {forged({'alg': 'none'}, claims)}",
        f"Bearer {forged({'alg': 'HS256', 'kid': 'key-1'}, claims, KEY.public_pem)}",
        f"Bearer {forged({'alg': 'HS256'}, claims, SECRET.encode())}",
    ):
        for content in (b'{"action": "list"}', b"no json"):
            answer = people.post(f"{FUNCTIONS}/{slug}", content=content, headers={"authorization": given})
            assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"}), given
    assert stored(db) == before


@pytest.mark.parametrize("slug", USERS)
def test_somebody_who_manages_nothing__forbidden(
    people: httpx.Client, keys: KeyServer, agency: Agency, slug: str
) -> None:
    """A client of an agency, or anybody else who may sign in: 403."""
    body = {"action": "check-status" if slug == "evolution-whatsapp" else "list"}
    for user_id in (agency.clients[0], uuid.uuid4()):
        answer = people.post(f"{FUNCTIONS}/{slug}", json=body, headers=bearer(keys, user_id))
        assert answer.status_code == 403
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("slug", USERS)
def test_cors_as_for_all_functions(people: httpx.Client, slug: str) -> None:
    """A page of another origin may call: an empty answer with the headers that allow it (functions 0)."""
    answer = people.options(f"{FUNCTIONS}/{slug}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.scoreboard("S4", tier="commit")
def test_a_person_s_token_opens_no_service_function(
    people: httpx.Client, keys: KeyServer, agency: Agency
) -> None:
    """A manager is no service."""
    for each in load_functions():
        if each.caller in ("service", "cron"):
            answer = people.post(f"{FUNCTIONS}/{each.slug}", json={}, headers=bearer(keys, agency.manager))
            assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"}), each.slug


def test_while_the_auth_service_is_away__try_again(db: Database, agency: Agency, logs: Logs) -> None:
    """503 and when to come again: nobody is told that their token is bad."""
    with key_server() as gone:
        auth_url = gone.auth_url
        token = KEY.sign(claims_of(agency.manager, auth_url))
    with serving(db, Settings(auth_url=auth_url)) as client:
        answer = client.post(
            f"{FUNCTIONS}/manage-clients",
            json={"action": "list"},
            headers={"authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "sign-in service" in answer.json()["error"]
    assert token not in logs.text


def test_without_an_auth_service_nobody_is_let_in(db: Database, agency: Agency) -> None:
    """A gateway that was not told whom to trust trusts nobody; its other functions work."""
    with serving(db, Settings()) as client:
        token = KEY.sign(claims_of(agency.manager, "http://127.0.0.1:1/auth/v1"))
        answer = client.post(
            f"{FUNCTIONS}/manage-clients",
            json={"action": "list"},
            headers={"authorization": f"Bearer {token}"},
        )
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
        assert client.get("/healthz").status_code == 200


def test_a_secret_that_is_too_short_stops_the_gateway(unconnected: Database) -> None:
    """It says so at its start, not at the first forged token."""
    with pytest.raises(SettingsError, match="SUPABASE_JWT_SECRET"):
        create_app(unconnected, Settings(auth_url="http://127.0.0.1:1/auth/v1", jwt_secret="short"))


def test_no_token_is_logged(people: httpx.Client, keys: KeyServer, agency: Agency, logs: Logs) -> None:
    """Neither a good one nor a bad one, nor the e-mail in it."""
    good = bearer(keys, agency.manager)
    bad = {"authorization": good["authorization"][:-6] + "AAAAAA"}
    for headers in (good, bad):
        people.post(f"{FUNCTIONS}/manage-clients", json={"action": "list"}, headers=headers)
    token = good["authorization"].removeprefix("Bearer ")
    assert token[:-6] not in logs.text
    assert "gestora" not in logs.text


def test_a_token_in_a_crash_s_traceback_is_masked(db: Database, keys: KeyServer, logs: Logs) -> None:
    """Even an error that nobody foresaw leaves no token in the log."""
    token = KEY.sign(claims_of(uuid.uuid4(), keys.auth_url))

    class Broken:
        """A database whose every call fails with what it was given."""

        def call(self, function: str, /, **arguments: object) -> list[dict[str, object]]:
            raise RuntimeError(f"lost {token}")

        def call_one(self, function: str, /, **arguments: object) -> dict[str, object]:
            raise RuntimeError(f"lost {token}")

        def as_person(self, person: object, /) -> "Broken":
            return self

    with serving(Broken(), Settings(auth_url=keys.auth_url)) as client:  # type: ignore[arg-type]
        answer = client.post(
            f"{FUNCTIONS}/manage-clients",
            json={"action": "list"},
            headers={"authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 500
    assert logs.named("request.failed")
    assert token not in logs.text
