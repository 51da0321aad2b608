"""An agency's pages show and change its own clients only; another's look as if they were not there."""

import uuid
from typing import Any

import pytest

from edge.pages.page import Page
from edge.pages.routes import ROUTES
from tests.pages.office import Manager, Office, hire
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.scoreboard("S16", tier="commit")

OF_A_CLIENT = [(path, page) for path, page in ROUTES if "{client_id}" in path]
SHOWN = [path for path, page in OF_A_CLIENT if page.get is not Page.get]
POSTED = [path for path, page in OF_A_CLIENT if page.post is not Page.post]
FIELDS = {
    "sure": "on",
    "label": "Meu agora",
    "phone": "11 98765-4321",
    "frequency": "daily",
    "period": "yesterday",
    "nonce": "n" * 16,
}


@pytest.fixture
def rival(office: Office) -> Manager:
    """Another agency with one client."""
    return hire(
        office.database_url, office.auth, "rival@outra.example", clients=["Loja Rival"], agency="Rival"
    )


def rows(office: Office) -> list[dict[str, Any]]:
    """The rival's client and everything that hangs on it."""
    return office.db.rows(
        """
        select l.client_label, c.id as connection_id, s.id as setting_id, a.threshold_value
        from public.client_manager_links as l
        left join public.whatsapp_connections as c on c.client_id = l.client_user_id
        left join public.whatsapp_report_settings as s on s.client_id = l.client_user_id
        left join public.account_balance_alerts as a on a.client_id = l.client_user_id
        where l.client_label = 'Loja Rival'
        """
    )


def test_anothers_client_looks_like_one_that_never_was(visitor: Visitor, rival: Manager) -> None:
    """The same 404, byte for byte, for another agency's client, a made-up id, and what is no id at all."""
    theirs, made_up = rival.clients["Loja Rival"], uuid.uuid4()
    for route in SHOWN:
        ids = (theirs, made_up, "x", str(theirs).upper())
        answers = [visitor.get(route.format(client_id=each)) for each in ids]

        assert {answer.status_code for answer in answers} == {404}, route
        assert len({answer.content for answer in answers}) == 1, route


def test_anothers_client_is_not_changed__refused(office: Office, visitor: Visitor, rival: Manager) -> None:
    """A form sent for another agency's client is answered as for none, and nothing happens (bug 23)."""
    before = rows(office)
    token = visitor.token("/agency")
    for route in POSTED:
        paths = [route.format(client_id=each) for each in (rival.clients["Loja Rival"], uuid.uuid4())]
        answers = [visitor.http.post(path, data={"csrf": token, **FIELDS}) for path in paths]

        assert [answer.status_code for answer in answers] == [404, 404], route
        assert answers[0].content == answers[1].content, route
    assert rows(office) == before
    assert office.evolution.instances() == []


def test_nothing_of_another_agency_is_shown(visitor: Visitor, rival: Manager) -> None:
    """Neither names nor ids of another agency's clients are on any page."""
    for path in (
        "/agency",
        "/agency?q=Rival",
        "/connections",
        "/reports",
        "/uncertain",
        "/agency/status.json",
        "/reports.json",
    ):
        answer = visitor.get(path)
        assert "Loja Rival" not in answer.text.replace('value="Rival"', "")
        assert str(rival.clients["Loja Rival"]) not in answer.text
