"""A browser without the browser: cookies, and forms with the token of the page that they are on."""

import re
from collections.abc import Mapping
from typing import Any

import httpx

from tests.pages.office import Manager

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Visitor:
    """Asks the gateway over one client, which keeps the cookies."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str, **options: Any) -> httpx.Response:
        """One page."""
        return self.http.get(path, **options)

    def token(self, page: str) -> str:
        """What the forms of a page carry."""
        found = _TOKEN.search(self.get(page).text)
        assert found is not None, f"no form on {page}"
        return found[1]

    def post(
        self, path: str, fields: Mapping[str, Any] | None = None, *, on: str | None = None, **options: Any
    ) -> httpx.Response:
        """A form of the page `on` (default: of `path` itself)."""
        token = self.token(on or path)
        return self.http.post(path, data={"csrf": token, **(fields or {})}, **options)

    def sign_in(self, manager: Manager) -> None:
        """By the form."""
        answer = self.post("/sign-in", {"email": manager.email, "password": manager.password})
        assert answer.status_code == 303, answer.text
