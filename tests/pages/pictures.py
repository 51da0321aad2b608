"""`python -m tests.pages.pictures [FOLDER]`: the README's pictures of the pages, from a real office."""

import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import structlog
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from tests.pages.browser import CHROMIUM, CHROMIUM_ARGUMENTS, Tab
from tests.pages.office import Office, open_office, simulator
from tests.servers import database_server

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "pictures"
WIDTHS: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 800},
    "phone": {"width": 360, "height": 740},
}
LARGEST = 120_000
CONNECTED = ("Padaria Sol", "Clínica Bem Viver", "Ótica Mirante", "Studio Aurora")
LOST = "Studio Aurora"
UNCERTAIN = "Clínica Bem Viver"


@contextlib.contextmanager
def furnished_office() -> Iterator[Office]:
    """An office in the middle of a working day: some numbers open, one lost, reports in several states."""
    with tempfile.TemporaryDirectory() as folder, database_server() as server:
        bootstrap_supabase(server.url)
        apply_all(server.url, say=lambda _: None)
        with (
            simulator(Path(folder)) as evolution,
            open_office(server.url, evolution) as office,
            office.working(),
        ):
            yield office


def connect(office: Office, tab: Tab, label: str | None, phone: str) -> None:
    """By the dialog, with the simulator's phone."""
    card = tab.card(label)
    card.get_by_role("button", name="Conectar").click()
    office.scan(label, phone)
    tab.page.get_by_role("dialog").get_by_text("Conectado", exact=True).wait_for()
    tab.page.get_by_role("button", name="Concluir").click()


def take(tab: Tab, folder: Path, name: str, part: str = "body") -> None:
    """One picture, small enough for a repository: of what is seen, or of a part alone."""
    file = folder / f"{name}.png"
    if part == "body":
        tab.page.screenshot(path=file, animations="disabled")
    else:
        tab.page.locator(part).screenshot(path=file, animations="disabled")
    assert file.stat().st_size < LARGEST, f"{file.name} is too large for a repository"
    print(f"{file.name}: {file.stat().st_size // 1000} kB")


def furnish(office: Office, browser: Browser) -> None:
    """Connects numbers and sends reports, as a manager does."""
    with contextlib.closing(browser.new_context(base_url=office.address, locale="pt-BR")) as context:
        tab = Tab(context)
        tab.sign_in(office.manager)
        for place, label in enumerate(CONNECTED):
            connect(office, tab, label, f"551198765{4300 + place}")
        office.evolution.control("device_removed", instance=office.instance_name(LOST))
        tab.card(LOST).get_by_text("Desconectado", exact=True).wait_for()
        for label in CONNECTED:
            if label == UNCERTAIN:
                # Its answer is an error, and whether it was sent before that nobody can tell.
                office.evolution.control("faults", upcoming=["error_before_accept"])
            tab.page.goto(office.path(label, "report"))
            tab.page.get_by_label("Telefone que recebe").fill("11 97777-6655")
            tab.page.get_by_label("Frequência").select_option("weekly")
            tab.page.get_by_role("button", name="Enviar agora").click()
            tab.page.get_by_text("relatório entregue à fila").wait_for()
            if label == UNCERTAIN:
                tab.page.get_by_text("Envio incerto").first.wait_for()


def visit(
    office: Office, browser: Browser, folder: Path, width: str, scheme: Literal["light", "dark"]
) -> None:
    """Every page once in this width and colour."""
    context = browser.new_context(
        base_url=office.address,
        locale="pt-BR",
        viewport=WIDTHS[width],
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    with contextlib.closing(context):
        tab = Tab(context)
        suffix = width if scheme == "light" else f"{width}-dark"
        tab.page.goto("/sign-in")
        take(tab, folder, f"sign-in-{suffix}")
        tab.sign_in(office.manager)
        take(tab, folder, f"agency-{suffix}")
        tab.card("Restaurante Dona Lúcia").locator("form button").click()
        tab.page.get_by_alt_text("Código QR").wait_for()
        take(tab, folder, f"qr-{suffix}", "#pairing")
        tab.page.keyboard.press("Escape")
        for name in ("connections", "reports", "uncertain"):
            tab.page.goto(f"/{name}")
            take(tab, folder, f"{name}-{suffix}")
        for name in ("report", "alerts"):
            tab.page.goto(office.path(CONNECTED[0], name))
            take(tab, folder, f"{name}-{suffix}")


def main() -> None:
    """All pictures, light for the README and dark beside them where a folder is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with furnished_office() as office, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        with contextlib.closing(browser):
            furnish(office, browser)
            for width in WIDTHS:
                visit(office, browser, folder, width, "light")
                if len(sys.argv) > 1:
                    visit(office, browser, folder, width, "dark")


if __name__ == "__main__":
    main()
