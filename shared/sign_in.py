"""Signing in at Supabase Auth with e-mail and password, staying signed in, signing out.

Whether a token is good says shared/identity.py. `supabase_auth` is imported when first used: that takes a
second.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx

from shared import log, patience
from shared.errors import RoletaError, SettingsError, TooMany
from shared.jwks import AuthUnavailable
from shared.settings import Settings

if TYPE_CHECKING:
    from supabase_auth import SyncGoTrueClient

TIMEOUT_S = 10.0
LIMITED_S = 60
# Supabase makes 12 or 22 letters and digits, or longer ones of base64; what cannot be one of them is not
# worth a question, of which a gateway has only so many.
_REFRESH_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")


class WrongCredentials(RoletaError):
    """E-mail or password are wrong."""


class TooManyTries(TooMany):
    """Too many tries: wait a minute."""

    def __init__(self) -> None:
        super().__init__("too many tries: wait a minute", retry_after_s=LIMITED_S)


class SessionEnded(RoletaError):
    """This sign-in has ended: sign in again."""


class TokenRefused(SessionEnded):
    """This access token counts no more; its sign-in may go on."""


# Who guesses e-mails must not learn which exist: every one of these says the same as a wrong password.
_REFUSALS: dict[type[RoletaError], tuple[str, ...]] = {
    WrongCredentials: (
        "invalid_credentials",
        "invalid_grant",
        "validation_failed",
        "bad_json",
        "user_not_found",
        "user_banned",
        "email_not_confirmed",
        "email_address_invalid",
    ),
    SessionEnded: (
        "invalid_grant",
        "validation_failed",
        "refresh_token_not_found",
        "refresh_token_already_used",
        "session_not_found",
        "session_expired",
        "user_not_found",
        "user_banned",
    ),
}


@dataclass(frozen=True)
class SignedIn:
    """What signing in gives. `expires_at`: until when access_token is good; refresh_token then gives another,
    once."""

    user_id: UUID
    email: str | None = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime


class SignIn:
    """The auth service that the settings name. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.auth_url
        self._anon_key = settings.supabase_anon_key
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False)

    @property
    def is_configured(self) -> bool:
        """Whether anybody can sign in at all."""
        return self._url is not None and self._anon_key is not None

    def with_password(self, email: str, password: str) -> SignedIn:
        """WrongCredentials, TooManyTries, or AuthUnavailable where the service does not answer."""
        if not email.strip() or not password or not _travels(email + password):
            raise WrongCredentials
        return self._signed_in(
            WrongCredentials,
            lambda client: client.sign_in_with_password({"email": email.strip(), "password": password}),
        )

    def refresh(self, refresh_token: str) -> SignedIn:
        """The next tokens; the old refresh_token is used up. SessionEnded where it no longer counts."""
        if _REFRESH_TOKEN.fullmatch(refresh_token) is None:
            raise SessionEnded
        return self._signed_in(SessionEnded, lambda client: client.refresh_session(refresh_token))

    def end(self, access_token: str) -> None:
        """Ends this one sign-in: its refresh token counts no more. One that has ended already is fine.

        TokenRefused where the token is too old to end anything, or none at all.
        """
        try:
            self._asked(SessionEnded, lambda client: client.admin.sign_out(access_token, "local"))
        except TokenRefused:
            raise
        except SessionEnded:
            return

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _signed_in(self, refusal: type[RoletaError], ask: "Callable[[SyncGoTrueClient], Any]") -> SignedIn:
        session = getattr(self._asked(refusal, ask), "session", None)
        if session is None or session.user is None or session.expires_at is None:
            raise refusal
        try:
            return SignedIn(
                UUID(session.user.id),
                session.user.email or None,
                session.access_token,
                session.refresh_token,
                datetime.fromtimestamp(session.expires_at, UTC),
            )
        except (ValueError, OverflowError, OSError):
            raise AuthUnavailable from None

    def _asked(self, refusal: type[RoletaError], ask: "Callable[[SyncGoTrueClient], Any]") -> Any:
        if self._url is None or self._anon_key is None:
            raise SettingsError("signing in needs SUPABASE_URL (or ROLETA_AUTH_URL) and SUPABASE_ANON_KEY")
        import supabase_auth  # noqa: PLC0415 - it takes a second, and only who signs in waits for it

        # One client for each call: it remembers who signed in with it.
        client = supabase_auth.SyncGoTrueClient(
            url=self._url,
            headers={"apikey": self._anon_key},
            auto_refresh_token=False,
            persist_session=False,
            http_client=self._http,
        )

        def told() -> tuple[Any, RoletaError | None]:
            try:
                return ask(client), None
            except supabase_auth.errors.AuthApiError as error:
                return None, _refused(error.status, str(error.code or ""), refusal)
            except Exception:
                # The library lets its parser's and transport's errors through; they may repeat what was sent.
                return None, AuthUnavailable()

        server = patience.with_server(self._url)
        found = server.ask(told, is_silence=lambda each: isinstance(each[1], AuthUnavailable))
        if found is None:
            raise AuthUnavailable
        answer, error = found
        if error is not None:
            raise error
        return answer


def _travels(text: str) -> bool:
    """Half a surrogate pair is in no password, and stops the library's encoder."""
    return text.encode("utf-8", "replace").decode() == text


def _refused(status: int, code: str, refusal: type[RoletaError]) -> RoletaError:
    """What a refusal of the service means here. Sources: Supabase's documentation, "Auth error codes"."""
    if status == 429 or code.startswith("over_"):
        return TooManyTries()
    if code == "bad_jwt" and refusal is SessionEnded:
        return TokenRefused()
    # Servers older than error codes say only 400.
    if code in _REFUSALS[refusal] or (status == 400 and not code):
        return refusal()
    # Such as a wrong anon key: nothing that the person could mend.
    log.get().warning("sign_in.refused", http_status=status, code=code)
    return AuthUnavailable()
