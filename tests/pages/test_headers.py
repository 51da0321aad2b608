"""What every page says to the browser about itself, and what it never contains."""

import re

from edge.pages.page import SECURITY_HEADERS, Page
from edge.pages.rendering import asset, static_names
from edge.pages.routes import ROUTES
from tests.pages.office import Office
from tests.pages.visitor import Visitor

SHOWN = [path for path, page in ROUTES if page.get is not Page.get]
# What the content security policy would refuse: scripts and styles inside the page.
_INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", re.I)


def test_every_page_is_private_and_strict(office: Office, visitor: Visitor) -> None:
    """Security headers, no caching, no reading by other origins, nothing inline; whatever its status."""
    for route in SHOWN:
        answer = visitor.get(
            route.format(client_id=office.manager.clients["Padaria Sol"], message_id=1, decision="resend")
        )

        assert answer.status_code < 500, route
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS, route
        assert "access-control-allow-origin" not in answer.headers, route
        assert _INLINE.findall(answer.text) == [], route


def test_the_policy_itself_is_strict() -> None:
    """What the pages send is what protects: no other source, no plug-in, no frame, no other base."""
    written = SECURITY_HEADERS["Content-Security-Policy"]
    policy = dict(part.strip().partition(" ")[::2] for part in written.split(";"))
    assert {policy[name] for name in ("default-src", "frame-ancestors", "base-uri")} == {"'none'"}
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
    assert SECURITY_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in SECURITY_HEADERS["Cache-Control"]


def test_files_are_kept_for_ever_under_a_name_that_changes(stranger: Visitor) -> None:
    """A static file's address carries its content's hash; the browser may keep it, and ask again."""
    for name in static_names():
        answer = stranger.get(asset(name))
        again = stranger.get(asset(name), headers={"If-None-Match": answer.headers["etag"]})

        assert answer.status_code == 200, name
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (again.status_code, again.content) == (304, b"")


def test_no_other_file_is_served__refused(stranger: Visitor) -> None:
    """Only the files of edge/static, only under their present address."""
    for path in ("app.css", "app.0000000000000000.css", "%2e%2e%2fapp.css", "base.html", ".css", "app..css"):
        assert stranger.get(f"/static/{path}").status_code == 404, path


def test_an_address_that_is_nobodys_is_a_page_for_a_browser(visitor: Visitor) -> None:
    """A person who mistypes reads Portuguese; whoever calls functions reads JSON as ever."""
    browser = visitor.get("/agencia", headers={"Accept": "text/html,*/*"})
    caller = visitor.get("/functions/v1/none", headers={"Accept": "text/html"})

    assert (browser.status_code, "Página não encontrada" in browser.text) == (404, True)
    assert (caller.status_code, caller.headers["content-type"]) == (404, "application/json")
