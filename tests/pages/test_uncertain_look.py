"""The page "Envios incertos" in a real browser: every size, both colours, by keyboard, without a script."""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.pages.browser import Tab
from tests.pages.office import Office
from tests.pages.test_keyboard import tab_to
from tests.pages.test_look import SIZES, inspect
from tests.pages.uncertain_world import Doubts, doubts_of

pytestmark = pytest.mark.slow

CLIENT, OTHER, WAITING = "Padaria Sol", "Clínica Bem Viver", "Ótica Mirante"
LONG = "Uma-palavra-muito-comprida-sem-espaço-" * 5
DECISIONS = ("resend", "consider-sent", "drop")


@pytest.fixture
def doubts(office: Office) -> Iterator[Doubts]:
    """Three uncertain messages: one with evidence, one with a long word, one that waits at the provider."""
    with doubts_of(office) as doubts:
        known = doubts.of_client(CLIENT)
        doubts.evidence(known, "provider_search", "nothing")
        doubts.evidence(known, "silence", "not_sent")
        doubts.of_client(OTHER, by="agency", text=LONG)
        doubts.evidence(doubts.of_client(WAITING), "provider_queue", "waiting")
        yield doubts


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser, office: Office) -> Iterator[Tab]:
    """A tab in one of the two colour schemes, signed in."""
    scheme: Literal["light", "dark"] = request.param
    with browser.new_context(base_url=office.address, locale="pt-BR", color_scheme=scheme) as context:
        tab = Tab(context)
        tab.sign_in(office.manager)
        yield tab


def test_everybody_can_decide_at_every_size(tab: Tab, doubts: Doubts) -> None:
    """The list and each question: names, labels, headings, target sizes, contrast, no scrolling sideways."""
    found: list[str] = []
    for name, size in SIZES.items():
        tab.page.set_viewport_size(size)
        tab.page.goto("/uncertain")
        expect(tab.page.get_by_role("article")).to_have_count(3)
        found += inspect(tab.page, f"list {name}")
        for decision in DECISIONS:
            tab.page.goto("/uncertain")
            tab.page.locator(f'a[href$="/{decision}"]').first.click()
            tab.page.wait_for_url(f"**/{decision}")
            found += inspect(tab.page, f"{decision} {name}")

    assert found == []
    assert tab.troubles == []


def test_a_decision_with_the_keyboard_alone(tab: Tab, doubts: Doubts) -> None:
    """From the navigation to the list, to the question, a reason, Enter; the notice is read out, and the
    message is gone."""
    tab_to(tab, "Incertos")
    tab.page.keyboard.press("Enter")
    article = tab.page.get_by_role("article", name=CLIENT)
    expect(article.get_by_role("link", name="Reenviar")).to_have_accessible_description(CLIENT)
    tab_to(tab, "Considerar enviada")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Considerar esta mensagem enviada?")
    tab.page.get_by_label("Motivo").focus()
    tab.page.keyboard.type("A cliente respondeu")
    tab.page.keyboard.press("Enter")

    expect(tab.page.get_by_role("status").first).to_have_text("A mensagem consta como enviada.")
    expect(article).to_have_count(0)
    assert [row[1:] for row in doubts.decisions()] == [
        ("consider_sent", doubts.office.manager.email, "A cliente respondeu")
    ]


def test_it_works_without_a_script(browser: Browser, office: Office, doubts: Doubts) -> None:
    """Without JavaScript one reads, is asked, and decides; what somebody else decided meanwhile is said."""
    context: BrowserContext = browser.new_context(base_url=office.address, java_script_enabled=False)
    with context:
        tab = Tab(context)
        tab.sign_in(office.manager)
        tab.page.goto("/uncertain")
        tab.page.get_by_role("article", name=OTHER).get_by_role("link", name="Descartar").click()
        tab.page.get_by_role("button", name="Descartar").click()
        expect(tab.page.get_by_text("A mensagem foi descartada.")).to_be_visible()

        tab.page.get_by_role("article", name=CLIENT).get_by_role("link", name="Reenviar").click()
        doubts.world.rows(
            "select messaging.decide_unknown(id, 'drop', 'outra pessoa') from messaging.outbox"
            " where dispatch_state = 'unknown'"
        )
        tab.page.get_by_role("button", name="Reenviar").click()
        expect(tab.page.get_by_text("já tinha sido decidida por outra pessoa")).to_be_visible()
        expect(tab.page.get_by_text("Nenhum envio incerto")).to_be_visible()
    assert [row[1] for row in doubts.decisions()] == ["drop", "drop", "drop"]


def test_a_second_press_decides_once(tab: Tab, doubts: Doubts) -> None:
    """Two quick clicks are one decision."""
    tab.page.goto("/uncertain")
    tab.page.get_by_role("article", name=CLIENT).get_by_role("link", name="Reenviar").click()
    tab.page.get_by_role("button", name="Reenviar").dblclick()

    expect(tab.page.get_by_text("A mensagem voltou para a fila")).to_be_visible()
    assert len(doubts.decisions()) == 1
