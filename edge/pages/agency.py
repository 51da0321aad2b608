"""/agency: the clients with their numbers, and what of that changes while somebody looks."""

import hashlib
import json

import falcon

from edge.pages.cards import AGENCY, Card, card_of, counters
from edge.pages.page import Page
from edge.pages.visit import Data, Html, Redirect, Reply, Visit


class Home(Page):
    """/: the way to /agency."""

    def get(self, visit: Visit) -> Reply:
        """To the clients."""
        return Redirect("/agency")

    def on_post(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        """Nothing is posted here; whoever looks for functions reads where they are."""
        raise falcon.HTTPRouteNotFound


class Agency(Page):
    """/agency: a card for each client; ?q= narrows them."""

    def get(self, visit: Visit) -> Reply:
        """All clients count, those that were searched for are shown."""
        search = visit.query.get("q", "").strip()[:100]
        name, everyone = overview(visit)
        shown = everyone
        if search:
            found = {str(row["client_id"]) for row in visit.db.call(_CONNECTIONS, p_search=search)}
            shown = [card for card in everyone if card.key in found]
        return Html(
            "agency.html",
            {
                "agency_name": name,
                "cards": [card for card in shown if card.key != AGENCY],
                "counters": counters([card for card in everyone if card.key != AGENCY]),
                "search": search,
            },
        )


class AgencyStatus(Page):
    """/agency/status.json: what the script asks every 2 s; ?version= spares it what it has."""

    def get(self, visit: Visit) -> Reply:
        """204 where nothing has changed since `version`."""
        _, cards = overview(visit)
        value = {
            "cards": [card.live for card in cards],
            "counters": counters([card for card in cards if card.key != AGENCY]),
        }
        version = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
        if visit.query.get("version") == version:
            return Data(None)
        return Data(value | {"version": version})


_CONNECTIONS = "messaging.agency_connections"


def overview(visit: Visit) -> tuple[str | None, list[Card]]:
    """The agency's name, and a card for its own number and then for each client."""
    rows = visit.db.call(_CONNECTIONS, p_search=None)
    return rows[0]["client_label"], [card_of(row, visit.site.templates.when) for row in rows]
