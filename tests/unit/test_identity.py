"""Who is believed: tokens of the auth service that the settings name, and no others."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.identity import LONGEST_TOKEN, MissingAuthorization, Verifier
from shared.settings import Settings
from shared.webhook_auth import Unauthorized
from tests.identities import SECRET, USER, KeyServer, SigningKey, forged, key_server

KEY = SigningKey("key-1")
OTHER = SigningKey("key-2")
RSA = SigningKey("key-rsa", "RS256")
pytestmark = pytest.mark.scoreboard("S2", tier="commit")
ISSUER = "http://127.0.0.1:1/auth/v1"


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """An auth service that publishes KEY and RSA."""
    with key_server() as server:
        server.publish(KEY, RSA)
        yield server


@pytest.fixture
def verifier(keys: KeyServer) -> Iterator[Verifier]:
    """One that trusts it."""
    verifier = Verifier(keys.settings())
    yield verifier
    verifier.close()


@pytest.mark.parametrize("key", [KEY, RSA], ids=["ES256", "RS256"])
def test_a_token_by_a_published_key_names_its_person(
    keys: KeyServer, verifier: Verifier, key: SigningKey
) -> None:
    """Id, e-mail and claims are the token's; the token shows in no repr."""
    token = key.sign(keys.claims())
    person = verifier.person(token)
    assert (person.user_id, person.email, person.token) == (USER, "gestora@example.com", token)
    assert person.claims["session_id"]
    assert token not in repr(person)
    assert "gestora" not in repr(person)


def test_a_token_by_the_secret_names_its_person(keys: KeyServer) -> None:
    """Where a JWT secret is set, HS256 by that secret is believed, and published keys still are."""
    both = Verifier(keys.settings(jwt_secret=SECRET))
    by_secret = forged({"alg": "HS256", "typ": "JWT"}, keys.claims(), SECRET.encode())
    assert both.person(by_secret).user_id == USER
    assert keys.asked == 0
    assert both.person(KEY.sign(keys.claims())).user_id == USER
    both.close()


