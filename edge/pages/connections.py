"""/connections: the agency's own number, then each client's; and the notices that go with such numbers."""

from edge.pages.agency import overview
from edge.pages.page import Page
from edge.pages.visit import Html, Reply, Visit


class ConnectionsPage(Page):
    """/connections: each button acts on exactly one number (bug 27)."""

    def get(self, visit: Visit) -> Reply:
        """The agency's card, then the clients'."""
        _, (agency, *clients) = overview(visit)
        return Html("connections.html", {"agency": agency, "cards": clients})


class Notice(Page):
    """/notice: WhatsApp's terms, and what Evolution API's licence asks a product to tell. For everybody."""

    def get(self, visit: Visit) -> Reply:
        """The two notices."""
        return Html("notice.html")
