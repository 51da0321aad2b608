"""A client's report (settings, preview, "Enviar agora") and the log of everything that the agency wrote."""

import secrets
from uuid import UUID

from edge.pages.deliveries import Entry, entry_of
from edge.pages.page import Page
from edge.pages.pairing import card_for
from edge.pages.report_form import ReportForm, stored_form, typed_form
from edge.pages.visit import Data, Html, Redirect, Reply, Visit
from shared import reports
from shared.errors import NotFound
from shared.texts_pt import agency as agency_words
from shared.texts_pt import pages as words

RECENT = 5
# More than fit between pressing "Enviar agora" and seeing what came of it.
LOOKED_THROUGH = 20
_UNSENT = ("no_phone", "no_speaker", "opted_out", "wrong_phone", "refused")
LOG_LENGTH = 100


class Report(Page):
    """GET and POST /clients/<id>/report: how it is set."""

    def get(self, visit: Visit) -> Reply:
        """The form, the message as it would go now, and the last ones."""
        return report_page(visit, stored_form(reports.settings(visit.db, client_of(visit))))

    def post(self, visit: Visit) -> Reply:
        """Saves; what is wrong stands beside its field."""
        typed = typed_form(visit.form, to_send=False)
        if typed.wrong:
            return report_page(visit, typed, http_status=400)
        reports.save_settings(visit.db, client_of(visit), typed.settings)
        return Redirect(f"{visit.req.path}?notice=saved")


class SendNow(Page):
    """POST /clients/<id>/report/send: saves, then sends, once per form (bug 30)."""

    def post(self, visit: Visit) -> Reply:
        """Back to the form, which says where the message stands."""
        client_id, form = client_of(visit), visit.form
        typed = typed_form(form, to_send=True)
        if typed.wrong:
            return report_page(visit, typed, http_status=400)
        reports.save_settings(visit.db, client_id, typed.settings)
        sent = reports.send_now(visit.site.db, visit.db, client_id, form.text("nonce"))
        page = f"/clients/{client_id}/report"
        return Redirect(
            f"{page}?sent={sent.message_id}" if sent.message_id else f"{page}?unsent={sent.unsent}"
        )


class ReportPreview(Page):
    """POST /clients/<id>/report/preview: the message as the form stands, nothing saved."""

    def post(self, visit: Visit) -> Reply:
        """The text for our script, or the page with it."""
        typed = typed_form(visit.form, to_send=False)
        text, why = preview(visit, typed)
        if visit.wants_data:
            return Data({"text": text, "why": why})
        return report_page(visit, typed)


class Deliveries(Page):
    """/reports: every report and alert with where it stands."""

    def get(self, visit: Visit) -> Reply:
        """Newest first."""
        return Html("reports.html", {"entries": log_of(visit, None, LOG_LENGTH), "length": LOG_LENGTH})


class DeliveryStates(Page):
    """/reports.json: what may change of the log while it is open."""

    def get(self, visit: Visit) -> Reply:
        """Those that became messages, each with where it stands."""
        entries = log_of(visit, None, LOG_LENGTH)
        return Data({"deliveries": [entry.live for entry in entries if entry.key]})


def client_of(visit: Visit) -> UUID:
    """The client of the path."""
    client_id = visit.client_id
    if client_id is None:
        raise NotFound
    return client_id


def log_of(visit: Visit, client_id: UUID | None, length: int) -> list[Entry]:
    """The newest lines of the log, of one client or all."""
    when = visit.site.templates.when
    return [entry_of(row, when) for row in reports.deliveries(visit.db, client_id, limit=length)]


def preview(visit: Visit, form: ReportForm) -> tuple[str, str | None]:
    """The message with the form's switches, and what would keep it from going (in Portuguese)."""
    facts = visit.db.call_one("messaging.report_now", p_client_id=client_of(visit))["report_now"]
    changed = {"metrics": dict(form.metrics), "include_comparison": form.include_comparison}
    report = reports.Report.from_row(facts | changed)
    why = None
    if facts["period_type"] != form.period:
        why = words.PREVIEW_OLD_PERIOD
    elif report.unsent in ("no_speaker", "opted_out"):
        why = agency_words.unsent(report.unsent)
    return report.text, why


def report_page(visit: Visit, form: ReportForm, http_status: int = 200) -> Reply:
    """The form with all that stands around it."""
    client_id = client_of(visit)
    card = card_for(visit)
    text, why = preview(visit, form)
    recent = log_of(visit, client_id, LOOKED_THROUGH)
    sent = next((entry for entry in recent if entry.key and entry.key == visit.query.get("sent")), None)
    unsent = visit.query.get("unsent")
    values = {
        "card": card,
        "form": form,
        "preview": text,
        "preview_why": why,
        "nonce": secrets.token_urlsafe(16),
        "recent": recent[:RECENT],
        "sent": sent,
        "unsent": agency_words.unsent(unsent) if unsent in _UNSENT else None,
    }
    return Html("report.html", values, http_status)
