"""The light poll of /agency: in step while all is well, slow while it fails, silent while nobody looks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Request, Route, expect

from tests.pages.browser import Tab
from tests.pages.office import Office
from tests.pages.visitor import Visitor
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SETTLED = "() => new Promise((done) => requestIdleCallback(() => done(false)))"
STATUS = "**/agency/status.json*"
CLIENT = "Padaria Sol"


@pytest.fixture
def tab(office: Office, context: BrowserContext) -> Iterator[Tab]:
    """A tab on /agency whose clock can be moved."""
    tab = Tab(context)
    tab.page.clock.install()
    tab.sign_in(office.manager)
    yield tab


def asked(tab: Tab) -> list[str]:
    """The polls from now on."""
    seen: list[str] = []
    tab.page.on("request", lambda request: seen.append(request.url) if "status.json" in request.url else None)
    return seen


def pass_seconds(tab: Tab, seconds: int) -> None:
    """Second by second; however slow the machine, each answer arrives before the page's next second."""
    under_way: set[Request] = set()

    def begun(request: Request) -> None:
        under_way.add(request)

    def ended(request: Request) -> None:
        under_way.discard(request)

    tab.page.on("request", begun)
    tab.page.on("requestfinished", ended)
    tab.page.on("requestfailed", ended)
    for _ in range(seconds):
        tab.page.clock.run_for(1000)
        tab.page.evaluate(SETTLED)
        eventually(lambda: tab.page.evaluate(SETTLED) or not under_way, 30, "the page's answers")
        tab.page.evaluate(SETTLED)
    tab.page.remove_listener("request", begun)
    tab.page.remove_listener("requestfinished", ended)
    tab.page.remove_listener("requestfailed", ended)


def hide(tab: Tab, hidden: bool) -> None:
    """As if the person went to another tab, or came back."""
    tab.page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_a_failing_server_is_asked_ever_more_slowly(tab: Tab) -> None:
    """A minute of failures costs a handful of requests; nothing breaks, and it goes on afterwards."""
    seen = asked(tab)

    def fail(route: Route) -> None:
        route.fulfill(status=503, body="away")

    tab.page.route(STATUS, fail)
    pass_seconds(tab, 60)
    assert 2 <= len(seen) <= 7

    tab.page.unroute(STATUS)
    pass_seconds(tab, 40)
    much = len(seen)
    pass_seconds(tab, 10)
    assert len(seen) - much >= 3


def test_a_hidden_tab_asks_nothing(tab: Tab) -> None:
    """While another tab is in front there are no polls; back again, it looks at once."""
    hide(tab, True)
    pass_seconds(tab, 3)
    seen = asked(tab)
    pass_seconds(tab, 20)
    assert seen == []

    hide(tab, False)
    pass_seconds(tab, 1)
    assert len(seen) == 1


def test_a_change_elsewhere_is_seen_and_told(office: Office, tab: Tab) -> None:
    """What a colleague or a phone does shows on the card, in the counters and to a screen reader."""
    tab.card(CLIENT).locator("form button").click()
    expect(tab.page.get_by_role("dialog").get_by_alt_text("Código QR")).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(tab.card(CLIENT).get_by_text("Aguardando leitura")).to_be_visible()
    with office.working():
        office.scan(CLIENT)
        expect(tab.card(CLIENT).get_by_text("Conectado", exact=True)).to_be_visible(timeout=10_000)
    expect(tab.page.locator("[data-counter=connected]")).to_have_text("1")
    expect(tab.page.locator("#announce")).to_have_text(f"{CLIENT}: Conectado")
    assert tab.troubles == []


def test_a_change_before_the_first_answer_is_told_too(office: Office, tab: Tab, visitor: Visitor) -> None:
    """What happened between the drawing of the page and its first poll is news like any other."""
    tab.page.route(STATUS, lambda route: route.fulfill(status=503, body="away"))
    tab.page.goto("/agency")
    visitor.post(office.path(CLIENT, "connect"))
    tab.page.unroute(STATUS)
    pass_seconds(tab, 10)
    expect(tab.page.locator("#announce")).to_have_text(f"{CLIENT}: Aguardando leitura")


def test_a_session_that_is_over_leads_to_the_sign_in(tab: Tab, context: BrowserContext) -> None:
    """Signed out in another tab, this one asks to sign in and comes back here."""
    context.clear_cookies()
    tab.page.clock.run_for(3000)

    tab.page.wait_for_url("**/sign-in?next=*")
    expect(tab.page.locator("[name=next]")).to_have_value("/agency")
