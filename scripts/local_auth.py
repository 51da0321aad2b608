"""A sign-in for the embedded default: what of Supabase Auth our pages and functions ask for, on loopback.

It lives inside the process that started the embedded server and ends with it; its key never leaves memory.
Answers and errors have Supabase Auth's shapes (its API of 2024-01-01, which supabase_auth asks for).
"""

import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from scripts.local_accounts import Accounts, Refused

PREFIX = "/auth/v1"
LARGEST_BODY = 64 * 1024
_VERSION = "2024-01-01"
Json = dict[str, Any]


class LocalAuth:
    """A running sign-in service. `with LocalAuth(...) as auth: auth.accounts.add(email, password)`.

    `anon_key`: what every caller must show (Supabase's "apikey"); `service_key`: what those show who may make
    accounts; without one nobody may.
    """

    def __init__(self, *, anon_key: str = "local", service_key: str | None = None) -> None:
        # On loopback alone: whoever reaches this port may try passwords.
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}{PREFIX}"
        self.accounts = Accounts(self.url)
        self._anon_key = anon_key
        self._service_key = service_key
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-auth", daemon=True
        )

    def start(self) -> Self:
        """Begins to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends; nobody can sign in any more, and every token is forgotten."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, request: "_Request") -> tuple[int, Json | None]:
        """HTTP status and body; Refused for a refusal."""
        route = self._routes().get((request.method, request.path))
        if route is None:
            raise Refused(404, "not_found", "Path not found")
        if request.path != "/.well-known/jwks.json" and not self._is_known(request.api_key):
            raise Refused(401, "no_authorization", "No API key found in request")
        return route(request)

    def _routes(self) -> dict[tuple[str, str], "Callable[[_Request], tuple[int, Json | None]]"]:
        return {
            ("GET", "/.well-known/jwks.json"): lambda _: (200, self.accounts.jwks()),
            ("POST", "/token"): self._token,
            ("GET", "/user"): lambda request: (200, self.accounts.account_of(request.bearer).shown()),
            ("POST", "/logout"): self._logout,
            ("POST", "/admin/users"): self._add_account,
            ("GET", "/admin/users"): self._list_accounts,
        }

    def _token(self, request: "_Request") -> tuple[int, Json]:
        grant = request.query.get("grant_type")
        if grant == "password":
            email, password = request.text("email"), request.text("password")
            return 200, self.accounts.sign_in(email, password)
        if grant == "refresh_token":
            return 200, self.accounts.refresh(request.text("refresh_token"))
        raise Refused(400, "invalid_grant", "unsupported_grant_type")

    def _logout(self, request: "_Request") -> tuple[int, None]:
        scope = request.query.get("scope", "global")
        if scope not in ("global", "local", "others"):
            raise Refused(400, "validation_failed", f"Unsupported logout scope {scope[:20]!r}")
        self.accounts.sign_out(request.bearer, scope)
        return 204, None

    def _add_account(self, request: "_Request") -> tuple[int, Json]:
        self._require_service(request)
        email, password = request.text("email"), request.text("password")
        if "@" not in email:
            raise Refused(400, "validation_failed", "Unable to validate email address: invalid format")
        if len(password) < 6:
            why = {"weak_password": {"reasons": ["length"]}}
            raise Refused(422, "weak_password", "Password should be at least 6 characters.", why)
        account = self.accounts.add(
            email,
            password,
            app_metadata=_object(request.body.get("app_metadata")),
            user_metadata=_object(request.body.get("user_metadata")),
        )
        return 200, account.shown()

    def _list_accounts(self, request: "_Request") -> tuple[int, Json]:
        self._require_service(request)
        found = self.accounts.matching(request.query.get("filter", ""))
        return 200, {"users": [each.shown() for each in found], "aud": "authenticated"}

    def _require_service(self, request: "_Request") -> None:
        if not request.bearer:
            raise Refused(401, "no_authorization", "This endpoint requires a Bearer token")
        if not _is(self._service_key, request.bearer):
            raise Refused(403, "not_admin", "User not allowed")

    def _is_known(self, api_key: str) -> bool:
        return _is(self._anon_key, api_key) or _is(self._service_key, api_key)


class _Request:
    """One request: the path below PREFIX."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes) -> None:
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path.removeprefix(PREFIX) if parts.path.startswith(PREFIX) else ""
        self.query = dict(parse_qsl(parts.query))
        self.api_key: str = headers.get("apikey") or ""
        scheme, _, token = (headers.get("authorization") or "").partition(" ")
        self.bearer = token.strip() if scheme.lower() == "bearer" else ""
        self._raw = body

    @property
    def body(self) -> Json:
        """The JSON object."""
        try:
            parsed = json.loads(self._raw or b"{}")
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise Refused(400, "bad_json", "Could not parse request body as JSON")
        return parsed

    def text(self, name: str) -> str:
        """One of its fields."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise Refused(400, "validation_failed", f"missing {name}")
        return value


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet too: who goes away in the middle only loses the own connection."""


def _handler_of(owner: LocalAuth) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            said = self.headers.get("content-length") or "0"
            length = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else LARGEST_BODY + 1
            try:
                if length > LARGEST_BODY:
                    raise Refused(413, "validation_failed", "Request body too large")
                body = self.rfile.read(length)
                http_status, answer = owner.answer(_Request(self.command, self.path, self.headers, body))
            except Refused as refusal:
                http_status = refusal.http_status
                answer = {"code": refusal.code, "message": refusal.message, **refusal.more}
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(http_status)
            self.send_header("X-Supabase-Api-Version", _VERSION)
            self.send_header("Content-Type", "application/json")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: the terminal is the operator's."""

    return Handler


def _is(expected: str | None, given: str) -> bool:
    one, other = (expected or "").encode(), given.encode("utf-8", "surrogatepass")
    return hmac.compare_digest(one, other) and bool(one)


def _object(value: object) -> Json | None:
    return value if isinstance(value, dict) else None
