"""`roleta simulate …`: options, table, picture and verdict; what is simulated is in scripts/simulate/week."""

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from scripts.bench import ground
from scripts.simulate import plot
from scripts.simulate.week import START, Kind, Plan, Week, simulate
from shared import log
from shared.errors import RoletaError

DEFAULT_FILE = Path(__file__).resolve().parents[2] / ".roleta" / "simulate" / "week.svg"


class WeekWasWrong(RoletaError):
    """Something happened in the simulated week that must never happen."""


@click.group("simulate")
def simulation() -> None:
    """Let the house run in virtual time, on a throw-away database, and judge what happened."""


@simulation.command()
@click.option("--people", type=click.IntRange(1, 20_000), default=500, show_default=True)
@click.option("--numbers", type=click.IntRange(1, 200), default=4, show_default=True)
@click.option(
    "--replies",
    type=click.FloatRange(0, 600),
    default=60,
    show_default=True,
    help="Turns an hour and number, by day.",
)
@click.option("--days", type=click.IntRange(1, 31), default=7, show_default=True)
@click.option("--seed", type=int, default=Plan.seed, show_default=True)
@click.option(
    "--plot",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_FILE,
    help="Where the SVG goes.",
)
@click.option("--database-url", metavar="URL", help="An empty database that may be thrown away.")
def week(  # noqa: PLR0917 - click gives each option by its name
    people: int, numbers: int, replies: float, days: int, seed: int, file: Path, database_url: str | None
) -> None:
    """A week of all schedules and people who write; writes a picture, and fails if a rule was broken."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=130, highlight=False)
    # Thousands of lines about a town that is not there.
    log.configure("WARNING")
    began = time.monotonic()
    with ground.prepared(database_url) as url:
        found = simulate(url, Plan(people, numbers, replies, days, seed))
    title = f"{people} people, {numbers} numbers, {replies:g} replies an hour and number, {days} days"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(plot.draw(found.begun, START, days, title), encoding="utf-8")
    _show(console, found, title)
    console.print(f"{file}  ({time.monotonic() - began:.0f} s for {days} days)", soft_wrap=True)
    if found.violations:
        for line in found.violations[:20]:
            console.print(f"[red]broken:[/] {line}", soft_wrap=True)
        raise WeekWasWrong(f"{len(found.violations)} things happened that must not; the first are above")


def _show(console: Console, found: Week, title: str) -> None:
    table = Table(title=title)
    for column in Kind._fields:
        table.add_column(column.replace("_", " "), justify="left" if column == "kind" else "right")
    for row in found.table():
        table.add_row(*(f"{cell:,}" if not isinstance(cell, str) else cell for cell in row))
    console.print(table)
    console.print(
        f"{len(found.begun):,} messages left; {found.inbound:,} came in, {found.duplicates} of them twice; "
        f"smallest gap of a number {found.smallest_gap_s:.2f} s; broken rules: {len(found.violations)}"
    )