Change = dict[str, Any]


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "anon"},
        {"aud": None},
        {"aud": ["authenticated", "another"]},
        {"aud": ["authenticated"]},
        {"aud": ""},
        {"iss": "https://another.example/auth/v1"},
        {"iss": None},
        {"iss": ""},
        {"exp": timedelta(seconds=-60)},
        {"exp": timedelta(seconds=-11)},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": timedelta(seconds=600)},
        {"sub": None},
        {"sub": ""},
        {"sub": "somebody"},
        {"sub": 7},
        {"sub": "{11111111-2222-4333-8444-555555555555}"},
        {"sub": "11111111222243338444555555555555"},
        {"sub": "urn:uuid:11111111-2222-4333-8444-555555555555"},
        {"role": None},
        {"role": ""},
        {"role": "service_role"},
        {"role": "anon"},
        {"role": ["authenticated"]},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_or_missing__unauthorized(
    keys: KeyServer, verifier: Verifier, change: Change
) -> None:
    """A good signature is not enough: audience, issuer, expiry, subject and role are looked at."""
    # Times are from now, which is when the test runs, not when it was collected.
    claims = {
        name: int(time.time() + value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in change.items()
    }
    with pytest.raises(Unauthorized) as refused:
        verifier.person(KEY.sign(keys.claims(**claims)))
    assert str(refused.value) == "Unauthorized"
    assert refused.value.__context__ is None or refused.value.__suppress_context__


def test_a_clock_that_is_a_little_off_is_forgiven(keys: KeyServer, verifier: Verifier) -> None:
    """Ten seconds, no more."""
    assert verifier.person(KEY.sign(keys.claims(exp=int(time.time()) - 5))).user_id == USER


Forge = Callable[[KeyServer], str]
FORGERIES: dict[str, Forge] = {
    "no algorithm": lambda k: forged({"alg": "none", "typ": "JWT"}, k.claims()),
    "no algorithm, with the id of a key": lambda k: forged({"alg": "none", "kid": "key-1"}, k.claims()),
    "none in odd letters": lambda k: forged({"alg": "nOnE"}, k.claims()),
    "an algorithm that is no text": lambda k: forged({"alg": ["ES256"]}, k.claims()),
    "the algorithm missing": lambda k: forged({"typ": "JWT"}, k.claims(), SECRET.encode()),
    "HS256 by the public key": lambda k: forged({"alg": "HS256", "kid": "key-1"}, k.claims(), KEY.public_pem),
    "HS256 by the RSA public key": lambda k: forged(
        {"alg": "HS256", "kid": "key-rsa"}, k.claims(), RSA.public_pem
    ),
    "HS256 by an empty secret": lambda k: forged({"alg": "HS256"}, k.claims(), b"\x00"),
    "HS256 by a secret that is not set": lambda k: forged({"alg": "HS256"}, k.claims(), SECRET.encode()),
    "HS512": lambda k: forged({"alg": "HS512"}, k.claims(), SECRET.encode()),
    "a key that nobody published": lambda k: OTHER.sign(k.claims()),
    "another key under a published id": lambda k: OTHER.sign(k.claims(), kid="key-1"),
    "the RSA key's id over ES256": lambda k: KEY.sign(k.claims(), kid="key-rsa"),
    "no key id": lambda k: KEY.sign(k.claims(), kid=None),
    "a key of its own in the header": lambda k: OTHER.sign(k.claims(), kid="key-1", jwk=OTHER.jwk),
    "an address of keys in the header": lambda k: OTHER.sign(k.claims(), jku="http://127.0.0.1:1/jwks"),
    "a header that must be understood": lambda k: KEY.sign(k.claims(), crit=["x"], x=1),
    "no token": lambda k: "",
    "no JWT": lambda k: "abc",
    "dots": lambda k: "..",
    "letters that no token has": lambda k: "é.\ud800.\x00",
    "a header that is no object": lambda k: "W10.e30.",
    "claims that are no object": lambda k: forged({"alg": "HS256"}, ["x"], SECRET.encode()),  # type: ignore[arg-type]
    "a signature cut short": lambda k: KEY.sign(k.claims())[:-4],
    "claims changed after signing": lambda k: _swapped(
        KEY.sign(k.claims()), KEY.sign(k.claims(sub=str(USER)[::-1]))
    ),
    "too long": lambda k: KEY.sign(k.claims(filler="x" * LONGEST_TOKEN)),
}


def _swapped(one: str, other: str) -> str:
    head, _, signature = one.split(".")
    return ".".join((head, other.split(".")[1], signature))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_token_that_is_forged_or_broken__unauthorized(
    keys: KeyServer, verifier: Verifier, name: str
) -> None:
    """Every way of signing that the settings do not allow is refused, in the same words."""
    with pytest.raises(Unauthorized) as refused:
        verifier.person(FORGERIES[name](keys))
    assert str(refused.value) == "Unauthorized"


@pytest.mark.parametrize("public", [KEY.public_pem, RSA.public_pem], ids=["ES256", "RS256"])
def test_hs256_with_a_public_key__unauthorized_also_where_a_secret_is_set(
    keys: KeyServer, public: bytes
) -> None:
    """Where HS256 is allowed, only the secret counts, never a key that everybody may read."""
    both = Verifier(keys.settings(jwt_secret=SECRET))
    for key_id in ("key-1", "key-rsa"):
        with pytest.raises(Unauthorized):
            both.person(forged({"alg": "HS256", "kid": key_id}, keys.claims(), public))
    both.close()


def test_without_an_auth_service_nobody_is_let_in() -> None:
    """The issuer cannot be checked: not even the secret's own tokens count."""
    verifier = Verifier(Settings(jwt_secret=SECRET))
    with pytest.raises(Unauthorized):
        verifier.person(forged({"alg": "HS256"}, {"iss": None, "sub": str(USER)}, SECRET.encode()))


def test_a_secret_that_is_too_short_is_refused_at_the_start() -> None:
    """It could be guessed; the message names the variable and not the value."""
    with pytest.raises(SettingsError, match="SUPABASE_JWT_SECRET") as refused:
        Verifier(Settings(auth_url=ISSUER, jwt_secret="short-secret"))
    assert "short-secret" not in str(refused.value)


@pytest.mark.parametrize("header", [None, "", "   "])
def test_no_authorization_header_is_missing(verifier: Verifier, header: str | None) -> None:
    """The original's own words for it (functions 4.2)."""
    with pytest.raises(MissingAuthorization, match=r"^Missing authorization$"):
        verifier.person_of_header(header)


@pytest.mark.parametrize("header", ["Bearer", "Bearer x", "Basic dTpw", "x", "bearer", "Bearer a b c"])
def test_an_authorization_header_without_a_token__unauthorized(verifier: Verifier, header: str) -> None:
    """Only Bearer counts."""
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        verifier.person_of_header(header)


def test_the_header_s_scheme_is_read_in_any_letters(keys: KeyServer, verifier: Verifier) -> None:
    """RFC 9110 11.1."""
    assert verifier.person_of_header(f"bEARER  {KEY.sign(keys.claims())} ").user_id == USER
