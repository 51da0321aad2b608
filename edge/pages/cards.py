"""One connection as the pages show it: a row of messaging.agency_connections in words. No HTML here."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.pages.rendering import phone
from shared.db import Row
from shared.texts_pt import pages as words
from shared.texts_pt.pages import Word

AGENCY = "agency"
_UNDER_WAY = ("connecting", "waiting_for_scan")


@dataclass(frozen=True)
class Card:
    """A client's connection, or the agency's own (key "agency"). `path`: where its pages begin."""

    key: str
    title: str
    email: str
    state: str
    badge: Word
    phone: str
    since: str
    waiting_count: int
    waiting: str
    voice: str
    trouble: str
    verb: str

    @property
    def path(self) -> str:
        """/agency or /clients/<id>."""
        return f"/{AGENCY}" if self.key == AGENCY else f"/clients/{self.key}"

    @property
    def initials(self) -> str:
        """Up to two letters to recognise it by."""
        parts = [word for word in self.title.split() if word[0].isalnum()]
        return "".join(word[0] for word in [*parts[:1], *parts[1:][-1:]]).upper() or "?"

    @property
    def live(self) -> dict[str, Any]:
        """What may change while a page is open, for the script."""
        return {
            "key": self.key,
            "name": self.title,
            "state": self.state,
            "tone": self.badge.tone,
            "waiting_count": self.waiting_count,
            "texts": {
                "badge": self.badge.text,
                "phone": self.phone,
                "since": self.since,
                "waiting": self.waiting,
                "voice": self.voice,
                "trouble": self.trouble,
                "verb": self.verb,
            },
        }


def card_of(row: Row, when: Callable[[datetime.datetime | None], str]) -> Card:
    """A row in words; `when` says a moment in the agency's time."""
    state, badge = _state(row)
    is_agency = row["client_id"] is None
    since = {"connected": row["connected_at"], "disconnected": row["last_disconnected_at"]}.get(state)
    return Card(
        key=AGENCY if is_agency else str(row["client_id"]),
        title=row["client_label"] or (words.THE_AGENCY if is_agency else words.UNNAMED_CLIENT),
        email=row["client_email"] or "",
        state=state,
        badge=badge,
        phone=phone(row["phone_number"]) or "—",
        since=words.since(when(since)) if since else "",
        waiting_count=row["waiting"],
        waiting=words.waiting(row["waiting"]),
        voice=_voice(row["speaks_for"], is_agency=is_agency),
        trouble=_trouble(row["halted_reason"]),
        verb=_verb(state, was_open=row["first_connected_at"] is not None),
    )


def counters(cards: list[Card]) -> dict[str, int]:
    """How many clients there are, and how many in which state."""
    states = [card.state for card in cards]
    connected, without = states.count("connected"), states.count("none")
    return {
        "clients": len(cards),
        "connected": connected,
        "disconnected": len(cards) - connected - without,
        "without": without,
    }


def _state(row: Row) -> tuple[str, Word]:
    if row["status"] == "connected":
        return "connected", words.CONNECTED
    if row["status"] != "none" and row["pairing_state"] in _UNDER_WAY:
        return "pending", words.WAITING_FOR_SCAN
    # A pairing begun and never finished counts as none (decisions.md B5).
    if row["first_connected_at"] is None:
        return "none", words.WITHOUT_NUMBER
    return "disconnected", words.DISCONNECTED


def _verb(state: str, *, was_open: bool) -> str:
    if state == "pending":
        return words.SHOW_CODE
    return words.RECONNECT if was_open else words.CONNECT


def _voice(speaks_for: str | None, *, is_agency: bool) -> str:
    if is_agency:
        return words.SPEAKS_AGENCY if speaks_for else words.SPEAKS_NOBODY_AGENCY
    if speaks_for == "client":
        return words.SPEAKS_CLIENT
    return words.SPEAKS_AGENCY_WHY if speaks_for == "agency" else words.SPEAKS_NOBODY


def _trouble(halted_reason: str | None) -> str:
    if not halted_reason:
        return ""
    return words.HALTED.get(halted_reason, words.HALTED_OTHERWISE)
