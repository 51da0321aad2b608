"""/clients/<id>/alerts: per ad account of a client, from which balance on whom to tell; saved together."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from edge.pages.forms import BadField, Form
from edge.pages.page import Page
from edge.pages.pairing import card_for
from edge.pages.rendering import money, phone
from edge.pages.visit import Html, Redirect, Reply, Visit
from shared import phones
from shared.db import as_json
from shared.errors import Conflict, InvalidInput
from shared.texts_pt import pages as words

_AMOUNT = re.compile(r"(?:[0-9]{1,12}|[0-9]{1,3}(?:\.[0-9]{3}){1,3})(?:,[0-9]{1,2})?")
_PLAIN = re.compile(r"[0-9]{1,12}\.[0-9]{1,2}")


@dataclass(frozen=True)
class Alert:
    """One account's alert as the form shows it, with what is wrong with it."""

    account_id: str
    account_name: str
    threshold: str
    is_active: bool
    phone: str
    last_triggered: str
    wrong_threshold: str = ""
    wrong_phone: str = ""


class Alerts(Page):
    """GET and POST /clients/<id>/alerts."""

    def get(self, visit: Visit) -> Reply:
        """The form."""
        return self._form(visit, self._stored(visit))

    def post(self, visit: Visit) -> Reply:
        """Saves all or none; what is wrong stands beside its field."""
        form, stored = visit.form, self._stored(visit)
        typed = [_typed(form, place, alert) for place, alert in enumerate(stored)]
        if any(alert.wrong_threshold or alert.wrong_phone for alert in typed):
            return self._form(visit, typed, http_status=400)
        given = [
            {
                "ad_account_id": alert.account_id,
                "threshold_value": float(amount(alert.threshold)),
                "is_active": alert.is_active,
                "recipient_phone": _digits(alert.phone),
            }
            for alert in typed
        ]
        try:
            visit.db.call(
                "messaging.save_balance_alerts", p_client_id=visit.client_id, p_alerts=as_json(given)
            )
        except Conflict:
            return self._form(visit, typed, words.ACCOUNT_TAKEN, 409)
        return Redirect(f"/clients/{visit.client_id}/alerts?notice=alerts_saved")

    def _stored(self, visit: Visit) -> list[Alert]:
        when = visit.site.templates.when
        return [
            Alert(
                account_id=row["ad_account_id"],
                account_name=row["account_name"] or "",
                threshold=money(row["threshold_value"] or 0),
                is_active=bool(row["is_active"]),
                phone=phone(row["recipient_phone"]),
                last_triggered=when(row["last_triggered_at"]),
            )
            for row in visit.db.call("messaging.balance_alerts", p_client_id=visit.client_id)
        ]

    def _form(
        self, visit: Visit, alerts: list[Alert], problem: str | None = None, http_status: int = 200
    ) -> Reply:
        return Html(
            "alerts.html", {"card": card_for(visit), "alerts": alerts, "problem": problem}, http_status
        )


def amount(written: str) -> Decimal:
    """An amount as a Brazilian writes it, 1.234,56, or plainly 1234.56; BadField for anything else."""
    text = written.replace("R$", "").replace(" ", "").replace("\u00a0", "")
    if _AMOUNT.fullmatch(text):
        return Decimal(text.replace(".", "").replace(",", "."))
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    raise BadField(words.BAD_AMOUNT)


def _typed(form: Form, place: int, stored: Alert) -> Alert:
    """The stored alert as the form changes it."""
    alert = replace(
        stored,
        threshold=form.text(f"threshold_{place}", longest=40),
        is_active=form.checked(f"active_{place}"),
        phone=form.text(f"phone_{place}", longest=40),
    )
    if form.text(f"account_{place}") != stored.account_id:
        raise BadField(words.ACCOUNTS_CHANGED)
    try:
        amount(alert.threshold)
    except BadField as error:
        alert = replace(alert, wrong_threshold=str(error))
    if alert.phone and _digits(alert.phone) == "":
        alert = replace(alert, wrong_phone=words.BAD_PHONE)
    elif alert.is_active and not alert.phone:
        alert = replace(alert, wrong_phone=words.ALERT_NEEDS_PHONE)
    return alert


def _digits(written: str) -> str:
    try:
        return phones.normalize(written) if written else ""
    except InvalidInput:
        return ""
