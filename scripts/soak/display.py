"""What a person sees while a soak runs: how far it is, how fast, who died, what is uncertain."""

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0
RATE_OVER_S = 10.0


class Display:
    """`with Display(console, total) as display`: a bar on a terminal, elsewhere a line every ten seconds."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting the database", total=total)
        self._seen: deque[tuple[float, int]] = deque()
        self._said_at = float("-inf")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, what: str) -> None:
        """A step that is not sending."""
        self._bar.update(self._task, description=what)
        if not self._console.is_terminal:
            self._console.print(what)

    def sending(self, done: int, unknown: int, deaths: str) -> None:
        """How far the messages are; call it as often as you like."""
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > RATE_OVER_S:
            self._seen.popleft()
        first_at, first = self._seen[0]
        rate = (done - first) / (now - first_at) if now > first_at else 0.0
        told = f"{rate:,.0f}/s, {deaths}, {unknown:,} unknown"
        self._bar.update(self._task, description=told, completed=done)
        if not self._console.is_terminal and now - self._said_at >= LINE_EVERY_S:
            self._said_at = now
            self._console.print(f"{done:,} of {self._total:,}: {told}")
