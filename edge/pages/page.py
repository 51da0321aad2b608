"""What every page shares: the session, errors as pages in Portuguese, replies as HTTP, headers."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import falcon

from edge.pages.forms import BadField, FormRefused, require_own_page
from edge.pages.visit import Data, Html, Redirect, Reply, SignInNeeded, Site, Visit
from shared import unknowns
from shared.errors import NotFound, RoletaError
from shared.providers.base import ProviderError
from shared.texts_pt import pages as words

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SIGN_IN = "/sign-in"


class Page:
    """A resource: subclasses say what `get` and `post` reply; errors become pages in Portuguese."""

    same_origin_only = True

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, visit: Visit) -> Reply:
        """The reply to GET."""
        raise falcon.HTTPMethodNotAllowed(["POST"])

    def post(self, visit: Visit) -> Reply:
        """The reply to POST."""
        raise falcon.HTTPMethodNotAllowed(["GET"])

    def on_get(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """GET, for falcon."""
        self._answer(self.get, req, resp, path)

    def on_post(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """POST, for falcon."""
        self._answer(self.post, req, resp, path)

    def _answer(
        self,
        act: Callable[[Visit], Reply],
        req: falcon.Request,
        resp: falcon.Response,
        path: Mapping[str, str],
    ) -> None:
        visit = Visit(self._site, req, resp, path)
        try:
            if req.method != "GET":
                # Before the session is read: what another site caused does not even renew a token.
                require_own_page(req, self._site.settings.public_base_url)
            if self._site.sessions is not None:
                visit.session = self._site.sessions.read(req, resp)
            reply = act(visit)
        except SignInNeeded:
            reply = _to_sign_in(visit)
        except FormRefused:
            reply = _problem(visit, 403, words.FORM_REFUSED)
        except falcon.HTTPError as error:
            reply = _problem(visit, error.status_code)
        except ProviderError:
            reply = _problem(visit, 502)
        except BadField as error:
            reply = _problem(visit, 400, detail=str(error))
        except Exception as error:
            self._site.errors.handle(req, resp, error)
            reply = _problem(visit, resp.status_code)
        _write(visit, reply)


class NoSuchPage(Page):
    """What a browser gets at an address that is nobody's; everybody else gets the gateway's own answer."""

    def get(self, visit: Visit) -> Reply:
        """404."""
        raise NotFound

    def sink(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """For falcon: every address that has no route."""
        if req.method != "GET" or "text/html" not in (req.get_header("accept") or ""):
            raise falcon.HTTPRouteNotFound
        self.on_get(req, resp)


def _to_sign_in(visit: Visit) -> Reply:
    if visit.wants_data:
        return Data({"error": words.SESSION_OVER, "sign_in": SIGN_IN}, 401)
    if visit.req.method != "GET":
        return Redirect(SIGN_IN)
    return Redirect(f"{SIGN_IN}?next={quote(visit.req.relative_uri)}")


def _problem(
    visit: Visit, status: int, texts: tuple[str, str] | None = None, *, detail: str | None = None
) -> Reply:
    title, explanation = texts or words.PROBLEMS.get(status, words.PROBLEMS[500])
    if visit.wants_data:
        return Data({"error": detail or f"{title}. {explanation}"}, status)
    return Html("problem.html", {"title": title, "explanation": detail or explanation}, status)


def _write(visit: Visit, reply: Reply) -> None:
    resp = visit.resp
    resp.set_headers(SECURITY_HEADERS)
    resp.media = None
    match reply:
        case Redirect(path):
            resp.status, resp.text = falcon.HTTP_303, None
            resp.set_header("Location", path)
        case Data(None):
            resp.status = falcon.HTTP_204
        case Data(value, http_status):
            resp.status = falcon.code_to_http_status(http_status)
            resp.content_type = "application/json"
            resp.text = json.dumps(value, ensure_ascii=False)
        case Html(template, values, http_status, refresh_s):
            resp.status = falcon.code_to_http_status(http_status)
            resp.content_type = "text/html; charset=utf-8"
            if refresh_s is not None:
                resp.set_header("Refresh", str(refresh_s))
            resp.text = visit.site.templates.render(template, _shell(visit, http_status) | dict(values))


def _shell(visit: Visit, http_status: int) -> dict[str, Any]:
    """What base.html needs, whatever the page."""
    return {
        "person": visit.session.person,
        "uncertain": 0 if http_status >= 500 else _uncertain(visit),
        "form_token": visit.form_token,
        "place": visit.req.path,
        "notice": words.NOTICES.get(visit.query.get("notice", "")),
    }


def _uncertain(visit: Visit) -> int:
    """How many uncertain messages wait for a decision: beside the way to their page."""
    if visit.session.person is None:
        return 0
    try:
        return unknowns.count_own(visit.db)
    except RoletaError:
        return 0  # a page is worth more than this count
