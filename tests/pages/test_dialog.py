"""The dialog of a pairing in a real browser: renewal, countdown, its end, its errors, two at once."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Request, expect

from scripts.simulator.evolution.process import EvolutionSimulator
from tests.pages.browser import Tab
from tests.pages.office import Office
from tests.pages.visitor import Visitor
from tests.waiting import eventually

pytestmark = pytest.mark.slow

CLIENT = "Padaria Sol"
Connect = Callable[[], psycopg.Connection[tuple[Any, ...]]]


@pytest.fixture
def tab(office: Office, context: BrowserContext) -> Iterator[Tab]:
    """A tab on /agency; nothing may go wrong in its console but what a test says."""
    tab = Tab(context)
    tab.page.clock.install()
    tab.sign_in(office.manager)
    yield tab
    assert tab.troubles == []


def opened(tab: Tab, label: str = CLIENT) -> Locator:
    """The dialog of a client's pairing."""
    tab.card(label).locator("form button").click()
    return tab.page.get_by_role("dialog", name="Conectar WhatsApp")


def picture(dialog: Locator) -> str:
    """The code that is shown."""
    shown = dialog.get_by_alt_text("Código QR")
    expect(shown).to_be_visible()
    return shown.get_attribute("src") or ""


def polls(tab: Tab) -> list[str]:
    """The addresses of all polls of a pairing from now on."""
    seen: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/connect.json"):
            seen.append(request.url)

    tab.page.on("request", note)
    return seen


def ten_seconds_pass(tab: Tab) -> None:
    """For the page, at once: whatever it would do in that time it does now."""
    tab.page.clock.run_for(10_000)
    _moved_on(tab)


def test_the_code_is_shown_with_what_to_do(tab: Tab) -> None:
    """A code to scan, how long it lives, and how one scans it."""
    dialog = opened(tab)

    assert picture(dialog).startswith("data:image/png;base64,")
    expect(dialog.get_by_role("status")).to_have_text("Leia o código com o WhatsApp do cliente")
    expect(dialog.get_by_text("Novo código em")).to_be_visible()
    expect(dialog.get_by_text("Dispositivos conectados")).to_be_visible()
    expect(dialog).to_contain_text(CLIENT)


def test_the_countdown_runs(tab: Tab) -> None:
    """The seconds that are left go down while one looks."""
    dialog = opened(tab)
    picture(dialog)
    countdown = dialog.locator("[data-countdown]")
    first = countdown.inner_text()

    expect(countdown).not_to_have_text(first)
    assert int("".join(filter(str.isdigit, first))) <= 45


def test_bug_26_the_code_renews_while_the_dialog_is_open(tab: Tab, evolution: EvolutionSimulator) -> None:
    """The provider's next code takes the place of the one that is shown."""
    evolution.control("server", speed=20.0)
    dialog = opened(tab)
    first = picture(dialog)

    eventually(lambda: _moved_on(tab) and picture(dialog) != first, 20, "another code")


def test_the_code_renews_though_every_webhook_is_lost(
    office: Office, tab: Tab, evolution: EvolutionSimulator, connect: Connect
) -> None:
    """Shortly before a code is over the next one is asked for, without the provider's events."""
    evolution.control("webhooks", mode="lost")
    dialog = opened(tab)
    first = picture(dialog)
    evolution.control("qr_turn", instance=office.instance_name(CLIENT))
    with connect() as database:
        database.execute("update messaging.pairings set shown_at = shown_at - interval '41 seconds'")

    eventually(lambda: _moved_on(tab) and picture(dialog) != first, 20, "another code")


def test_bug_26_closing_ends_the_polling(tab: Tab) -> None:
    """A dialog that is closed asks for nothing more, and its code is gone from the page."""
    seen = polls(tab)
    dialog = opened(tab)
    picture(dialog)
    eventually(lambda: _moved_on(tab) and seen, 10, "a poll")

    tab.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    asked = len(seen)
    ten_seconds_pass(tab)

    assert len(seen) == asked
    assert tab.page.locator("#pairing img").get_attribute("src") is None


def test_bug_26_success_ends_the_polling(office: Office, tab: Tab) -> None:
    """Once the number is connected nothing more is asked."""
    seen = polls(tab)
    dialog = opened(tab)
    picture(dialog)
    office.scan(CLIENT)
    expect(dialog.get_by_text("Conectado", exact=True)).to_be_visible()
    asked = len(seen)
    ten_seconds_pass(tab)

    assert len(seen) == asked
    expect(dialog.get_by_role("button", name="Concluir")).to_be_focused()


def test_after_the_limit_a_new_code_must_be_asked_for(tab: Tab, connect: Connect) -> None:
    """Nobody scanned in five minutes: the polling ends, and one button begins again."""
    seen = polls(tab)
    dialog = opened(tab)
    picture(dialog)
    with connect() as database:
        database.execute("update messaging.pairings set limit_at = now()")
    expect(dialog.get_by_text("Código expirado")).to_be_visible()
    asked = len(seen)
    ten_seconds_pass(tab)

    assert len(seen) == asked
    dialog.get_by_role("button", name="Gerar novo código").click()
    assert picture(dialog)


