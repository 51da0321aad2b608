"""Connecting and disconnecting one number: for the dialog as JSON, and as plain pages without a script."""

from typing import Any

from edge.pages.agency import overview
from edge.pages.cards import AGENCY, Card
from edge.pages.forms import BadField
from edge.pages.page import Page
from edge.pages.visit import Data, Html, Redirect, Reply, Visit
from shared import phones
from shared.errors import InvalidInput, NotFound
from shared.pairing import Pairing
from shared.texts_pt import pages as words

# How long a code is shown at most (evolution contract 4), for the countdown's bar.
CODE_LIFE_S = 45
REFRESH_S = 3
_BACK = ("/agency", "/connections")


class Connect(Page):
    """/clients/<id>/connect, /agency/connect: POST begins, GET shows how it stands (bug 26)."""

    def post(self, visit: Visit) -> Reply:
        """Begins a pairing, or joins the one under way; with a phone, asks for a code to type."""
        form, client_id = visit.form, visit.client_id
        number = _phone(form.text("phone", longest=40))
        if visit.site.settings.evolution_url is None:
            raise BadField(words.NO_EVOLUTION)
        seen = visit.site.connections.connect(visit.db, client_id, number=number)
        if visit.wants_data:
            return Data(shown(seen, is_agency=client_id is None))
        return Redirect(_path(visit, "connect"))

    def get(self, visit: Visit) -> Reply:
        """The same as a page that loads itself again until it is over."""
        card = card_for(visit)
        try:
            seen = visit.site.connections.look(visit.db, visit.client_id)
        except NotFound:
            seen = None
        refresh_s = REFRESH_S if seen is not None and seen.is_under_way else None
        return Html(
            "connect.html",
            {"card": card, "pairing": seen and shown(seen, is_agency=visit.client_id is None)},
            refresh_s=refresh_s,
        )


class ConnectState(Page):
    """/clients/<id>/connect.json: what the open dialog asks every 2 s; renews the code when it is due."""

    def get(self, visit: Visit) -> Reply:
        """NotFound where no pairing was begun."""
        seen = visit.site.connections.look(visit.db, visit.client_id)
        return Data(shown(seen, is_agency=visit.client_id is None))


class Disconnect(Page):
    """/clients/<id>/disconnect: GET says what it means, POST does it, to exactly this number (bug 27)."""

    def get(self, visit: Visit) -> Reply:
        """The question as a page."""
        return Html("disconnect.html", {"card": card_for(visit), "back": _back(visit.query.get("back"))})

    def post(self, visit: Visit) -> Reply:
        """Ends the connection; the messages that wait on it are withdrawn."""
        form = visit.form
        ended = visit.site.connections.disconnect(visit.db, visit.client_id)
        notice = "disconnected" if ended else "nothing"
        return Redirect(f"{_back(form.text('back'))}?notice={notice}")


def shown(seen: Pairing, *, is_agency: bool) -> dict[str, Any]:
    """A pairing in words and pictures. The code is a credential: only the page that asked gets it."""
    texts = words.PAIRING | (words.PAIRING_AGENCY if is_agency else {})
    helps = words.PAIRING_HELP | (words.PAIRING_HELP_AGENCY if is_agency else {})
    state = texts[seen.pairing_state]
    return {
        "state": seen.pairing_state,
        "under_way": seen.is_under_way,
        "text": state.text,
        "tone": state.tone,
        "help": words.TROUBLE if seen.trouble else helps[seen.pairing_state],
        "picture": seen.picture,
        "pairing_code": _readable(seen.pairing_code),
        "expires_in_s": round(seen.expires_in_s or 0),
        "code_life_s": CODE_LIFE_S,
    }


def card_for(visit: Visit) -> Card:
    """The card of the client in the path, or of the agency; NotFound alike for another's and for none."""
    client_id = visit.client_id
    key = AGENCY if client_id is None else str(client_id)
    for card in overview(visit)[1]:
        if card.key == key:
            return card
    raise NotFound


def _phone(written: str) -> str | None:
    if not written:
        return None
    try:
        return phones.normalize(written)
    except InvalidInput:
        raise BadField(words.BAD_PHONE) from None


def _readable(code: str | None) -> str | None:
    return f"{code[:4]}-{code[4:]}" if code and len(code) == 8 else code


def _path(visit: Visit, page: str) -> str:
    return f"/{AGENCY}/{page}" if visit.client_id is None else f"/clients/{visit.client_id}/{page}"


def _back(wanted: str | None) -> str:
    return wanted if wanted in _BACK else _BACK[0]
