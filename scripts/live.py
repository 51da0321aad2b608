"""What `up` shows while it runs: a live table on a terminal, plain lines elsewhere. It only looks."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scripts.commands.status import pause_banner, paused_by, sends, state_of
from scripts.commands.tables import length, moment, table
from scripts.people import Posting
from shared import clock, outbox
from shared.db import Database
from shared.errors import DatabaseUnavailable
from shared.outbox import Move, PoolRow

LOOK_EVERY_S = 0.5
LINE_EVERY_S = 10.0
AWAY_LIMIT_S = 5.0
LATEST = 8
MOVES_AT_ONCE = 1000
SHOWN = ("accepted", "rejected", "unknown", "expired", "withdrawn")


@dataclass
class View:
    """What there is to see at one moment. `moves` are those since the last look."""

    pool: list[PoolRow]
    paused: dict[str, object] | None
    moves: list[Move]
    posting: Posting | None
    accepted: int
    trouble: str | None = None

    @property
    def queue(self) -> int:
        """Messages that will leave by themselves."""
        return sum(row.replies + row.timed + row.bulk + row.in_flight for row in self.pool)

    def empty_in(self) -> str:
        """When the whole queue should be empty, in words."""
        ends = [row.queue_empty_at for row in self.pool if row.queue_empty_at is not None]
        if self.queue == 0:
            return "the queue is empty"
        if self.paused or not ends:
            return f"{self.queue} waiting"
        return f"{self.queue} waiting, empty in {length((max(ends) - clock.now()).total_seconds())}"

    def people(self) -> str:
        """How far the signing up is."""
        posting = self.posting
        if posting is None:
            return "nobody to sign up"
        parts = [f"{posting.posted}/{len(posting.people)} people posted", f"{posting.new} new"]
        parts += [f"{posting.known} known before"] if posting.known else []
        parts += [f"{len(posting.refused)} refused"] if posting.refused else []
        parts += [f"{posting.without_number} without room"] if posting.without_number else []
        return ", ".join(parts)


class Screen(Protocol):
    """Shows views until it is left."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, view: View) -> None:
        """Show what is so now."""


class LiveScreen:
    """One picture that changes in place."""

    def __init__(self, console: Console, heading: list[str]) -> None:
        self._heading = heading
        self._latest: deque[Move] = deque(maxlen=LATEST)
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, view: View) -> None:
        """Replace the picture."""
        self._latest.extend(move for move in view.moves if move.to_state in SHOWN)
        lines = [
            Text(_line(move), style="" if move.to_state == "accepted" else "red") for move in self._latest
        ]
        self._live.update(
            Group(
                *(Text(line, style="bold") for line in self._heading),
                *pause_banner(view.paused),
                *([Text(view.trouble, style="red")] if view.trouble else []),
                _pool(view),
                *lines,
                Text(f"{view.people()} · {view.empty_in()} · Ctrl-C stops", style="dim"),
            )
        )


@dataclass
class PlainLines:
    """A line for each message that ends, and one every ten seconds."""

    say: Callable[[str], None]
    heading: list[str]
    _said_at: float = field(default_factory=clock.monotonic)

    def __enter__(self) -> Self:
        for line in self.heading:
            self.say(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, view: View) -> None:
        """Say what is new."""
        for move in view.moves:
            if move.to_state in SHOWN:
                self.say(_line(move))
        if clock.monotonic() - self._said_at >= LINE_EVERY_S:
            self._said_at = clock.monotonic()
            self.say(view.trouble or f"{view.people()}; {view.accepted} accepted; {view.empty_in()}")


def screen(heading: list[str]) -> Screen:
    """Live on a terminal that can be drawn on, lines elsewhere."""
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console, heading)
    return PlainLines(click.echo, heading)


class Watch:
    """Looks at the pool twice a second until told to stop or until its goal is reached."""

    def __init__(
        self,
        db: Database,
        posting: Posting | None,
        *,
        check: Callable[[], None],
        until_done: bool = False,
        accepted_goal: int | None = None,
        away_limit_s: float = AWAY_LIMIT_S,
    ) -> None:
        self._db, self._posting, self._check = db, posting, check
        self._until_done, self._goal = until_done, accepted_goal
        self._away_limit_s = away_limit_s
        self._after = max((move.history_id for move in outbox.recent_moves(db, limit=1)), default=0)
        self._away_since: float | None = None
        self._last = View([], None, [], posting, 0)

    def run(self, shown: Screen, stop: threading.Event) -> View:
        """The last view. Raises what `check` raises, and DatabaseUnavailable when it stays away."""
        with ExitStack() as stack:
            stack.enter_context(shown)
            while not stop.is_set():
                self._check()
                begun = clock.monotonic()
                shown.show(view := self._look())
                if self._reached(view):
                    break
                # A pool that takes long to look at is looked at less often.
                took = 0.0 if view.trouble else clock.monotonic() - begun
                stop.wait(max(LOOK_EVERY_S, 4 * took))
        return self._last

    def _look(self) -> View:
        posting_was_over = self._posting is None or self._posting.over
        try:
            moves = outbox.recent_moves(self._db, after_id=self._after, limit=MOVES_AT_ONCE)
            pool, paused = outbox.pool_overview(self._db), paused_by(self._db)
        except DatabaseUnavailable as problem:
            self._away_since = self._away_since or clock.monotonic()
            if clock.monotonic() - self._away_since > self._away_limit_s:
                raise
            last = self._last
            return View(last.pool, last.paused, [], self._posting, last.accepted, f"waiting: {problem}")
        self._away_since = None
        self._after = max((move.history_id for move in moves), default=self._after)
        accepted = self._last.accepted + sum(move.to_state == "accepted" for move in moves)
        self._last = View(pool, paused, moves, self._posting, accepted)
        # Read before the pool was: whoever was posted by then has the welcome in the queue that we saw.
        self._settled = posting_was_over
        return self._last

    def _reached(self, view: View) -> bool:
        if view.trouble:
            return False
        if self._goal is not None and view.accepted >= self._goal:
            return True
        return self._until_done and self._settled and view.queue == 0


def _pool(view: View) -> Table:
    columns = ("number", "people#", "queue#", "next slot", "accepted 1 h#", "state")
    rows = [
        (
            row.name,
            f"{row.people}/{row.seats}",
            row.replies + row.timed + row.bulk + row.in_flight or "",
            _slot(row),
            row.accepted_hour,
            state_of(row),
        )
        for row in view.pool
    ]
    return table(columns, rows)


def _slot(row: PoolRow) -> str:
    if row.in_flight:
        return "sending"
    if row.timed + row.bulk == 0 or not sends(row):
        return ""
    return _countdown(row.next_send_at)


def _countdown(at: datetime | None) -> str:
    left = (at - clock.now()).total_seconds() if at else 0.0
    return f"in {left:.1f} s" if 0 < left < 60 else f"in {length(left)}" if left > 0 else "now"


def _line(move: Move) -> str:
    why = f": {move.reason}" if move.reason and move.to_state != "accepted" else ""
    state = "" if move.to_state == "accepted" else f" {move.to_state}{why}"
    return f"{moment(move.happened_at)} {move.instance_name} → …{move.phone_tail} {move.purpose}{state}"
