"""The progress bar of a bench: one step per measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """`with Progress(console, 6) as progress`; where there is no terminal, a line per step."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting the database", total=steps)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One measurement, named while it runs."""
        self._bar.update(self._task, description=what)
        if not self._console.is_terminal:
            self._console.print(what)
        yield
        self._bar.advance(self._task)
