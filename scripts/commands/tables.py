"""How commands print: rich's console and tables, and times a person can read. No command's own words."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared import clock
from shared.errors import RoletaError

WIDE = 200
DAY_S = 86_400


def console() -> Console:
    """Standard output; where it is no terminal, wide enough that nothing is cut off."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(width=WIDE, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """A table; a column whose name ends in "#" is right-aligned. Nothing in the cells is read as markup."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        name = column.removesuffix("#")
        made.add_column(name, justify="right" if name != column else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return made


def _cell(value: Any) -> str:
    return moment(value) if isinstance(value, datetime) else "" if value is None else str(value)


def moment(at: datetime | str | None, zone: tzinfo | None = None) -> str:
    """A time on the reader's own clock, or that of `zone`; with the day where it is not today. Text is ISO
    8601."""
    if at is None:
        return ""
    local = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(zone)
    today = clock.now().astimezone(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%d %b %H:%M:%S}"


def length(seconds: float) -> str:
    """A duration in the two units that matter."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < DAY_S:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // DAY_S} d {whole % DAY_S // 3600:02} h"


def until(at: datetime | None) -> str:
    """How far off a moment is: "in 12 s", "now", or nothing where there is none."""
    if at is None:
        return ""
    left = (at - clock.now()).total_seconds()
    return f"in {length(left)}" if left > 0 else "now"


def ask(question: str, *, yes: bool, nothing_done: str) -> None:
    """Goes on when the person says yes (or --yes did); else ends the command with `nothing_done`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise RoletaError(f"{nothing_done}: there is no terminal to ask at; --yes answers for you")
    if not click.confirm(question):
        click.echo(nothing_done)
        raise click.exceptions.Exit(1)
