"""S14 in a real browser: what only a browser would run does not run."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.pages.browser import Tab
from tests.pages.hostile import hostile_texts
from tests.pages.office import Office
from tests.pages.test_hostile import CLIENT, HARMLESS, OF_A_CLIENT, log, name_clients
from tests.pages.uncertain_world import doubts_of

pytestmark = [pytest.mark.slow, pytest.mark.scoreboard("S14", tier="landing")]

TEXTS = hostile_texts()
# Five in each name: a thousand cards are a second's work for a browser at every poll.
NAMES = [" ".join(TEXTS[place::200]) for place in range(200)]
WATCH = "window.wasHit = 0; window.hit = () => { window.wasHit += 1; };"


def made_of(page: Page) -> list[str]:
    """The elements of the document as the browser understood it, and their attributes; in no order, since the
    log goes by time."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('*')].map(e => e.localName + ' ' + e.getAttributeNames().join(' '))"
    )
    return sorted(found)


def test_no_hostile_text_runs(office: Office, context: BrowserContext) -> None:
    """Clients with more than 1,000 hostile names, and hostile texts in every other place: the browser finds
    the same elements as with harmless ones, asks nobody but us, runs nothing of them, and the policy had
    nothing to forbid. The same for what the script writes: cards, dialogs, preview, search."""
    context.add_init_script(WATCH)
    context.set_default_timeout(60_000)
    asked: list[str] = []
    with doubts_of(office) as doubts:
        message = doubts.of_client(CLIENT)
        tab = Tab(context)
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.sign_in(office.manager)
        name_clients(office, HARMLESS[: len(NAMES)])
        log(office, HARMLESS[:50])
        pages = ["/agency", "/connections", "/reports", "/uncertain", f"/uncertain/{message}/drop"]
        pages += [office.path(CLIENT, page) for page in OF_A_CLIENT]

        def visited() -> list[list[str]]:
            found = []
            for path in pages:
                tab.page.goto(path)
                found.append(made_of(tab.page))
                assert tab.page.evaluate("window.wasHit") == 0, path
            return found

        harmless = visited()
        all_of_them = " ".join(TEXTS)
        doubts.world.rows(
            "update messaging.outbox set content = jsonb_build_object('kind', 'text', 'text', %s::text)",
            all_of_them,
        )
        doubts.world.rows("update public.whatsapp_instances set name = %s", all_of_them)
        name_clients(office, NAMES)
        log(office, NAMES[:50])
        name_client(office, " ".join(TEXTS[::40]))
        assert visited() == harmless

        written_by_the_script(tab)
    assert tab.troubles == []
    assert [url for url in asked if not url.startswith((office.address, "data:"))] == []


def name_client(office: Office, text: str) -> None:
    """The client whose pages are looked at, and its agency."""
    for statement in (
        "update public.client_manager_links set client_label = %(text)s where client_user_id = %(client)s"
        " returning 1",
        "update public.client_ad_accounts set account_name = %(text)s where client_id = %(client)s"
        " returning 1",
        "update public.agency_settings set agency_name = %(text)s returning 1",
    ):
        assert office.db.rows(statement, {"text": text, "client": office.manager.clients[CLIENT]})


def written_by_the_script(tab: Tab) -> None:
    """A search, the two dialogs, and the preview, with hostile texts."""
    tab.page.goto("/agency")
    search = tab.page.get_by_role("searchbox")
    for text in TEXTS[:: len(TEXTS) // 10]:
        search.fill(text[:100].replace("\n", " "))
    search.fill("")
    card = tab.page.locator("[data-card]", has_text="onerror=hit()").first
    card.locator("form button").click()
    dialog = tab.page.get_by_role("dialog")
    expect(dialog.locator("[data-who]")).to_contain_text("hit()")
    tab.page.keyboard.press("Escape")
    assert dialog.locator("[data-who] *").count() == 0
    assert tab.page.evaluate("window.wasHit") == 0
