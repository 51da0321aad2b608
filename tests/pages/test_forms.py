"""Forms are taken from our own pages only, in the session that they were made for, and within limits."""

from typing import Any

import httpx
import pytest

from edge.pages.page import Page
from edge.pages.routes import ROUTES
from tests.edge.gateway import NO_AUTHORITIES
from tests.pages.office import Office, hire
from tests.pages.visitor import Visitor

POSTED = [path for path, page in ROUTES if page.post is not Page.post]
_FORM = "application/x-www-form-urlencoded"
NO_FORMS = (
    ("application/json", b'{"csrf": "x"}'),
    ("multipart/form-data; boundary=x", b"--x\r\n"),
    (_FORM, b"csrf=1&" + b"&".join(b"a=1" for _ in range(600))),
    (_FORM, b"csrf=" + b"x" * 70_000),
    (_FORM, b"csrf=%ff%fe"),
    (_FORM, b"csrf=%00"),
    (_FORM, b"csrf=\xc3\xa9"),
)
_STATE = """
    select
        (select count(*) from messaging.outbox) as messages,
        (select count(*) from public.whatsapp_connections) as connections,
        (select count(*) from public.client_manager_links) as clients,
        (select count(*) from public.whatsapp_report_settings) as settings,
        (select count(*) from public.account_balance_alerts) as alerts
"""


def path_of(route: str, office: Office) -> str:
    """A route's path for the first client."""
    return route.format(client_id=office.manager.clients["Padaria Sol"], message_id=1, decision="resend")


def stored(office: Office) -> dict[str, Any]:
    """What a form could have changed."""
    return office.db.rows(_STATE)[0]


@pytest.mark.scoreboard("S13", tier="commit")
def test_a_form_without_its_token__refused(office: Office, visitor: Visitor) -> None:
    """Every POST of the pages needs the session's token: without it nothing happens."""
    before = stored(office)

    for route in POSTED:
        for fields in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
            filled = {"sure": "on", "label": "x", **fields}
            assert visitor.http.post(path_of(route, office), data=filled).status_code == 403, route
    assert stored(office) == before
    assert visitor.get("/agency").status_code == 200


@pytest.mark.scoreboard("S13", tier="commit")
def test_a_token_of_another_session__refused(office: Office, visitor: Visitor) -> None:
    """What one manager's page carries does not open another's, nor the same manager's next session."""
    hire(office.database_url, office.auth, "outro@agencia.example", clients=(), agency="Outra")
    other = hire_visitor(office, "outro@agencia.example")
    try:
        token = other.token("/agency")
    finally:
        other.http.close()

    assert visitor.http.post("/sign-out", data={"csrf": token}).status_code == 403
    old = visitor.token("/agency")
    visitor.post("/sign-out", on="/agency")
    visitor.sign_in(office.manager)
    assert visitor.http.post("/sign-out", data={"csrf": old}).status_code == 403


def hire_visitor(office: Office, email: str) -> Visitor:
    """A second browser."""
    visitor = Visitor(httpx.Client(base_url=office.address, verify=NO_AUTHORITIES, timeout=30))
    visitor.post("/sign-in", {"email": email, "password": office.manager.password})
    return visitor


def test_what_is_no_form_of_ours__refused(visitor: Visitor) -> None:
    """Other types, too much, and what cannot be stored are a page in Portuguese with a clear 4xx."""
    for content_type, content in NO_FORMS:
        answer = visitor.http.post("/sign-out", content=content, headers={"Content-Type": content_type})

        assert answer.status_code in (400, 403), content[:40]
        assert '<html lang="pt-BR">' in answer.text
