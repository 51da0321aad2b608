"""What `up` shows: the same facts as lines and as a picture, and when its goals are reached."""

import io
import threading
from uuid import UUID

import pytest
from rich.console import Console

from scripts.live import LiveScreen, PlainLines, View, Watch
from shared import outbox
from shared.db import Database
from shared.errors import DatabaseUnavailable, RoletaError


def _enqueue(db: Database, tail: int) -> None:
    outbox.enqueue(
        db,
        purpose="direct",
        phone=f"551198000{tail:04d}",
        dedupe_key=f"key {tail}",
        enqueued_by="the test",
        text="Oi",
    )


def _send_one(db: Database, outcome: str = "accepted") -> None:
    """What a worker does, without a provider."""
    claimed = db.call_one("messaging.claim", p_worker="the test")
    begun = db.call_one(
        "messaging.begin_attempt",
        p_message_id=claimed["message_id"],
        p_lease_token=claimed["lease_token"],
        p_worker="the test",
    )
    db.call(
        "messaging.record_attempt",
        p_attempt_id=begun["attempt_id"],
        p_outcome=outcome,
        p_provider_message_id="3EB0" if outcome == "accepted" else None,
        p_detail="",
    )


def _nothing_wrong() -> None:
    """No child has died."""


def test_lines_tell_each_message_that_ended_by_its_tail(db: Database, aura: UUID) -> None:
    """A line per ended message: the number, the phone's tail, the purpose; and the goal ends the watch."""
    _enqueue(db, 1234)
    _enqueue(db, 5678)
    said: list[str] = []
    watch = Watch(db, None, check=_nothing_wrong, accepted_goal=1)
    _send_one(db)
    view = watch.run(PlainLines(said.append, ["heading"]), threading.Event())

    assert said[0] == "heading"
    assert said[1].endswith(" Aura #1 → …1234 direct")
    assert len(said) == 2
    assert (view.accepted, view.queue) == (1, 1)
    assert view.empty_in().startswith("1 waiting, empty in ")


def test_until_done_ends_when_nothing_waits(db: Database, aura: UUID) -> None:
    """An empty queue and nobody to post: done at the first look; what was refused is in the lines."""
    _enqueue(db, 1234)
    said: list[str] = []
    watch = Watch(db, None, check=_nothing_wrong, until_done=True)
    _send_one(db, "rejected")
    view = watch.run(PlainLines(said.append, []), threading.Event())

    assert "rejected" in said[0]
    assert view.empty_in() == "the queue is empty"


def test_the_picture_shows_numbers_latest_messages_and_a_pause(db: Database, aura: UUID) -> None:
    """On a terminal: the pause above all, a line per number, what was just accepted, and how to stop."""
    _enqueue(db, 1234)
    _enqueue(db, 5678)
    watch = Watch(db, None, check=_nothing_wrong, accepted_goal=1)
    _send_one(db)
    outbox.pause_all(db, by="Rita", why="lunch")
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=110, color_system=None)
    watch.run(LiveScreen(console, ["heading"]), threading.Event())

    for text in ("heading", "PAUSED by Rita: lunch", "Aura #1", "0/250", "…1234 direct", "Ctrl-C stops"):
        assert text in drawn.getvalue()


def test_a_stop_ends_the_watch(db: Database, aura: UUID) -> None:
    """Ctrl-C is heeded whatever the goal."""
    stop = threading.Event()
    stop.set()
    watch = Watch(db, None, check=_nothing_wrong, accepted_goal=5)

    assert watch.run(PlainLines(lambda _line: None, []), stop) == View([], None, [], None, 0)


def test_a_child_that_died_ends_the_watch(db: Database, aura: UUID) -> None:
    """What `check` raises comes out."""

    def died() -> None:
        raise RoletaError("the worker has ended")

    with pytest.raises(RoletaError, match="the worker has ended"):
        Watch(db, None, check=died).run(PlainLines(lambda _line: None, []), threading.Event())


def test_a_database_that_stays_away_is_told_and_ends_the_watch(db: Database, aura: UUID) -> None:
    """It shows that it waits, and gives up only after its time."""
    watch = Watch(db, None, check=_nothing_wrong, away_limit_s=0.3)
    db.close()
    seen: list[View] = []

    class Seeing(PlainLines):
        def show(self, view: View) -> None:
            seen.append(view)

    with pytest.raises(DatabaseUnavailable):
        watch.run(Seeing(lambda _line: None, []), threading.Event())
    assert "waiting: " in (seen[0].trouble or "")
