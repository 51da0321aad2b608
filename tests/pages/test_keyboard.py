"""The whole way with the keyboard alone, and what a screen reader is told meanwhile."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.pages.browser import Tab
from tests.pages.office import Office

pytestmark = pytest.mark.slow

CLIENT = "Academia Vértice"  # the first card


def tab_to(tab: Tab, name: str) -> None:
    """Presses Tab until what has the focus begins with this name."""
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        if str(tab.page.evaluate("document.activeElement.textContent")).strip().startswith(name):
            return
    raise AssertionError(f"{name} cannot be reached with the keyboard")


def focused_inside(tab: Tab) -> bool:
    """Whether the focus is in the open dialog, or with the browser itself."""
    return bool(
        tab.page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog[open]')"
        )
    )


def test_sign_in_connect_and_leave_with_the_keyboard(office: Office, context: BrowserContext) -> None:
    """Type, Enter; Tab to the first client's button, Enter; the focus stays in the dialog; Escape gives it
    back to the button."""
    tab = Tab(context)
    tab.page.goto("/sign-in")
    tab.page.keyboard.type(office.manager.email)
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.type(office.manager.password)
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url("**/agency")

    tab_to(tab, "Pular para o conteúdo")
    tab.page.keyboard.press("Enter")
    tab_to(tab, "Conectar WhatsApp")
    tab.page.keyboard.press("Enter")
    dialog = tab.page.get_by_role("dialog", name="Conectar WhatsApp")
    expect(dialog.get_by_alt_text("Código QR")).to_be_visible()
    for _ in range(8):
        tab.page.keyboard.press("Tab")
        assert focused_inside(tab)

    office.scan(CLIENT)
    expect(dialog.get_by_role("button", name="Concluir")).to_be_focused()
    tab.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(tab.card(CLIENT).get_by_text("Conectado", exact=True)).to_be_visible()
    expect(tab.page.locator("#announce")).to_have_text(f"{CLIENT}: Conectado")

    tab_to(tab, "Desconectar")
    tab.page.keyboard.press("Enter")
    asked = tab.page.get_by_role("dialog", name="Desconectar")
    expect(asked).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(asked).to_be_hidden()
    expect(tab.card(CLIENT).get_by_role("link", name="Desconectar")).to_be_focused()


def test_the_search_narrows_while_one_types(office: Office, context: BrowserContext) -> None:
    """Without accents and in any case; how many are left is told; the empty list says so."""
    tab = Tab(context)
    tab.sign_in(office.manager)
    search = tab.page.get_by_role("searchbox")

    search.fill("otica")
    expect(tab.page.get_by_role("article")).to_have_count(1)
    expect(tab.page.locator("#announce")).to_have_text("1 cliente")
    search.fill("ninguém assim")
    expect(tab.page.get_by_text("Nenhum cliente com esse nome")).to_be_visible()
    search.fill("")
    expect(tab.page.get_by_role("article")).to_have_count(8)


def test_the_preview_follows_the_form(office: Office, context: BrowserContext) -> None:
    """Switching a figure off takes its line out of the message, nothing saved."""
    tab = Tab(context)
    tab.sign_in(office.manager)
    tab.page.goto(office.path(CLIENT, "report"))
    message = tab.page.locator("[data-preview-text]")
    expect(message).to_contain_text("ROAS")

    tab.page.get_by_role("switch", name="ROAS").uncheck()
    expect(message).not_to_contain_text("ROAS")
    expect(message.locator("strong").first).to_have_text("Relatório de anúncios")
    tab.page.reload()
    expect(message).to_contain_text("ROAS")
    assert tab.troubles == []
