"""One request to a page, and what a page may reply: values only. page.py turns them into HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import falcon

from edge.errors import ErrorAnswers
from edge.pages.forms import Form, FormRefused, form_token, read_form
from edge.pages.rendering import Templates
from edge.pages.session import Session, Sessions
from shared.connections import Connections
from shared.db import Calls
from shared.errors import NotFound
from shared.identity import Person
from shared.settings import Settings
from shared.sign_in import SignIn


class SignInNeeded(Exception):
    """Nobody is signed in."""


@dataclass(frozen=True)
class Site:
    """What the pages are made of. `sessions` None: sign-in is not set up on this server."""

    db: Calls
    settings: Settings
    templates: Templates
    errors: ErrorAnswers
    sessions: Sessions | None
    sign_in: SignIn
    connections: Connections


@dataclass(frozen=True)
class Html:
    """A template with its values."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    http_status: int = 200
    refresh_s: int | None = None


@dataclass(frozen=True)
class Redirect:
    """See another page of ours (303)."""

    path: str


@dataclass(frozen=True)
class Data:
    """JSON for our own script; None: nothing has changed (204)."""

    value: Mapping[str, Any] | None
    http_status: int = 200


Reply = Html | Redirect | Data


class Visit:
    """One request to a page."""

    def __init__(
        self, site: Site, req: falcon.Request, resp: falcon.Response, path: Mapping[str, str]
    ) -> None:
        self.site = site
        self.req = req
        self.resp = resp
        self.session = Session(None, "")
        self._path = path
        self.query = _query(req.query_string)

    @property
    def person(self) -> Person:
        """Who is signed in; SignInNeeded where nobody is, TooManyTries where that cannot be told now."""
        if self.session.trouble is not None:
            raise self.session.trouble
        if self.session.person is None:
            raise SignInNeeded
        return self.session.person

    @property
    def db(self) -> Calls:
        """The database as this person: every function that is called checks what they may do."""
        return self.site.db.as_person(self.person)

    def part(self, name: str) -> str:
        """What stands in the address at {name}; empty where its route has no such part."""
        return self._path.get(name, "")

    @property
    def client_id(self) -> UUID | None:
        """The client of the path, None for the agency itself; NotFound for what is no id."""
        text = self._path.get("client_id")
        if text is None:
            return None
        try:
            client_id = UUID(text)
        except ValueError:
            raise NotFound from None
        if str(client_id) != text.lower():
            raise NotFound
        return client_id

    @property
    def form(self) -> Form:
        """The form that was posted; FormRefused where it is not one of ours, TooManyTries where whose it is
        cannot be told now."""
        try:
            return read_form(self.req, self.form_token)
        except FormRefused:
            if self.session.trouble is not None:
                raise self.session.trouble from None
            raise

    @property
    def form_token(self) -> str:
        """What forms of this session carry."""
        person = self.session.person
        return form_token(self.session.form_key, person.user_id if person else "nobody")

    @property
    def wants_data(self) -> bool:
        """Whether our script asks, rather than a browser for a page."""
        return "application/json" in (self.req.get_header("accept") or "") or self.req.path.endswith(".json")


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, max_num_fields=50))
    except ValueError:
        return {}
