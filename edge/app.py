"""The gateway as a WSGI app: routes from supabase.toml, callers checked, JSON in and out, one log line each.

What a function does lives in its own module; which bodies are taken, in edge/body.
"""

import re
import uuid
from collections.abc import Callable

import falcon
import structlog
from structlog.typing import FilteringBoundLogger

from edge.addresses import caller_address
from edge.again import until_stored
from edge.body import MAX_BYTES, BodyGuard, BodyRefused, is_form, parse_lenient, parse_strict
from edge.errors import ErrorAnswers
from edge.functions import Call, EdgeFunction, Handler, load_functions
from edge.health import Health
from edge.pages import routes
from shared import clock
from shared.db import Calls
from shared.identity import Verifier
from shared.redaction import mask_phones
from shared.settings import Settings
from shared.webhook_auth import Unauthorized, same_secret

App = falcon.App[falcon.Request, falcon.Response]

# For waitress: it reads a body whole before the app sees it, and refuses an endless one itself, not in JSON.
SERVER_OPTIONS: dict[str, object] = {
    "threads": 8,
    "ident": None,
    "max_request_body_size": 16 * MAX_BYTES,
    "clear_untrusted_proxy_headers": True,
}
PREFIX = "/functions/v1"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_CORS = (
    ("Access-Control-Allow-Headers", "authorization, x-client-info, apikey, content-type, idempotency-key"),
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Max-Age", "86400"),
)


def create_app(db: Calls, settings: Settings, functions: list[EdgeFunction] | None = None) -> App:
    """A gateway over this database; several may live in one process. SettingsError where supabase.toml is
    wrong."""
    log: FilteringBoundLogger = structlog.get_logger("roleta.gateway")
    verifier = Verifier(settings)
    app: App = falcon.App(middleware=[Observer(log), BodyGuard()])
    app.req_options.strip_url_path_trailing_slash = True
    errors = ErrorAnswers(log, settings.secrets)
    errors.attach(app)
    app.add_route("/healthz", Health(db))
    routes.attach(app, db, settings, errors, verifier)
    for function in load_functions() if functions is None else functions:
        if not function.enabled:
            continue
        resource = FunctionResource(function, db, settings, log, verifier)
        app.add_route(f"{PREFIX}/{function.slug}", resource)
        if function.caller == "provider":
            app.add_route(f"{PREFIX}/{function.slug}/{{webhook_token}}", resource)
    return app


class FunctionResource:
    """One edge function behind its route: the caller, then the body, then the handler."""

    def __init__(
        self,
        function: EdgeFunction,
        db: Calls,
        settings: Settings,
        log: FilteringBoundLogger,
        verifier: Verifier,
    ) -> None:
        self._function = function
        self._handle: Handler = function.handler()
        self._db = db
        self._settings = settings
        self._log = log
        self._verifier = verifier

    def on_options(self, _req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        """An empty answer that lets any page call (functions 0)."""
        resp.set_headers(_CORS)

    def on_post(self, req: falcon.Request, resp: falcon.Response, webhook_token: str | None = None) -> None:
        """The handler's answer as JSON."""
        req.context.webhook_token = webhook_token
        person = None
        if self._function.caller in ("service", "cron"):
            require_service_key(req.get_header("authorization"), self._settings.service_role_key)
        elif self._function.caller == "user":
            person = self._verifier.person_of_header(req.get_header("authorization"))
        call = Call(
            function=self._function.slug,
            db=self._db,
            settings=self._settings,
            log=self._log.bind(function=self._function.slug, request_id=req.context.request_id),
            body=self._parse(req),
            headers={name.lower(): value for name, value in req.headers.items()},
            webhook_token=webhook_token,
            raw=req.context.body,
            person=person,
            address=self._address(req) if self._function.caller == "stranger" else None,
        )
        is_event = self._function.caller == "provider"
        resp.media = until_stored(self._handle, call) if is_event else self._handle(call)

    def _address(self, req: falcon.Request) -> str | None:
        if holds_key(req.get_header("authorization"), self._settings.service_role_key):
            return None
        forwarded = req.get_header("x-forwarded-for")
        return caller_address(req.env.get("REMOTE_ADDR"), forwarded, self._settings.trusted_proxies)

    def _parse(self, req: falcon.Request) -> dict[str, object]:
        if self._function.caller in ("provider", "signed"):
            return parse_lenient(req.context.body)
        if is_form(req.content_type):
            raise BodyRefused(415, "send JSON, with Content-Type: application/json")
        return parse_strict(req.context.body)


def require_service_key(authorization: str | None, key: str | None) -> None:
    """Unauthorized unless the header is `Bearer` and the whole key (bug 21); always while no key is set."""
    if not holds_key(authorization, key):
        raise Unauthorized


def holds_key(authorization: str | None, key: str | None) -> bool:
    """Whether the header is `Bearer` and the whole key; never while no key is set."""
    scheme, _, given = (authorization or "").partition(" ")
    return same_secret(key or "", given.strip()) and scheme.lower() == "bearer"


def server_options(settings: Settings) -> dict[str, object]:
    """What waitress is started with. Behind proxies that are trusted their header must reach us: which of
    its addresses is believed, we decide (edge/addresses)."""
    return SERVER_OPTIONS | {"clear_untrusted_proxy_headers": not settings.trusted_proxies}


class Observer:
    """falcon middleware: the request id, the headers of every answer, and the access log.

    The log has the route, never the path, which may hold a webhook's secret.
    """

    def __init__(self, log: FilteringBoundLogger, now: Callable[[], float] = clock.monotonic) -> None:
        self._log = log
        self._now = now

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Runs before all else, so that every error has an id."""
        req.context.begun_at = self._now()
        req.context.webhook_token = None
        req.context.request_id = _request_id(req.get_header("x-request-id"))

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, _succeeded: bool
    ) -> None:
        """Runs for every answer, refusals included."""
        resp.set_header("X-Request-Id", req.context.request_id)
        if resp.get_header("Cache-Control") is None:
            # Answers hold people's messages, and get-qrcode a code that opens a number.
            resp.set_header("Cache-Control", "no-store")
        if not getattr(resource, "same_origin_only", False):
            resp.set_header("Access-Control-Allow-Origin", "*")
        self._log.info(
            "request",
            request_id=req.context.request_id,
            method=req.method if req.method in falcon.HTTP_METHODS else "other",
            route=req.uri_template or "none",
            status=resp.status_code,
            duration_ms=round((self._now() - req.context.begun_at) * 1000, 1),
        )


def _request_id(given: str | None) -> str:
    """The caller's id where it is one, and no phone in disguise; else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given) and mask_phones(given) == given:
        return given
    return str(uuid.uuid4())
