"""The manager's day in a real browser: sign in, connect, report, lose the phone, reconnect, disconnect."""

import time

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.pages.browser import Tab
from tests.pages.office import Office
from tests.waiting import eventually

pytestmark = pytest.mark.slow

CLIENT = "Padaria Sol"
SCAN_SHOWS_WITHIN_S = 3.0
REMOVAL_SHOWS_WITHIN_S = 5.0


def test_a_day_with_one_client(office: Office, context: BrowserContext) -> None:
    """Sign in, connect, scan: "Conectado" within 3 s; the report leaves from the client's own number; the
    phone removes the device: "Desconectado" within 5 s, without loading anew; reconnect; disconnect."""
    tab = Tab(context)
    dialog = tab.page.get_by_role("dialog", name="Conectar WhatsApp")
    with office.working():
        tab.sign_in(office.manager)
        card = tab.card(CLIENT)
        expect(card.get_by_text("Sem número", exact=True)).to_be_visible()

        card.get_by_role("button", name="Conectar WhatsApp").click()
        expect(dialog.get_by_alt_text("Código QR")).to_be_visible()
        office.scan(CLIENT, "5511987654321")
        _within(SCAN_SHOWS_WITHIN_S, lambda: dialog.get_by_text("Conectado", exact=True).is_visible())
        dialog.get_by_role("button", name="Concluir").click()
        expect(card.get_by_text("Conectado", exact=True)).to_be_visible()
        expect(card.get_by_text("+55 11 98765-4321")).to_be_visible()
        expect(card.get_by_text("Número do cliente")).to_be_visible()

        _send_report(office, tab)

        tab.page.goto("/agency")
        office.evolution.control("device_removed", instance=office.instance_name(CLIENT))
        _within(REMOVAL_SHOWS_WITHIN_S, lambda: card.get_by_text("Desconectado", exact=True).is_visible())

        card.get_by_role("button", name="Reconectar").click()
        expect(dialog.get_by_alt_text("Código QR")).to_be_visible()
        office.scan(CLIENT, "5511987654321")
        expect(dialog.get_by_text("Conectado", exact=True)).to_be_visible()
        tab.page.keyboard.press("Escape")

        card.get_by_role("link", name="Desconectar").click()
        asked = tab.page.get_by_role("dialog", name="Desconectar")
        expect(asked).to_contain_text("nada mais é enviado por ele")
        asked.get_by_role("button", name="Desconectar").click()
        expect(tab.page.get_by_text("Número desconectado.")).to_be_visible()
        expect(card.get_by_text("Sem número", exact=True)).to_be_visible()
        eventually(lambda: not office.evolution.instances(), 20, "the number is gone at the provider")
    assert tab.troubles == []


def _send_report(office: Office, tab: Tab) -> None:
    tab.page.goto(office.path(CLIENT, "report"))
    tab.page.get_by_label("Telefone que recebe").fill("11 97777-6655")
    tab.page.get_by_role("button", name="Enviar agora").click()
    expect(tab.page.get_by_text("relatório entregue à fila")).to_be_visible()

    [sent] = eventually(office.evolution.accepted, 20, "the report is sent")
    assert sent["instance"] == office.instance_name(CLIENT)
    assert "5511977776655" in str(sent)
    settled = tab.page.get_by_role("status").get_by_text("Lida", exact=True)
    expect(settled).to_be_visible()


def _within(seconds: float, is_so: object) -> None:
    """Measured from now: what was just done at the phone."""
    began = time.monotonic()
    assert callable(is_so)
    eventually(is_so, seconds)
    assert time.monotonic() - began <= seconds
