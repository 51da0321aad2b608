"""Logins for an agency's clients, made at Supabase Auth's admin API with the service key."""

from dataclasses import dataclass
from typing import Any, Protocol, Self
from uuid import UUID

import httpx

from shared import log
from shared.errors import Conflict, InvalidInput, RoletaError, SettingsError
from shared.jwks import AuthUnavailable
from shared.settings import Settings

TIMEOUT_S = 10.0
# What marks a login as made for an agency. Only the service key can write app_metadata, never its person.
_MARK = "agency_id"


class LinkPending(RoletaError):
    """The login was made, the client is not linked to it yet: send the same again."""


@dataclass(frozen=True)
class Login:
    """A person who may sign in. `is_new`: made just now; else found, with the password that it had."""

    user_id: UUID
    is_new: bool


class Logins(Protocol):
    """Where logins are made."""

    def ensure(self, email: str, password: str, agency_id: UUID) -> Login:
        """The login of this e-mail, made where it is missing: asked again, it finds what was made before.

        Conflict for an e-mail whose login was not made for this agency. InvalidInput for an e-mail or a
        password that the service refuses.
        """
        ...


class AuthAdmin:
    """Logins at the auth service that the settings name; SettingsError where it, or the service key, is not
    set. AuthUnavailable where it does not answer: the login may or may not have been made."""

    def __init__(self, settings: Settings) -> None:
        if settings.auth_url is None or settings.service_role_key is None:
            raise SettingsError(
                "making logins needs SUPABASE_URL (or ROLETA_AUTH_URL) and SUPABASE_SERVICE_ROLE_KEY"
            )
        self._url = f"{settings.auth_url}/admin/users"
        key = settings.service_role_key
        self._http = httpx.Client(
            timeout=TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
            headers={"apikey": key, "Authorization": f"Bearer {key}", "X-Supabase-Api-Version": "2024-01-01"},
        )

    def ensure(self, email: str, password: str, agency_id: UUID) -> Login:
        """As Logins.ensure."""
        http_status, answer = self._ask(
            "POST",
            json={
                "email": email,
                "password": password,
                "email_confirm": True,
                "app_metadata": {_MARK: str(agency_id)},
            },
        )
        if http_status in (200, 201):
            return Login(_id_of(answer), True)
        code = str(answer.get("code") or answer.get("error_code") or "")
        if code == "weak_password":
            raise InvalidInput("password: it is too weak, choose a longer one")
        if code in ("validation_failed", "email_address_invalid") or http_status == 400:
            raise InvalidInput("email: the sign-in service does not take this address or password")
        if code in ("email_exists", "user_already_exists") or http_status == 422:
            return self._find(email, agency_id)
        raise _trouble(http_status, code)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _find(self, email: str, agency_id: UUID) -> Login:
        # "filter" matches parts of e-mails; the exact one is picked here.
        http_status, answer = self._ask("GET", params={"filter": email, "page": "1", "per_page": "200"})
        listed = answer.get("users")
        if http_status != 200 or not isinstance(listed, list):
            raise _trouble(http_status, "")
        for user in listed:
            if isinstance(user, dict) and str(user.get("email")).lower() == email.lower():
                metadata = user.get("app_metadata")
                if isinstance(metadata, dict) and metadata.get(_MARK) == str(agency_id):
                    return Login(_id_of(user), False)
        raise Conflict("email: this address has a login already, and not as a client of yours")

    def _ask(self, method: str, **content: Any) -> tuple[int, dict[str, Any]]:
        try:
            response = self._http.request(method, self._url, **content)
            answer = response.json()
        except (httpx.HTTPError, ValueError, RecursionError):
            raise AuthUnavailable from None
        return response.status_code, answer if isinstance(answer, dict) else {}


def _id_of(user: dict[str, Any]) -> UUID:
    try:
        return UUID(str(user.get("id")))
    except ValueError:
        raise AuthUnavailable from None


def _trouble(http_status: int, code: str) -> SettingsError | AuthUnavailable:
    log.get().warning("logins.refused", http_status=http_status, code=code)
    if http_status in (401, 403):
        return SettingsError("the sign-in service refuses SUPABASE_SERVICE_ROLE_KEY")
    return AuthUnavailable()
