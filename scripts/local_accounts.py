"""The people of the local sign-in, their sessions and tokens: in memory only, gone with the process.

What travels over HTTP is in scripts/local_auth.py.
"""

import hashlib
import hmac
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN_LIFE_S = 3600
# A browser's tabs refresh with the same token at once; Supabase forgives it for ten seconds.
REUSE_S = 10.0
WRONG_TRIES = 5
TRIES_WINDOW_S = 60.0
_SALT = secrets.token_bytes(16)


class Refused(Exception):
    """An answer in Supabase Auth's own words: HTTP status, error code, message."""

    def __init__(self, http_status: int, code: str, message: str, more: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.more = more or {}
        self.http_status = http_status
        self.code = code
        self.message = message


@dataclass
class Account:
    """Somebody who may sign in."""

    user_id: uuid.UUID
    email: str
    password_hash: bytes = field(repr=False)
    app_metadata: dict[str, Any] = field(default_factory=dict)
    user_metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_sign_in_at: datetime | None = None

    def shown(self) -> dict[str, Any]:
        """As Supabase Auth shows a user."""
        made = self.created_at.isoformat()
        return {
            "id": str(self.user_id),
            "aud": "authenticated",
            "role": "authenticated",
            "email": self.email,
            "email_confirmed_at": made,
            "confirmed_at": made,
            "phone": "",
            "last_sign_in_at": self.last_sign_in_at.isoformat() if self.last_sign_in_at else None,
            "app_metadata": {"provider": "email", "providers": ["email"]} | self.app_metadata,
            "user_metadata": self.user_metadata,
            "identities": [],
            "created_at": made,
            "updated_at": made,
            "is_anonymous": False,
        }


@dataclass
class _Session:
    account: Account
    session_id: str
    refresh_token: str
    previous: str | None = None
    rotated_at: float = 0.0


class Accounts:
    """All of them behind one lock. `issuer`: what the tokens name; `now`: seconds that never go back."""

    def __init__(self, issuer: str, now: Callable[[], float] = time.monotonic) -> None:
        self.issuer = issuer
        self._now = now
        self._lock = threading.Lock()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = str(uuid.uuid4())
        self._by_email: dict[str, Account] = {}
        self._sessions: dict[str, _Session] = {}
        self._by_refresh: dict[str, _Session] = {}
        self._wrong: dict[str, list[float]] = {}

    def add(
        self,
        email: str,
        password: str,
        user_id: uuid.UUID | None = None,
        app_metadata: dict[str, Any] | None = None,
        user_metadata: dict[str, Any] | None = None,
    ) -> Account:
        """One more person; an e-mail belongs to one."""
        account = Account(
            user_id or uuid.uuid4(), _same(email), _hash(password), app_metadata or {}, user_metadata or {}
        )
        with self._lock:
            if account.email in self._by_email:
                raise Refused(
                    422, "email_exists", "A user with this email address has already been registered"
                )
            self._by_email[account.email] = account
        return account

    def matching(self, part: str) -> list[Account]:
        """Those whose e-mail contains this."""
        with self._lock:
            return [each for email, each in self._by_email.items() if _same(part) in email]

    def sign_in(self, email: str, password: str) -> dict[str, Any]:
        """A new session; the work is the same whether the e-mail is known or not."""
        email = _same(email)
        with self._lock:
            account = self._by_email.get(email)
            is_right = hmac.compare_digest(account.password_hash if account else _NOBODY, _hash(password))
            self._refuse_guessing(email, account is None or not is_right)
            if account is None:
                raise Refused(400, "invalid_credentials", "Invalid login credentials")
            account.last_sign_in_at = datetime.now(UTC)
            session = _Session(account, str(uuid.uuid4()), secrets.token_urlsafe(16))
            self._sessions[session.session_id] = session
            self._by_refresh[session.refresh_token] = session
            return self._tokens(session)

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """The next pair of tokens. A refresh token that was used before ends its session: it was stolen."""
        with self._lock:
            session = self._by_refresh.get(refresh_token)
            if session is None:
                raise Refused(
                    400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"
                )
            if refresh_token == session.refresh_token:
                session.previous, session.refresh_token = refresh_token, secrets.token_urlsafe(16)
                session.rotated_at = self._now()
                self._by_refresh[session.refresh_token] = session
            elif refresh_token != session.previous or self._now() - session.rotated_at > REUSE_S:
                self._end(session)
                raise Refused(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            return self._tokens(session)

    def account_of(self, token: str) -> Account:
        """Whose token this is, while its session lasts."""
        with self._lock:
            return self._session_of(token).account

    def sign_out(self, token: str, scope: str) -> None:
        """Ends the token's session ("local"), the person's others ("others"), or all ("global")."""
        with self._lock:
            mine = self._session_of(token)
            for session in list(self._sessions.values()):
                is_mine = session is mine
                if session.account is mine.account and (is_mine, scope) not in (
                    (True, "others"),
                    (False, "local"),
                ):
                    self._end(session)

    def jwks(self) -> dict[str, Any]:
        """The public key."""
        public: dict[str, Any] = jwt.get_algorithm_by_name("ES256").to_jwk(
            self._key.public_key(), as_dict=True
        )
        return {"keys": [public | {"kid": self._key_id, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}]}

    def _refuse_guessing(self, email: str, is_wrong: bool) -> None:
        now = self._now()
        self._wrong = {
            each: recent
            for each, tries in self._wrong.items()
            if (recent := [at for at in tries if now - at < TRIES_WINDOW_S])
        }
        tries = self._wrong.get(email, [])
        if len(tries) >= WRONG_TRIES:
            # The right password too: else each try would still tell.
            raise Refused(429, "over_request_rate_limit", "Request rate limit reached")
        if is_wrong:
            self._wrong[email] = [*tries, now]
            raise Refused(400, "invalid_credentials", "Invalid login credentials")

    def _tokens(self, session: _Session) -> dict[str, Any]:
        now = int(time.time())
        shown = session.account.shown()
        claims = {
            "iss": self.issuer,
            "sub": shown["id"],
            "aud": "authenticated",
            "exp": now + TOKEN_LIFE_S,
            "iat": now,
            "email": shown["email"],
            "phone": "",
            "app_metadata": shown["app_metadata"],
            "user_metadata": shown["user_metadata"],
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": session.session_id,
            "is_anonymous": False,
        }
        return {
            "access_token": jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id}),
            "token_type": "bearer",
            "expires_in": TOKEN_LIFE_S,
            "expires_at": claims["exp"],
            "refresh_token": session.refresh_token,
            "user": shown,
        }

    def _session_of(self, token: str) -> _Session:
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["ES256"],
                audience="authenticated",
                issuer=self.issuer,
            )
        except (jwt.PyJWTError, ValueError):
            raise Refused(403, "bad_jwt", "invalid JWT: unable to parse or verify signature") from None
        session = self._sessions.get(str(claims.get("session_id")))
        if session is None:
            raise Refused(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return session

    def _end(self, session: _Session) -> None:
        self._sessions.pop(session.session_id, None)
        self._by_refresh = {token: each for token, each in self._by_refresh.items() if each is not session}


def _same(email: str) -> str:
    return email.strip().lower()


def _hash(password: str) -> bytes:
    return hashlib.sha256(_SALT + password.encode("utf-8", "surrogatepass")).digest()


_NOBODY = _hash(secrets.token_urlsafe(32))
