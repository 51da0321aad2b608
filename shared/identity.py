"""Who a request comes from: the person named by a JWT of Supabase Auth, checked before anything is believed.

What a person may do is not decided here: role and row security of the database do (shared/db.py).
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt

from shared.errors import SettingsError
from shared.jwks import KeySet
from shared.settings import Settings
from shared.webhook_auth import Unauthorized

AUDIENCE = "authenticated"
LEEWAY_S = 10
LONGEST_TOKEN = 16_384
# RFC 7518 3.2: a key of at least the hash's size.
SHORTEST_SECRET = 32
# By public key, each with the kind of key that it takes (RFC 7518 3.1).
_PUBLIC_ALGORITHMS = ("ES256", "RS256")
_REQUIRED_CLAIMS = ("exp", "sub", "aud", "iss")


class MissingAuthorization(Unauthorized):
    """Missing authorization"""


@dataclass(frozen=True)
class Person:
    """Somebody who proved who they are. `claims`: what the token says, verified; `token`: as it came."""

    user_id: UUID
    email: str | None = field(repr=False)
    token: str = field(repr=False)
    claims: dict[str, Any] = field(repr=False)


class Verifier:
    """Checks tokens. The settings fix the algorithms, a token only names one of them.

    jwt_secret allows HS256, by that secret alone; auth_url allows ES256 and RS256, by the keys that it
    publishes alone. The issuer is auth_url in both cases: without it nobody is let in.
    """

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.auth_url
        self._secret = settings.jwt_secret
        if self._secret is not None and len(self._secret.encode()) < SHORTEST_SECRET:
            raise SettingsError(f"SUPABASE_JWT_SECRET must have at least {SHORTEST_SECRET} bytes")
        self._keys = KeySet(f"{self._issuer}/.well-known/jwks.json") if self._issuer else None

    def person(self, token: str) -> Person:
        """The person of a token; Unauthorized, the same for every defect.

        AuthUnavailable while the keys that would decide cannot be fetched: that says nothing about the token.
        """
        if len(token) > LONGEST_TOKEN or self._issuer is None:
            raise Unauthorized
        try:
            algorithm, key = self._algorithm_and_key(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": list(_REQUIRED_CLAIMS), "strict_aud": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            # Whatever the parser stumbled over, the token was not ours.
            raise Unauthorized from None
        return _person(token, claims)

    def person_of_header(self, authorization: str | None) -> Person:
        """The person of an Authorization header: MissingAuthorization without one, else as `person`."""
        if not (authorization or "").strip():
            raise MissingAuthorization
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized
        return self.person(token.strip())

    def close(self) -> None:
        """Closes the connections."""
        if self._keys is not None:
            self._keys.close()

    def _algorithm_and_key(self, header: dict[str, Any]) -> tuple[str, Any]:
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._secret is not None:
            return algorithm, self._secret
        if algorithm in _PUBLIC_ALGORITHMS and self._keys is not None:
            key = self._keys.key(header.get("kid"), algorithm)
            if key is not None:
                return algorithm, key
        raise Unauthorized


def _person(token: str, claims: dict[str, Any]) -> Person:
    user_id, email = _uuid(claims["sub"]), claims.get("email")
    if user_id is None or claims.get("role") != AUDIENCE:
        raise Unauthorized
    return Person(user_id, email if isinstance(email, str) and email else None, token, claims)


def _uuid(text: object) -> UUID | None:
    """Only in its usual form: the database would take braces and missing dashes for the same id."""
    try:
        found = UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and str(found) == str(text).lower() else None
