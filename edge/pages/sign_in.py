"""/sign-in and /sign-out: e-mail and password, in one form that says what is wrong in one sentence."""

import re

from edge.pages.page import Page
from edge.pages.visit import Html, Redirect, Reply, Visit
from shared.errors import RoletaError
from shared.jwks import AuthUnavailable
from shared.sign_in import TooManyTries, WrongCredentials
from shared.texts_pt import pages as words

# A path of ours: no other site ("//", "/\\"), nothing that a header or a browser may read otherwise.
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")

_REFUSALS: dict[type[RoletaError], tuple[str, int]] = {
    WrongCredentials: (words.SIGN_IN_WRONG, 401),
    TooManyTries: (words.SIGN_IN_TOO_MANY, 429),
    AuthUnavailable: (words.SIGN_IN_AWAY, 503),
}


class SignInPage(Page):
    """GET and POST /sign-in."""

    def get(self, visit: Visit) -> Reply:
        """The form; who is signed in already goes on."""
        next_path = own_path(visit.query.get("next"))
        if visit.session.person is not None:
            return Redirect(next_path)
        return self._form(visit, next_path)

    def post(self, visit: Visit) -> Reply:
        """Signs in and goes on, or says what is wrong."""
        sessions = visit.site.sessions
        if sessions is None:
            return self._form(visit, own_path(None))
        form = visit.form
        email, password = form.text("email"), form.as_typed("password")
        next_path = own_path(form.text("next", longest=600))
        if not email or not password:
            return self._form(visit, next_path, email, words.SIGN_IN_EMPTY, 400)
        try:
            sessions.begin(visit.req, visit.resp, email, password)
        except (WrongCredentials, TooManyTries, AuthUnavailable) as error:
            problem, http_status = _REFUSALS[type(error)]
            return self._form(visit, next_path, email, problem, http_status)
        return Redirect(next_path)

    def _form(
        self,
        visit: Visit,
        next_path: str,
        email: str = "",
        problem: str | None = None,
        http_status: int = 200,
    ) -> Reply:
        is_set_up = visit.site.sessions is not None
        values = {"is_set_up": is_set_up, "next_path": next_path, "email": email, "problem": problem}
        return Html("sign_in.html", values, http_status if is_set_up else 503)


class SignOut(Page):
    """POST /sign-out."""

    def post(self, visit: Visit) -> Reply:
        """Forgets the tokens, here and at the auth service."""
        visit.form  # noqa: B018 - refuses a form that is not ours
        if visit.site.sessions is not None:
            person = visit.session.person
            visit.site.sessions.end(visit.req, visit.resp, person.token if person else None)
        return Redirect("/sign-in")


def own_path(wanted: str | None) -> str:
    """A path of this site, /agency for anything else."""
    return wanted if wanted and _OWN_PATH.fullmatch(wanted) else "/agency"
