"""S14: what people and providers call things is text on every page and in every answer, whatever it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from edge.pages.page import SECURITY_HEADERS
from tests.pages.hostile import hostile_texts, skeleton
from tests.pages.office import Office
from tests.pages.visitor import Visitor

pytestmark = pytest.mark.scoreboard("S14", tier="landing")

CLIENT = "Padaria Sol"
TEXTS = hostile_texts()
HARMLESS = [f"Cliente {place}" for place in range(len(TEXTS))]
OF_A_CLIENT = ("report", "alerts", "accounts", "edit", "remove", "connect", "disconnect")
LOG_PAGE = 100


def name_clients(office: Office, names: Sequence[str]) -> None:
    """As many clients as names, called so, with such addresses; an order that does not hang on the names."""
    office.db.rows(
        """
        with made as (
            insert into public.client_manager_links (client_user_id, manager_id, client_label, client_email)
            select md5('client ' || n.place)::uuid, %(manager)s, n.name, n.name
            from unnest(%(names)s::text[]) with ordinality as n (name, place)
            on conflict (client_user_id) do update
            set client_label = excluded.client_label, client_email = excluded.client_email
            returning 1
        )
        select count(*) from made
        """,
        {"manager": office.manager.user_id, "names": list(names)},
    )


def name_all_else(office: Office, text: str) -> None:
    """The first client, its account, its log, its number, its alert's phone, and the agency, called so."""
    for statement in (
        "update public.client_manager_links set client_label = %(text)s where client_user_id = %(client)s"
        " returning 1",
        "update public.client_ad_accounts set account_name = %(text)s where client_id = %(client)s"
        " returning 1",
        "update public.agency_settings set agency_name = %(text)s returning 1",
        "update public.whatsapp_report_logs set error_message = %(text)s returning 1",
        "update public.account_balance_alerts set recipient_phone = %(text)s returning 1",
        "update public.whatsapp_report_settings set phone_number = %(text)s returning 1",
    ):
        assert office.db.rows(statement, {"text": text, "client": office.manager.clients[CLIENT]}), statement


def furnish(office: Office, visitor: Visitor) -> None:
    """A row of everything that the names below stand in."""
    visitor.post(office.path(CLIENT, "connect"), on="/agency")
    fields = {"frequency": "weekly", "period": "yesterday", "phone": "11 98765-4321", "is_active": "on"}
    visitor.post(office.path(CLIENT, "report"), fields)
    office.db.rows(
        "insert into public.account_balance_alerts (agency_id, client_id, ad_account_id, recipient_phone)"
        " select %(agency)s, client_id, ad_account_id, '1' from public.client_ad_accounts"
        " where client_id = %(client)s returning 1",
        {"agency": office.manager.user_id, "client": office.manager.clients[CLIENT]},
    )
    log(office, ["não saiu"])


def log(office: Office, errors: Sequence[str]) -> None:
    """The log of reports, with these errors and no others; all of them older than what a test enqueues, so
    that a slow machine shows the same ones."""
    office.db.rows("delete from public.whatsapp_report_logs returning 1")
    office.db.rows(
        "insert into public.whatsapp_report_logs (agency_id, client_id, sent_at, status, error_message)"
        " select %(agency)s, %(client)s, now() - n.place * interval '1 hour', 'error', n.error"
        " from unnest(%(errors)s::text[]) with ordinality as n (error, place) returning 1",
        {
            "agency": office.manager.user_id,
            "client": office.manager.clients[CLIENT],
            "errors": list(errors),
        },
    )


def skeletons(visitor: Visitor, paths: Sequence[str]) -> dict[str, list[str]]:
    """What these pages are made of."""
    found = {}
    for path in paths:
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        found[path] = skeleton(answer.text)
    return found


def test_a_thousand_hostile_names_add_no_element(office: Office, visitor: Visitor) -> None:
    """More than 1,000 clients with hostile names and addresses on one page: the same elements, attributes
    and links as with harmless ones, and the text itself is there."""
    assert len(TEXTS) >= 1000
    pages = ("/agency", "/connections")
    name_clients(office, HARMLESS)
    harmless = skeletons(visitor, pages)
    name_clients(office, TEXTS)

    assert skeletons(visitor, pages) == harmless
    status = visitor.get("/agency/status.json")
    assert status.headers["content-type"] == "application/json"
    assert set(TEXTS) <= {card["name"] for card in status.json()["cards"]}


def test_hostile_texts_in_every_other_place_add_no_element(office: Office, visitor: Visitor) -> None:
    """The pages of one client, with the names of the client, its accounts and the agency, the phones and the
    errors of the log made of all of them."""
    furnish(office, visitor)
    pages = ["/agency", "/connections", "/reports", *(office.path(CLIENT, page) for page in OF_A_CLIENT)]
    name_all_else(office, "Nome")
    harmless = skeletons(visitor, pages)
    for begin in range(0, len(TEXTS), 100):
        name_all_else(office, " ".join(TEXTS[begin : begin + 100]))
        assert skeletons(visitor, pages) == harmless, begin


def test_a_thousand_hostile_errors_add_no_element(office: Office, visitor: Visitor) -> None:
    """What a provider gave as its reason, on the page and in what the script asks."""
    log(office, HARMLESS[:LOG_PAGE])
    harmless = skeletons(visitor, ["/reports"])
    for begin in range(0, len(TEXTS) - LOG_PAGE + 1, LOG_PAGE):
        log(office, TEXTS[begin : begin + LOG_PAGE])
        assert skeletons(visitor, ["/reports"]) == harmless, begin
        assert visitor.get("/reports.json").json() == {"deliveries": []}


def test_what_is_typed_comes_back_as_text(office: Office, visitor: Visitor, stranger: Visitor) -> None:
    """A search, a form that is refused, an address in ?next=: echoed as text."""
    some = TEXTS[::7]
    searched = skeleton(visitor.get("/agency", params={"q": "ninguém"}).text)
    edited = skeleton(visitor.post(office.path(CLIENT, "edit"), {"label": "x" * 121}).text)
    account = skeleton(visitor.post(office.path(CLIENT, "accounts"), {"accounts": "!"}).text)
    for text in some:
        assert skeleton(visitor.get("/agency", params={"q": text[:100]}).text) == searched, text
    for text in (" ".join(some), "".join(some)):
        answers: Mapping[str, Any] = {
            "edit": visitor.post(office.path(CLIENT, "edit"), {"label": text}),
            "accounts": visitor.post(office.path(CLIENT, "accounts"), {"accounts": text[:19_000]}),
        }
        assert [answer.status_code for answer in answers.values()] == [400, 400]
        assert skeleton(answers["edit"].text) == edited
        assert skeleton(answers["accounts"].text) == account
    entry = skeleton(stranger.get("/sign-in").text)
    for text in TEXTS[::49]:
        assert skeleton(stranger.get("/sign-in", params={"next": text}).text) == entry, text


def test_an_unknown_address_is_not_repeated(visitor: Visitor) -> None:
    """A page that does not exist says nothing of the address that was asked for."""
    for text in TEXTS[::49]:
        answer = visitor.get("/nowhere", params={"x": text}, headers={"Accept": "text/html"})
        assert (answer.status_code, "hit()" in answer.text) == (404, False)


def test_pages_let_the_browser_run_nothing_of_a_page() -> None:
    """Scripts and styles come from our files alone; no plug-in, base, frame or foreign form."""
    rules = dict(
        rule.strip().partition(" ")[::2] for rule in SECURITY_HEADERS["Content-Security-Policy"].split(";")
    )
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "object-src": "'none'",
    }
