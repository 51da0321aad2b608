"""/uncertain, "Envios incertos": messages of which nobody can tell whether they were sent, for a person to
decide."""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass

from edge.pages.page import Page
from edge.pages.rendering import phone
from edge.pages.visit import Html, Redirect, Reply, Visit
from shared import unknowns
from shared.errors import Conflict, InvalidInput, NotFound
from shared.texts_pt import pages
from shared.texts_pt import uncertain as words
from shared.texts_pt.pages import UNNAMED_CLIENT, Word
from shared.unknowns import Decision, Unknown

When = Callable[[datetime.datetime | None], str]
PAGE = "/uncertain"
SHOWN = 50
LONGEST_WHY = 200
# messaging.own_unknowns cuts a text here.
CUT_AT = 280
# How the address calls each decision.
_ADDRESSES: dict[str, Decision] = {"resend": "resend", "consider-sent": "consider_sent", "drop": "drop"}
_ID = re.compile(r"[1-9][0-9]{0,17}")


class UncertainPage(Page):
    """GET /uncertain: those first that have waited longest."""

    def get(self, visit: Visit) -> Reply:
        """At most so many, and how many more there are."""
        found = unknowns.own(visit.db, limit=SHOWN)
        more = unknowns.count_own(visit.db) - len(found) if len(found) == SHOWN else 0
        entries = [entry_of(each, visit.site.templates.when) for each in found]
        return Html("uncertain.html", {"entries": entries, "more": max(0, more), "told": words})


class Decide(Page):
    """/uncertain/<id>/<decision>: GET asks once more, POST decides, as whoever is signed in."""

    def get(self, visit: Visit) -> Reply:
        """The question, with what the decision does."""
        message_id, decision = _asked(visit)
        try:
            message = unknowns.own_one(visit.db, message_id)
        except Conflict:
            return _redirect(words.TOO_LATE)
        if decision == "resend" and message.waits_at_provider:
            return _redirect(words.STILL_THERE)
        entry = entry_of(message, visit.site.templates.when)
        values = {"entry": entry, "decision": decision, "longest_why": LONGEST_WHY, "told": words}
        return Html("uncertain_decide.html", values)

    def post(self, visit: Visit) -> Reply:
        """Decides of what the form showed; where that has changed meanwhile, says so and changes nothing."""
        form = visit.form
        message_id, decision = _asked(visit)
        why = form.text("why", longest=LONGEST_WHY)
        since = _moment(form.text("since", longest=40))
        try:
            unknowns.decide_own(visit.db, message_id, decision, since=since, why=why or None)
        except Conflict:
            return _redirect(_why_not(visit, message_id, decision))
        return _redirect(words.DONE[decision])


@dataclass(frozen=True)
class Entry:
    """One uncertain message in words. `since_exact`: which time of being unknown a form decides of."""

    message_id: int
    who: str
    what: str
    to: str
    from_number: str
    is_house: bool
    since: str
    since_exact: str
    text: str
    verdict: Word
    known: list[tuple[str, str]]
    by_itself: str
    can_resend: bool

    def path(self, decision: str) -> str:
        """Where one decides so."""
        return f"{PAGE}/{self.message_id}/{decision.replace('_', '-')}"


def entry_of(message: Unknown, when: When) -> Entry:
    """A message in words; `when` says a moment in the agency's time."""
    return Entry(
        message_id=message.message_id,
        who=_who(message),
        what=_what(message.purpose),
        to=f"…{message.phone_tail}",
        from_number=_from_number(message),
        is_house=message.is_house,
        since=when(message.unknown_since),
        since_exact=message.unknown_since.isoformat(),
        text=_text(message),
        verdict=_verdict(message),
        known=_known(message, when),
        by_itself=words.BY_ITSELF[message.on_unknown].format(time=when(message.expires_at)),
        can_resend=not message.waits_at_provider,
    )


def _who(message: Unknown) -> str:
    if message.is_house:
        return message.person_name or words.SOMEBODY.format(tail=message.phone_tail)
    return message.client_label or UNNAMED_CLIENT


def _what(purpose: str) -> str:
    if purpose.startswith("session_") and purpose not in words.PURPOSES:
        return words.SESSION
    return words.PURPOSES.get(purpose, pages.PURPOSE_OTHERWISE)


def _from_number(message: Unknown) -> str:
    if message.is_house:
        return words.FROM_NUMBER.format(name=message.instance_name)
    whose = words.FROM_CLIENT if message.spoken_by == "client" else words.FROM_AGENCY
    return f"{whose} {phone(message.number_phone)}".rstrip()


def _text(message: Unknown) -> str:
    kind, text = words.KINDS.get(message.message_kind or ""), message.text_preview or ""
    if len(text) >= CUT_AT:
        text = f"{text.rstrip()}…"
    return ": ".join(part for part in (kind, text) if part) or words.NO_TEXT


def _verdict(message: Unknown) -> Word:
    if message.waits_at_provider:
        return words.WAITS_THERE
    return words.VERDICTS.get(message.presumed or "", words.NO_VERDICT)


def _known(message: Unknown, when: When) -> list[tuple[str, str]]:
    """Each piece of evidence as a sentence, and since when we know it."""
    told = [
        (words.KNOWN.get((each.source, each.says), words.OTHERWISE[each.says]), when(each.seen_at))
        for each in message.evidence
    ]
    return told or [(words.NOT_CONFIRMED, "")]


def _asked(visit: Visit) -> tuple[int, Decision]:
    written, decision = visit.part("message_id"), _ADDRESSES.get(visit.part("decision"))
    if decision is None or not _ID.fullmatch(written):
        raise NotFound
    return int(written), decision


def _moment(written: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(written)
    except ValueError:
        raise InvalidInput("since: must be the time that the form came with") from None


def _why_not(visit: Visit, message_id: int, decision: Decision) -> str:
    """Of two conflicts the one that the person can do something about; the other is that it is too late."""
    try:
        message = unknowns.own_one(visit.db, message_id)
    except (Conflict, NotFound):
        return words.TOO_LATE
    return words.STILL_THERE if decision == "resend" and message.waits_at_provider else words.TOO_LATE


def _redirect(notice: str) -> Redirect:
    return Redirect(f"{PAGE}?notice={notice}")
