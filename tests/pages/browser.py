"""How page tests drive Chromium: its flags, signing in, and what must never appear in its console."""

from playwright.sync_api import BrowserContext, Locator, Page

from tests.pages.office import AGENCY, Manager

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--lang=pt-BR",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Tab:
    """A page of the browser that keeps what went wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on(
            "console",
            lambda said: self.troubles.append(said.text) if said.type in ("error", "warning") else None,
        )

    def card(self, label: str | None) -> Locator:
        """The card of a client's connection, None: of the agency."""
        return self.page.get_by_role("article", name=label or AGENCY, exact=True)

    def sign_in(self, manager: Manager) -> None:
        """By the form, to /agency."""
        self.page.goto("/sign-in")
        self.page.get_by_label("E-mail").fill(manager.email)
        self.page.get_by_label("Senha").fill(manager.password)
        self.page.get_by_role("button", name="Entrar").click()
        self.page.wait_for_url("**/agency")
