"""The local sign-in, asked through the product's own client and verifier: what of Supabase Auth they need."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from scripts.local_accounts import REUSE_S, TRIES_WINDOW_S, Accounts, Refused
from scripts.local_auth import LARGEST_BODY, LocalAuth
from shared.identity import Verifier
from shared.jwks import AuthUnavailable
from shared.settings import Settings
from shared.sign_in import SessionEnded, SignIn, TokenRefused, TooManyTries, WrongCredentials
from shared.webhook_auth import Unauthorized

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
def verifier(settings: Settings) -> Iterator[Verifier]:
    """The product's check of tokens."""
    verifier = Verifier(settings)
    yield verifier
    verifier.close()


def test_who_signs_in_is_believed(sign_in: SignIn, verifier: Verifier) -> None:
    """The right password, the e-mail in any letters: an access token that our verifier takes."""
    signed_in = sign_in.with_password(f"  {EMAIL.upper()} ", PASSWORD)
    person = verifier.person(signed_in.access_token)
    assert (signed_in.user_id, person.user_id) == (MANAGER, MANAGER)
    assert person.email == signed_in.email == EMAIL.lower()
    assert timedelta(minutes=59) < signed_in.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    for secret in (signed_in.access_token, signed_in.refresh_token, EMAIL.lower()):
        assert secret not in repr(signed_in)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "a wrong password"),
        (EMAIL, PASSWORD.upper()),
        ("nobody@example.com", PASSWORD),
        ("no e-mail", PASSWORD),
        ("", PASSWORD),
        (EMAIL, ""),
        ("   ", PASSWORD),
        (EMAIL, "\ud800"),
    ],
)
def test_wrong_credentials_are_all_the_same(sign_in: SignIn, email: str, password: str) -> None:
    """Nobody learns whether the e-mail or the password was wrong, nor reads either in the error."""
    with pytest.raises(WrongCredentials) as refused:
        sign_in.with_password(email, password)
    assert password not in str(refused.value) or not password
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_five_wrong_tries_a_minute_are_all(auth: LocalAuth, sign_in: SignIn) -> None:
    """After them even the right password is refused, else a try would still tell; others sign in."""
    auth.accounts.add("other@example.com", PASSWORD)
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            sign_in.with_password(EMAIL, "a guess")
    for password in ("a guess", PASSWORD):
        with pytest.raises(TooManyTries):
            sign_in.with_password(EMAIL, password)
    assert sign_in.with_password("other@example.com", PASSWORD)


def test_guessing_rests_a_minute() -> None:
    """Then the right password works again."""
    moment = [0.0]
    accounts = Accounts("http://127.0.0.1:1/auth/v1", lambda: moment[0])
    accounts.add(EMAIL, PASSWORD)
    for _ in range(6):
        with pytest.raises(Refused):
            accounts.sign_in(EMAIL, "a guess")
    moment[0] = TRIES_WINDOW_S - 1
    with pytest.raises(Refused) as refused:
        accounts.sign_in(EMAIL, PASSWORD)
    assert refused.value.http_status == 429
    moment[0] = TRIES_WINDOW_S
    assert accounts.sign_in(EMAIL, PASSWORD)["token_type"] == "bearer"


def test_refreshing_gives_new_tokens_once(sign_in: SignIn, verifier: Verifier) -> None:
    """The next pair is another pair, of the same person."""
    first = sign_in.with_password(EMAIL, PASSWORD)
    second = sign_in.refresh(first.refresh_token)
    third = sign_in.refresh(second.refresh_token)
    assert len({each.refresh_token for each in (first, second, third)}) == 3
    assert verifier.person(third.access_token).user_id == MANAGER


def test_two_tabs_that_refresh_at_once_stay_signed_in(sign_in: SignIn) -> None:
    """The token that was used up just now leads to the same session."""
    first = sign_in.with_password(EMAIL, PASSWORD)
    one, other = sign_in.refresh(first.refresh_token), sign_in.refresh(first.refresh_token)
    assert one.refresh_token == other.refresh_token


def test_a_refresh_token_that_comes_again_later_ends_the_sign_in() -> None:
    """It was stolen, by the first who used it or by the second: neither goes on."""
    moment = [0.0]
    accounts = Accounts("http://127.0.0.1:1/auth/v1", lambda: moment[0])
    accounts.add(EMAIL, PASSWORD)
    first = accounts.sign_in(EMAIL, PASSWORD)["refresh_token"]
    second = accounts.refresh(first)["refresh_token"]
    moment[0] = REUSE_S + 1
    for token, code in ((first, "refresh_token_already_used"), (second, "refresh_token_not_found")):
        with pytest.raises(Refused) as refused:
            accounts.refresh(token)
        assert (refused.value.http_status, refused.value.code) == (400, code)


@pytest.mark.parametrize("token", ["", "invented", "\ud800", "a b c d e"])
def test_a_refresh_token_that_never_was__session_ended(sign_in: SignIn, token: str) -> None:
    """Whoever holds it signs in again."""
    with pytest.raises(SessionEnded):
        sign_in.refresh(token)


