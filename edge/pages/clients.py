"""Adding, renaming and removing a client of the agency. Who may, and what goes along, is decided in SQL."""

import re

from edge.pages.forms import BadField
from edge.pages.page import Page
from edge.pages.pairing import card_for
from edge.pages.visit import Html, Redirect, Reply, Visit
from shared import clients
from shared.errors import Conflict, InvalidInput, NotFound
from shared.texts_pt import pages as words

SHORTEST_PASSWORD = 8
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class NewClient(Page):
    """/clients/new: a login for a client, linked to the agency."""

    def get(self, visit: Visit) -> Reply:
        """The form."""
        visit.db.call("messaging.require_manager")
        return Html("client_new.html", {"label": "", "email": "", "wrong": {}})

    def post(self, visit: Visit) -> Reply:
        """Makes the login at the auth service, then links it; sent again, it finds what it made before."""
        form = visit.form
        label, email, password = form.as_typed("label").strip(), form.text("email"), form.as_typed("password")
        wrong = _wrong_client(label, email, password)
        if not wrong:
            try:
                self._add(visit, label, email, password)
            except BadField:
                raise
            except InvalidInput:
                wrong = {"email": words.LOGIN_REFUSED}
            except Conflict:
                wrong = {"email": words.LOGIN_TAKEN}
        if wrong:
            return Html("client_new.html", {"label": label, "email": email, "wrong": wrong}, 400)
        return Redirect("/agency?notice=client_added")

    def _add(self, visit: Visit, label: str, email: str, password: str) -> None:
        settings = visit.site.settings
        # Before anything is made anywhere.
        agency_id = visit.db.call_one("messaging.require_manager")["require_manager"]
        if settings.service_role_key is None:
            raise BadField(words.NO_LOGINS)
        clients.add(visit.site.db, settings, agency_id, email=email, password=password, client_label=label)


class EditClient(Page):
    """/clients/<id>/edit: another name."""

    def get(self, visit: Visit) -> Reply:
        """The form, and the way to remove the client."""
        card = card_for(visit)
        return Html("client_edit.html", {"card": card, "label": card.title, "wrong": ""})

    def post(self, visit: Visit) -> Reply:
        """Renames."""
        label = visit.form.as_typed("label").strip()
        if wrong := wrong_label(label):
            return Html("client_edit.html", {"card": card_for(visit), "label": label, "wrong": wrong}, 400)
        visit.db.call("messaging.rename_client", p_client_id=visit.client_id, p_client_label=label)
        return Redirect("/agency?notice=client_renamed")


class RemoveClient(Page):
    """/clients/<id>/remove: GET says what goes along, POST removes (bug 31)."""

    def get(self, visit: Visit) -> Reply:
        """The question."""
        return Html("client_remove.html", {"card": card_for(visit), "wrong": ""})

    def post(self, visit: Visit) -> Reply:
        """Removes, once the box is ticked."""
        if not visit.form.checked("sure"):
            return Html("client_remove.html", {"card": card_for(visit), "wrong": words.TICK_TO_REMOVE}, 400)
        if visit.client_id is None:
            raise NotFound("an agency cannot remove itself")
        clients.remove(visit.site.db, visit.site.settings, visit.db, visit.client_id)
        return Redirect("/agency?notice=client_removed")


def wrong_label(label: str) -> str:
    """What is wrong with a client's name; "" for nothing."""
    if not label:
        return words.LABEL_EMPTY
    return words.LABEL_LONG if len(label) > clients.LONGEST_LABEL else ""


def _wrong_client(label: str, email: str, password: str) -> dict[str, str]:
    checks = {
        "label": wrong_label(label),
        "email": "" if _EMAIL.fullmatch(email) else words.BAD_EMAIL,
        "password": "" if len(password) >= SHORTEST_PASSWORD else words.TOO_SHORT,
    }
    return {name: text for name, text in checks.items() if text}
