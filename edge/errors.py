"""Every error as JSON: {"error": what to change}. What went wrong inside goes to the log only, scrubbed."""

import traceback
from collections.abc import Iterable

import falcon
from structlog.typing import FilteringBoundLogger

from edge.body import BodyRefused
from shared.errors import (
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    IllegalMove,
    InvalidInput,
    NotFound,
    RoletaError,
    SettingsError,
    SetupMissing,
    TooMany,
    WouldDiscardData,
)
from shared.jwks import AuthUnavailable
from shared.logins import LinkPending
from shared.providers.base import ProviderError
from shared.redaction import Redactor
from shared.webhook_auth import Unauthorized

RETRY_AFTER_S = 5
_STATUS: tuple[tuple[type[RoletaError], int], ...] = (
    (InvalidInput, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (IllegalMove, 409),
    (WouldDiscardData, 409),
    (ProviderError, 502),  # its detail is scrubbed where it is made
    (SettingsError, 500),  # it names the variable, never its value
)
_TRY_AGAIN: tuple[tuple[type[RoletaError], str], ...] = (
    (DatabaseUnavailable, "the database cannot be reached now: try again in a few seconds"),
    (LinkPending, "the login was made, the client is not linked to it yet: send the same again"),
    (AuthUnavailable, "the sign-in service cannot be reached now: try again in a few seconds"),
    (SetupMissing, "the service is not set up yet: its database must be migrated"),
)


class ErrorAnswers:
    """Turns what a request raised into its answer. `secrets` never reach the log."""

    def __init__(self, log: FilteringBoundLogger, secrets: Iterable[str | None]) -> None:
        self._log = log
        self._secrets = [secret for secret in secrets if secret]

    def attach(self, app: "falcon.App[falcon.Request, falcon.Response]") -> None:
        """Handles every exception of the app from now on."""
        app.add_error_handler(Exception, self._unexpected)
        app.add_error_handler(RoletaError, self._ours)
        app.set_error_serializer(_serialize)

    def handle(self, req: falcon.Request, resp: falcon.Response, error: Exception) -> None:
        """The answer to one error, for whoever then gives it another form (edge/pages)."""
        if isinstance(error, RoletaError):
            self._ours(req, resp, error, None)
        else:
            self._unexpected(req, resp, error, None)

    def _ours(self, req: falcon.Request, resp: falcon.Response, error: RoletaError, _: object) -> None:
        if isinstance(error, Unauthorized):
            answer(resp, 401, str(error))
            return
        if isinstance(error, BodyRefused):
            answer(resp, error.http_status, str(error))
            return
        if isinstance(error, TooMany):
            resp.set_header("Retry-After", str(error.retry_after_s))
            answer(resp, 429, str(error))
            return
        for kind, status in _STATUS:
            if isinstance(error, kind):
                if kind is SettingsError:
                    # A page shows a person less than this, and it is the operator who must act.
                    self._log.error(
                        "request.misconfigured", request_id=req.context.request_id, error=str(error)
                    )
                answer(resp, status, str(error))
                return
        for kind, message in _TRY_AGAIN:
            if isinstance(error, kind):
                self._log.warning("request.unavailable", request_id=req.context.request_id, error=str(error))
                resp.set_header("Retry-After", str(RETRY_AFTER_S))
                answer(resp, 503, message)
                return
        self._unexpected(req, resp, error, _)

    def _unexpected(self, req: falcon.Request, resp: falcon.Response, error: Exception, _: object) -> None:
        request_id = req.context.request_id
        authorization = req.get_header("authorization")
        token = (authorization or "").rpartition(" ")[2]
        secret_headers = [req.get_header(name) for name in ("z-api-token", "x-roleta-webhook")]
        brought = (*secret_headers, authorization, token, req.context.webhook_token)
        text = "".join(traceback.format_exception(error))
        self._log.error(
            "request.failed",
            request_id=request_id,
            traceback=Redactor([*self._secrets, *(each for each in brought if each)]).text(text),
        )
        answer(resp, 500, "Internal error", request_id=request_id)


def answer(resp: falcon.Response, status: int, message: str, **more: object) -> None:
    """The one shape of an error."""
    resp.status = falcon.code_to_http_status(status)
    resp.text = None
    resp.media = {"error": message, **more}


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """falcon's own refusals: no such route, wrong method, a header that cannot be read."""
    if isinstance(error, falcon.HTTPRouteNotFound):
        message = "there is no such address: functions are at /functions/v1/<name>"
    elif isinstance(error, falcon.HTTPMethodNotAllowed):
        allowed = (error.headers or {}) if isinstance(error.headers, dict) else dict(error.headers or [])
        message = f"this address does not take {_method(req)}: use {allowed.get('Allow', 'another method')}"
    else:
        message = error.description or error.title or "this request cannot be taken"
    resp.media = {"error": message}


def _method(req: falcon.Request) -> str:
    return req.method if req.method in falcon.HTTP_METHODS else "this method"