def test_signing_out_ends_this_sign_in_alone(auth: LocalAuth, sign_in: SignIn) -> None:
    """Its refresh token counts no more; the other browser's does; twice is fine."""
    here, there = (sign_in.with_password(EMAIL, PASSWORD) for _ in range(2))
    sign_in.end(here.access_token)
    with pytest.raises(SessionEnded):
        sign_in.refresh(here.refresh_token)
    assert sign_in.refresh(there.refresh_token)
    sign_in.end(here.access_token)


def test_a_token_that_ends_nothing_is_told_from_a_session_that_has_ended(sign_in: SignIn) -> None:
    """Whoever signs out with it must not believe that the sign-in has ended."""
    with pytest.raises(TokenRefused):
        sign_in.end("no token")


def test_the_service_shows_whose_token_it_is(auth: LocalAuth, sign_in: SignIn) -> None:
    """GET /user, as the Supabase client asks it; nothing after the sign-out."""
    token = sign_in.with_password(EMAIL, PASSWORD).access_token
    headers = {"apikey": "anon", "authorization": f"Bearer {token}"}
    shown = httpx.get(f"{auth.url}/user", headers=headers)
    assert shown.status_code == 200
    assert (shown.json()["id"], shown.json()["email"]) == (str(MANAGER), EMAIL.lower())
    assert "password" not in shown.text
    sign_in.end(token)
    assert httpx.get(f"{auth.url}/user", headers=headers).status_code == 403


def test_another_sign_in_s_tokens_are_refused(verifier: Verifier) -> None:
    """Every process has a key of its own, which never leaves it: yesterday's tokens end with it."""
    with LocalAuth() as other:
        other.accounts.add(EMAIL, PASSWORD)
        token = other.accounts.sign_in(EMAIL, PASSWORD)["access_token"]
    with pytest.raises(Unauthorized):
        verifier.person(token)


def test_only_the_public_half_of_the_key_is_published(auth: LocalAuth) -> None:
    """No "d" in the JWKS: that would be the private key."""
    [key] = httpx.get(f"{auth.url}/.well-known/jwks.json").json()["keys"]
    assert (key["kty"], key["crv"], key["alg"]) == ("EC", "P-256", "ES256")
    assert "d" not in key


def test_it_listens_on_loopback_alone(auth: LocalAuth) -> None:
    """Nobody on the network may try passwords."""
    assert auth.url.startswith("http://127.0.0.1:")
    assert auth._server.socket.getsockname()[0] == "127.0.0.1"
    assert auth._server.address_family == socket.AF_INET


@pytest.mark.parametrize(
    ("request_line", "content", "refusal"),
    [
        ("POST /token?grant_type=password", b"{", (400, "bad_json")),
        ("POST /token?grant_type=password", b"[]", (400, "bad_json")),
        ("POST /token?grant_type=password", b"[" * 60_000, (400, "bad_json")),
        ("POST /token?grant_type=password", b"{}", (400, "validation_failed")),
        ("POST /token?grant_type=password", b'{"email": 7, "password": []}', (400, "validation_failed")),
        ("POST /token?grant_type=password", b"x" * (LARGEST_BODY + 1), (413, "validation_failed")),
        (
            "POST /token?grant_type=refresh_token",
            b'{"refresh_token": "x"}',
            (400, "refresh_token_not_found"),
        ),
        ("POST /token?grant_type=magic", b"{}", (400, "invalid_grant")),
        ("POST /logout", b"", (403, "bad_jwt")),
        ("POST /logout?scope=all", b"", (400, "validation_failed")),
        ("GET /user", b"", (403, "bad_jwt")),
        ("GET /token", b"", (404, "not_found")),
        ("POST /../../etc/passwd", b"", (404, "not_found")),
    ],
)
def test_bad_requests_get_supabase_s_errors(
    auth: LocalAuth, request_line: str, content: bytes, refusal: tuple[int, str]
) -> None:
    """{"code", "message"} and a status, whatever comes."""
    method, path = request_line.split(" ", 1)
    answer = httpx.request(method, auth.url + path, content=content, headers={"apikey": "anon"})
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert answer.headers["X-Supabase-Api-Version"] == "2024-01-01"


def test_without_the_anon_key_nothing_is_answered(auth: LocalAuth, settings: Settings) -> None:
    """As Supabase's gateway; the product says that its service cannot be reached, not that the password was
    wrong."""
    assert httpx.get(f"{auth.url}/user").status_code == 401
    wrong = SignIn(Settings(auth_url=settings.auth_url, supabase_anon_key="another"))
    with pytest.raises(AuthUnavailable):
        wrong.with_password(EMAIL, PASSWORD)
    wrong.close()


def test_ids_are_uuids(auth: LocalAuth) -> None:
    """What is made without one gets one."""
    assert UUID(auth.accounts.add("x@example.com", PASSWORD).shown()["id"]).version == 4
