"""Signing in and making logins: whose login is taken, and what becomes of a service in trouble."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from scripts.local_auth import LocalAuth
from shared.errors import Conflict, InvalidInput, RoletaError, SettingsError
from shared.identity import Verifier
from shared.jwks import AuthUnavailable
from shared.logins import AuthAdmin
from shared.patience import MOST_WAITING
from shared.settings import Settings
from shared.sign_in import SessionEnded, SignIn, WrongCredentials
from tests.contract.scripted_server import Conversation, ScriptedServer

SERVICE_KEY = "service-key-of-the-test"
EMAIL, PASSWORD = "Gestora@Example.com", "a good password"
MANAGER = uuid4()


@pytest.fixture
def auth() -> Iterator[LocalAuth]:
    """A running sign-in with one manager."""
    with LocalAuth(anon_key="anon", service_key=SERVICE_KEY) as running:
        running.accounts.add(EMAIL, PASSWORD, MANAGER)
        yield running


@pytest.fixture
def settings(auth: LocalAuth) -> Settings:
    """Settings that lead to it."""
    return Settings(auth_url=auth.url, supabase_anon_key="anon", service_role_key=SERVICE_KEY)


@pytest.fixture
def sign_in(settings: Settings) -> Iterator[SignIn]:
    """The product's client."""
    client = SignIn(settings)
    yield client
    client.close()


@pytest.fixture
def admin(settings: Settings) -> Iterator[AuthAdmin]:
    """The product's maker of logins."""
    with AuthAdmin(settings) as client:
        yield client


@pytest.fixture
def verifier(settings: Settings) -> Iterator[Verifier]:
    """The product's check of tokens."""
    verifier = Verifier(settings)
    yield verifier
    verifier.close()


def test_logins_are_made_once_and_found_again(admin: AuthAdmin, sign_in: SignIn, verifier: Verifier) -> None:
    """The second time the first login, with the first password; letters of the e-mail do not matter."""
    agency = uuid4()
    made = admin.ensure("Cliente+1@example.com", "first password", agency)
    found = admin.ensure("cliente+1@EXAMPLE.com", "second password", agency)
    assert (made.is_new, found.is_new) == (True, False)
    assert made.user_id == found.user_id
    signed_in = sign_in.with_password("cliente+1@example.com", "first password")
    person = verifier.person(signed_in.access_token)
    assert person.user_id == made.user_id
    assert person.claims["app_metadata"]["agency_id"] == str(agency)


def test_a_login_that_is_somebody_else_s_is_not_taken(admin: AuthAdmin) -> None:
    """Neither a manager's own nor another agency's client's, and not for an e-mail that contains it."""
    admin.ensure("cliente@example.com", "a password", uuid4())
    for email in (EMAIL, "cliente@example.com"):
        with pytest.raises(Conflict, match="has a login already"):
            admin.ensure(email, "a password", uuid4())
    assert admin.ensure("liente@example.com", "a password", uuid4()).is_new


@pytest.mark.parametrize(
    ("email", "password", "field"), [("ana@example.com", "short", "password"), ("ana", "a password", "email")]
)
def test_what_the_service_does_not_take_is_named(
    admin: AuthAdmin, email: str, password: str, field: str
) -> None:
    """The field, never the value."""
    with pytest.raises(InvalidInput, match=f"^{field}: ") as refused:
        admin.ensure(email, password, uuid4())
    assert password not in str(refused.value)


