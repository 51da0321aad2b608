"""Who is signed in: cookies that scripts cannot read, tokens renewed when they have expired.

The cookies hold the tokens of Supabase Auth themselves, and a random key that forms are bound to (forms.py).
"""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field

import falcon

from shared import clock, log
from shared.errors import RoletaError
from shared.identity import Person, Verifier
from shared.sign_in import SessionEnded, SignedIn, SignIn, TokenRefused, TooManyTries
from shared.webhook_auth import Unauthorized

ACCESS = "roleta_access"
REFRESH = "roleta_refresh"
FORM_KEY = "roleta_form"
# On https a browser takes and sends such a cookie from this very host alone, over https alone: no sibling
# domain and nobody on the wire can set it. Over plain HTTP (loopback) browsers refuse the prefix.
HOST_ONLY = "__Host-"
# Longer than an access token lives; Supabase decides how long a refresh token does.
KEEP_S = 30 * 24 * 3600
# Not 0, for which falcon sends no Max-Age: browsers would keep the empty cookie.
EXPIRED_S = -1
# Supabase takes a used refresh token once more within 10 s; two polls may arrive with the same one.
REUSE_S = 10.0
# The auth service counts what our one address asks: a refused token, whoever made it up, is not asked about
# again at once. Not shorter than REUSE_S: so long a used token would still renew a session that is ending.
REFUSED_S = 10.0
MOST_REFUSED = 1000


@dataclass
class Session:
    """One browser's session. `person` None: not signed in, or, with `trouble`, cannot be told now.
    `form_key`: what its forms are bound to."""

    person: Person | None
    form_key: str = field(repr=False)
    trouble: TooManyTries | None = None


class Sessions:
    """Reads and writes the cookies of requests; keeps only what was renewed or refused a moment ago."""

    def __init__(self, verifier: Verifier, sign_in: SignIn, *, secure: bool) -> None:
        self._verifier = verifier
        self._sign_in = sign_in
        self._secure = secure
        self._renewing = threading.Lock()
        # By the digest of a refresh token: what came of it, and since when it is refused.
        self._renewed: dict[str, tuple[float, SignedIn]] = {}
        self._refused: dict[str, float] = {}

    def read(self, req: falcon.Request, resp: falcon.Response) -> Session:
        """The session of a request; renewed where its token has expired, with new cookies in `resp`."""
        form_key = self._get(req, FORM_KEY)
        if form_key is None or not 20 <= len(form_key) <= 100:
            form_key = secrets.token_urlsafe(32)
            self._set(req, resp, FORM_KEY, form_key)
        access, refresh = self._get(req, ACCESS), self._get(req, REFRESH)
        if access is not None:
            try:
                return Session(self._verifier.person(access), form_key)
            except Unauthorized:
                pass
        if refresh is None:
            return Session(None, form_key)
        try:
            tokens = self._renew(refresh)
            person = self._verifier.person(tokens.access_token)
        except TooManyTries as trouble:
            # That says nothing of the session: its cookies stay.
            return Session(None, form_key, trouble)
        except (SessionEnded, Unauthorized):
            self._forget(req, resp)
            return Session(None, form_key)
        self._keep(req, resp, tokens)
        return Session(person, form_key)

    def begin(self, req: falcon.Request, resp: falcon.Response, email: str, password: str) -> None:
        """Signs in, with the errors of SignIn.with_password. Forms get a new key."""
        tokens = self._sign_in.with_password(email, password)
        self._verifier.person(tokens.access_token)
        self._keep(req, resp, tokens)
        self._set(req, resp, FORM_KEY, secrets.token_urlsafe(32))

    def end(self, req: falcon.Request, resp: falcon.Response, access: str | None) -> None:
        """Signs out here and, as well as it can be reached, at Supabase Auth.

        `access`: the token that the request's session ended up with, younger than its cookie where that had
        expired; None: there was no session.
        """
        refresh = self._get(req, REFRESH)
        self._forget(req, resp)
        self._set(req, resp, FORM_KEY, secrets.token_urlsafe(32))
        if access is None:
            return
        self._refuse_all_of(access, refresh)
        try:
            self._end_there(access, refresh)
        except RoletaError as error:
            # The browser forgets its tokens all the same; the service's end of it expires by itself.
            log.get().warning("signed out here only", why=type(error).__name__)

    def _end_there(self, access: str, refresh: str | None) -> None:
        try:
            self._sign_in.end(access)
        except TokenRefused:
            # We take a token some seconds longer than the service does.
            if refresh is None:
                raise
            self._sign_in.end(self._sign_in.refresh(refresh).access_token)

    def _refuse_all_of(self, access: str, refresh: str | None) -> None:
        """Before the service is asked to end it: another tab that comes meanwhile must renew nothing."""
        with self._renewing:
            ended = {_digest(refresh)} if refresh is not None else set()
            for key, (_, tokens) in self._renewed.items():
                if key in ended or tokens.access_token == access:
                    ended |= {key, _digest(tokens.refresh_token)}
            for key in ended:
                self._renewed.pop(key, None)
                self._refuse(key)

    def _renew(self, refresh_token: str) -> SignedIn:
        digest = _digest(refresh_token)
        with self._renewing:
            now = clock.monotonic()
            self._renewed = {key: each for key, each in self._renewed.items() if now - each[0] < REUSE_S}
            self._refused = {key: at for key, at in self._refused.items() if now - at < REFUSED_S}
            if digest in self._refused:
                raise SessionEnded
            known = self._renewed.get(digest)
            if known is None:
                try:
                    known = self._renewed[digest] = (now, self._sign_in.refresh(refresh_token))
                except SessionEnded:
                    self._refuse(digest)
                    raise
            return known[1]

    def _refuse(self, digest: str) -> None:
        self._refused.pop(digest, None)
        self._refused[digest] = clock.monotonic()
        if len(self._refused) > MOST_REFUSED:
            del self._refused[next(iter(self._refused))]  # the oldest

    def _keep(self, req: falcon.Request, resp: falcon.Response, tokens: SignedIn) -> None:
        self._set(req, resp, ACCESS, tokens.access_token)
        self._set(req, resp, REFRESH, tokens.refresh_token)

    def _forget(self, req: falcon.Request, resp: falcon.Response) -> None:
        for name in (ACCESS, REFRESH):
            self._set(req, resp, name, "", keep_s=EXPIRED_S)

    def _is_secure(self, req: falcon.Request) -> bool:
        return self._secure or req.scheme == "https"

    def _name(self, req: falcon.Request, name: str) -> str:
        return f"{HOST_ONLY}{name}" if self._is_secure(req) else name

    def _get(self, req: falcon.Request, name: str) -> str | None:
        """A cookie that came exactly once: two of one name are somebody else's doing."""
        values = req.get_cookie_values(self._name(req, name)) or []
        return values[0] if len(values) == 1 and values[0] else None

    def _set(
        self, req: falcon.Request, resp: falcon.Response, name: str, value: str, *, keep_s: int = KEEP_S
    ) -> None:
        resp.set_cookie(
            self._name(req, name),
            value,
            max_age=keep_s,
            path="/",
            secure=self._is_secure(req),
            http_only=True,
            same_site="Lax",
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
