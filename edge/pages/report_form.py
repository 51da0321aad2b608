"""Report settings as a form: what was stored as fields, what was typed as settings, and what is wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.pages.forms import Form
from edge.pages.rendering import phone
from shared import phones
from shared.errors import InvalidInput
from shared.texts_pt import pages as words

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


@dataclass(frozen=True)
class ReportForm:
    """The form's fields as texts; `wrong`: a sentence by the name of its field."""

    frequency: str
    weekday: int
    month_day: str
    send_time: str
    period: str
    metrics: Mapping[str, bool]
    include_comparison: bool
    phone: str
    is_active: bool
    wrong: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """As messaging.save_report_settings takes them; only for a form with nothing wrong."""
        return {
            "frequency": self.frequency,
            "weekday": self.weekday,
            "month_day": int(self.month_day),
            "send_time": self.send_time,
            "report_period_type": self.period,
            "metrics": dict(self.metrics),
            "include_comparison": self.include_comparison,
            "phone_number": _digits(self.phone),
            "is_active": self.is_active and self.frequency != "manual",
        }


def stored_form(settings: Mapping[str, Any]) -> ReportForm:
    """What messaging.report_settings answers, as fields."""
    saved = bool(settings["saved"])
    return ReportForm(
        frequency=settings["frequency"],
        weekday=1 if settings["weekday"] is None else settings["weekday"],
        month_day=str(settings["month_day"] or 1),
        send_time=settings["send_time"],
        period=settings["report_period_type"],
        metrics={name: bool(settings["metrics"].get(name)) for name in words.METRICS},
        include_comparison=bool(settings["include_comparison"]),
        phone=phone(settings["phone_number"]),
        is_active=bool(settings["is_active"]) or not saved,
    )


def typed_form(form: Form, *, to_send: bool) -> ReportForm:
    """What was typed, with what is wrong in it. `to_send`: it goes at once, so a phone is needed."""
    frequency = form.text("frequency")
    weekday = form.text("weekday") or "1"
    month_day = form.text("month_day") or "1"
    send_time = form.text("send_time")[:5] or "09:00"
    period = form.text("period")
    written = form.text("phone", longest=40)
    is_active = form.checked("is_active")
    needs_phone = to_send or (is_active and frequency != "manual")
    checks = {
        "frequency": (frequency in words.FREQUENCIES, words.BAD_CHOICE),
        "weekday": (weekday in "0123456" and len(weekday) == 1, words.BAD_CHOICE),
        "month_day": (re.fullmatch(r"[1-9]|[12][0-9]|3[01]", month_day), words.BAD_MONTH_DAY),
        "send_time": (_TIME.fullmatch(send_time), words.BAD_TIME),
        "period": (period in words.PERIODS, words.BAD_CHOICE),
        "phone": (not written or _digits(written), words.BAD_PHONE),
    }
    wrong = {name: text for name, (is_right, text) in checks.items() if not is_right}
    if needs_phone and not written:
        wrong["phone"] = words.REPORT_NEEDS_PHONE
    return ReportForm(
        frequency=frequency if "frequency" not in wrong else "manual",
        weekday=int(weekday) if "weekday" not in wrong else 1,
        month_day=month_day,
        send_time=send_time,
        period=period if "period" not in wrong else "last_7_days",
        metrics={name: form.checked(f"metric_{name}") for name in words.METRICS},
        include_comparison=form.checked("include_comparison"),
        phone=written,
        is_active=is_active,
        wrong=wrong,
    )


def _digits(written: str) -> str:
    try:
        return phones.normalize(written) if written else ""
    except InvalidInput:
        return ""