def test_a_code_to_type_instead(tab: Tab) -> None:
    """Whoever cannot scan gets eight characters for the phone that they name; a wrong phone is said."""
    dialog = opened(tab)
    picture(dialog)
    dialog.get_by_text("Conectar com código").click()
    phone = dialog.get_by_label("Telefone do WhatsApp")

    phone.fill("123")
    dialog.get_by_role("button", name="Mostrar código").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Informe o telefone com DDD")
    tab.troubles.clear()  # the browser tells of the 400
    phone.fill("11 98765-4321")
    dialog.get_by_role("button", name="Mostrar código").click()

    code = dialog.locator("[data-code]")
    expect(code).to_be_visible(timeout=20_000)
    assert len(code.inner_text().replace("-", "")) == 8


def test_two_browsers_see_one_pairing(
    office: Office, browser: Browser, tab: Tab, evolution: EvolutionSimulator
) -> None:
    """Two people open one client's dialog: one code, one number at the provider, both see "Conectado"."""
    first = opened(tab)
    picture(first)
    with contextlib.closing(browser.new_context(base_url=office.address, locale="pt-BR")) as other:
        colleague = Tab(other)
        colleague.sign_in(office.manager)
        second = opened(colleague)
        assert picture(second)
        assert len(evolution.instances()) == 1
        eventually(lambda: _moved_on(tab) and _moved_on(colleague) and picture(first) == picture(second), 20)

        office.scan(CLIENT)
        for dialog in (first, second):
            expect(dialog.get_by_text("Conectado", exact=True)).to_be_visible()
        assert colleague.troubles == []


def test_a_connection_that_a_colleague_ends_is_said(office: Office, tab: Tab, visitor: Visitor) -> None:
    """Who still has the dialog open reads that there is nothing to scan for any more, and may begin again."""
    seen = polls(tab)
    dialog = opened(tab)
    picture(dialog)
    visitor.post(office.path(CLIENT, "disconnect"), {"back": "/agency"}, on="/agency")

    expect(dialog.get_by_text("A conexão foi desfeita enquanto isso")).to_be_visible()
    asked = len(seen)
    ten_seconds_pass(tab)
    assert len(seen) == asked
    dialog.get_by_role("button", name="Gerar novo código").click()
    assert picture(dialog)
    tab.troubles.clear()  # the browser tells of the 404


def test_a_gateway_that_is_away_is_said_while_one_waits(tab: Tab) -> None:
    """A poll that fails says so, and the next good one goes on."""
    dialog = opened(tab)
    picture(dialog)
    tab.page.route("**/connect.json", lambda route: route.abort())
    expect(dialog.get_by_text("Sem conexão com o servidor")).to_be_visible()

    tab.page.unroute("**/connect.json")
    expect(dialog.get_by_text("O código se renova sozinho")).to_be_visible(timeout=20_000)
    tab.troubles.clear()  # the browser tells of what was cut off


def test_a_provider_that_is_away_is_said(office: Office, tab: Tab, evolution: EvolutionSimulator) -> None:
    """No endless spinner: what is wrong, and a way to try again."""
    evolution.control("licence_503")
    dialog = opened(tab)

    expect(dialog.get_by_text("A Evolution API recusou ou não respondeu")).to_be_visible()
    evolution.control("licence_503", on=False)
    dialog.get_by_role("button", name="Gerar novo código").click()
    assert picture(dialog)
    tab.troubles.clear()  # the browser tells of the 502


def test_the_message_queue_is_told_before_disconnecting(office: Office, tab: Tab) -> None:
    """The question says how many waiting messages will not go any more."""
    dialog = opened(tab)
    picture(dialog)
    office.scan(CLIENT)
    dialog.get_by_role("button", name="Concluir").click()
    tab.page.goto(office.path(CLIENT, "report"))
    tab.page.get_by_label("Telefone que recebe").fill("11 97777-6655")
    tab.page.get_by_role("button", name="Enviar agora").click()
    expect(tab.page.get_by_text("relatório entregue à fila")).to_be_visible()

    tab.page.goto("/agency")
    tab.card(CLIENT).get_by_role("link", name="Desconectar").click()
    asked = tab.page.get_by_role("dialog", name="Desconectar")
    expect(asked).to_contain_text("1 mensagem na fila deste número será retirada")
    asked.get_by_role("button", name="Cancelar").click()
    expect(asked).to_be_hidden()
    expect(tab.card(CLIENT).get_by_text("1 mensagem")).to_be_visible()


def _moved_on(tab: Tab) -> bool:
    """Lets the browser's events arrive: it is driven from this thread."""
    tab.page.wait_for_timeout(50)
    return True
