"""Every page in a real browser, narrow and wide, light and dark: readable, reachable, labelled, quiet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.pages.browser import Tab
from tests.pages.office import Office

pytestmark = pytest.mark.slow

CLIENT = "Padaria Sol"
INSPECTION = (Path(__file__).parent / "inspection.js").read_text()
SIZES: dict[str, ViewportSize] = {
    "smallest": {"width": 320, "height": 640},
    "phone": {"width": 360, "height": 740},
    "desktop": {"width": 1280, "height": 800},
}
WHOLE = ["/agency", "/connections", "/reports", "/uncertain", "/notice", "/clients/new", "/nowhere"]
OF_A_CLIENT = ["report", "alerts", "accounts", "edit", "remove", "connect", "disconnect"]


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser, office: Office) -> Iterator[Tab]:
    """A tab in one of the two colour schemes."""
    scheme: Literal["light", "dark"] = request.param
    context = browser.new_context(base_url=office.address, locale="pt-BR", color_scheme=scheme)
    with context:
        yield Tab(context)


def inspect(page: Page, where: str) -> list[str]:
    """What this page breaks."""
    return [f"{where}: {fault}" for fault in page.evaluate(INSPECTION)]


@pytest.mark.parametrize("size", SIZES)
def test_every_page_can_be_used_by_everybody(office: Office, tab: Tab, size: str) -> None:
    """Names, labels, headings, target sizes, contrast, no scrolling sideways, on every page at every size."""
    tab.page.set_viewport_size(SIZES[size])
    tab.page.goto("/sign-in")
    found = inspect(tab.page, "/sign-in")
    tab.sign_in(office.manager)
    for path in [*WHOLE, *(office.path(CLIENT, page) for page in OF_A_CLIENT)]:
        tab.page.goto(path)
        found += inspect(tab.page, path)

    assert found == []
    assert [trouble for trouble in tab.troubles if "404" not in trouble] == []  # /nowhere


def test_the_dialogs_can_be_used_by_everybody(office: Office, tab: Tab) -> None:
    """The same for the pairing in its states, and for the question before disconnecting."""
    tab.page.set_viewport_size(SIZES["phone"])
    tab.sign_in(office.manager)
    tab.card(CLIENT).locator("form button").click()
    dialog = tab.page.get_by_role("dialog", name="Conectar WhatsApp")
    expect(dialog.get_by_alt_text("Código QR")).to_be_visible()
    dialog.get_by_text("Conectar com código").click()
    found = inspect(tab.page, "scan")
    office.scan(CLIENT)
    expect(dialog.get_by_role("button", name="Concluir")).to_be_visible()
    found += inspect(tab.page, "connected")
    dialog.get_by_role("button", name="Concluir").click()
    tab.card(CLIENT).get_by_role("link", name="Desconectar").click()
    found += inspect(tab.page, "disconnect")

    assert found == []


def test_what_is_wrong_is_said_beside_its_field(office: Office, tab: Tab) -> None:
    """A refused form keeps what was typed, marks the field, and a screen reader hears why."""
    tab.sign_in(office.manager)
    tab.page.goto(office.path(CLIENT, "report"))
    tab.page.get_by_label("Frequência").select_option("daily")
    tab.page.get_by_label("Telefone que recebe").fill("123")
    tab.page.get_by_role("button", name="Salvar").click()

    phone = tab.page.get_by_label("Telefone que recebe")
    expect(phone).to_have_value("123")
    expect(phone).to_have_accessible_description(
        "Com DDD. Só escreva a quem pediu para receber. Informe o telefone com DDD, como 11 98765-4321."
    )
    assert inspect(tab.page, "refused") == []


def test_pages_work_without_a_script(browser: Browser, office: Office) -> None:
    """Without JavaScript one signs in, connects, sees the code, and disconnects."""
    context: BrowserContext = browser.new_context(base_url=office.address, java_script_enabled=False)
    with context:
        tab = Tab(context)
        tab.sign_in(office.manager)
        tab.card(CLIENT).locator("form button").click()
        expect(tab.page.get_by_alt_text("Código QR")).to_be_visible(timeout=10_000)
        office.scan(CLIENT)
        expect(tab.page.get_by_text("Conectado", exact=True)).to_be_visible(timeout=15_000)
        tab.page.get_by_role("link", name="Concluir").click()
        tab.card(CLIENT).get_by_role("link", name="Desconectar").click()
        tab.page.get_by_role("button", name="Desconectar").click()
        expect(tab.page.get_by_text("Número desconectado.")).to_be_visible()


PLANTED = {
    "document.querySelector('label').remove()": "no label",
    "document.querySelector('.brand img').removeAttribute('alt')": "no alternative",
    "document.querySelector('.button').style.minHeight = '20px'": "small target",
    "document.querySelector('.card h2').style.color = 'var(--line)'": "contrast",
    "document.querySelector('.input').style.borderColor = 'var(--line)'": "border",
    "document.querySelector('main').style.minWidth = '2000px'": "scrolls sideways",
    "document.querySelector('h2').outerHTML = '<h4>x</h4>'": "heading",
    "document.querySelector('.card').id = 'q'": "id twice",
    "document.querySelector('.close').removeAttribute('aria-label')": "no name",
}


def test_the_inspection_finds_what_is_planted(office: Office, tab: Tab) -> None:
    """The silence of the inspection means something."""
    tab.sign_in(office.manager)
    for planted, fault in PLANTED.items():
        tab.page.goto("/agency")
        tab.page.evaluate(f"() => {{ {planted} }}")
        assert any(fault in each for each in inspect(tab.page, "/agency")), planted