def test_without_the_service_key_nobody_makes_logins(auth: LocalAuth, sign_in: SignIn) -> None:
    """Neither with another key nor with a person's token, nor where no key was set."""
    body = {"email": "ana@example.com", "password": "a password"}
    token = sign_in.with_password(EMAIL, PASSWORD).access_token
    for bearer, http_status in ((token, 403), ("another", 403), ("anon", 403), (None, 401)):
        headers = {"apikey": "anon"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
        answer = httpx.post(f"{auth.url}/admin/users", json=body, headers=headers)
        assert answer.status_code == http_status
        assert httpx.get(f"{auth.url}/admin/users", headers=headers).status_code == http_status
    with LocalAuth() as keyless, pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        AuthAdmin(Settings(auth_url=keyless.url, service_role_key="x")).ensure("a@b.c", "a password", uuid4())
    with pytest.raises(SettingsError, match="SUPABASE_SERVICE_ROLE_KEY"):
        AuthAdmin(Settings(auth_url=auth.url))


def test_signing_in_needs_its_settings() -> None:
    """The message names the variables."""
    nowhere = SignIn(Settings())
    assert not nowhere.is_configured
    with pytest.raises(SettingsError, match="SUPABASE_ANON_KEY"):
        nowhere.with_password(EMAIL, PASSWORD)
    nowhere.close()


def test_a_service_that_is_away__unavailable(auth: LocalAuth, settings: Settings) -> None:
    """For signing in, refreshing, signing out and making logins; no error holds what was sent."""
    auth.close()
    client, admin = SignIn(settings), AuthAdmin(settings)
    for ask in (
        lambda: client.with_password(EMAIL, PASSWORD),
        lambda: client.refresh("a-refresh-token"),
        lambda: client.end("an-access-token"),
        lambda: admin.ensure("ana@example.com", PASSWORD, uuid4()),
    ):
        with pytest.raises(AuthUnavailable) as away:
            ask()
        _holds_no_secret(away.value)
    client.close()
    admin.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b'{"access_token": "a-refresh-token"}',
        b'{"user": {"id": "a good password"}}',
    ],
)
@pytest.mark.parametrize("http_status", [200, 500, 503])
def test_answers_that_make_no_sense__unavailable(http_status: int, body: bytes) -> None:
    """Never a crash, and never an error with what was sent or answered."""

    def answer(conversation: Conversation) -> None:
        conversation.answer(http_status, body, {"Content-Type": "application/json"})

    with ScriptedServer(answer) as server:
        odd = Settings(
            auth_url=f"{server.base_url}/auth/v1", supabase_anon_key="anon", service_role_key="service"
        )
        client, admin = SignIn(odd), AuthAdmin(odd)
        for ask in (
            lambda: client.with_password(EMAIL, PASSWORD),
            lambda: client.refresh("a-refresh-token"),
            lambda: admin.ensure("ana@example.com", PASSWORD, uuid4()),
        ):
            with pytest.raises(RoletaError) as refused:
                ask()
            assert isinstance(refused.value, AuthUnavailable | SessionEnded | WrongCredentials)
            _holds_no_secret(refused.value)
        client.close()
        admin.close()


def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds; here after a fraction of one."""
    monkeypatch.setattr("shared.sign_in.TIMEOUT_S", 0.2)
    with ScriptedServer(lambda conversation: conversation.hang()) as server:
        client = SignIn(Settings(auth_url=f"{server.base_url}/auth/v1", supabase_anon_key="anon"))
        begun = time.monotonic()
        with pytest.raises(AuthUnavailable):
            client.with_password(EMAIL, PASSWORD)
        assert time.monotonic() - begun < 5
        client.close()


def test_a_crowd_that_signs_in_at_a_service_that_hangs_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may try to sign in: once the service was silent few wait for it, or the gateway would stand."""
    monkeypatch.setattr("shared.sign_in.TIMEOUT_S", 1.0)
    with ScriptedServer(lambda conversation: conversation.hang()) as server:
        client = SignIn(Settings(auth_url=f"{server.base_url}/auth/v1", supabase_anon_key="anon"))

        def tried(_: int) -> float:
            begun = time.monotonic()
            with pytest.raises(AuthUnavailable) as refused:
                client.with_password(EMAIL, PASSWORD)
            _holds_no_secret(refused.value)
            return time.monotonic() - begun

        tried(0)
        with ThreadPoolExecutor(8) as pool:
            waited = sorted(pool.map(tried, range(8)))
        client.close()
    assert max(waited[:-MOST_WAITING]) < 0.5, waited


def _holds_no_secret(error: BaseException) -> None:
    said = repr(error) + repr(error.__cause__)
    for secret in (EMAIL, PASSWORD, "a-refresh-token", "an-access-token"):
        assert secret not in said
    assert error.__suppress_context__ or error.__context__ is None
