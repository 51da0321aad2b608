"""`roleta bench …`: the options; what is measured is in the module of the same name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from scripts.bench import ground, report
from scripts.bench.progress import Progress
from scripts.bench.report import Report

F = TypeVar("F", bound=Callable[..., Any])
SEED = 20_260_000


@dataclass(frozen=True)
class Run:
    """One bench under way: its database, and where figures and progress go."""

    url: str
    report: Report
    progress: Progress


@click.group()
def bench() -> None:
    """Measure on a throw-away database: a server of the bench's own unless --database-url is given.

    Prints a table and writes a JSON file. Times depend on the machine and on what else it does; the ratios
    inside one run are what to compare.
    """


def _options(command: F) -> F:
    for option in (
        click.option("--quick", is_flag=True, help="Smaller sizes: a look, not a figure to publish."),
        click.option("--database-url", metavar="URL", help="An empty database that may be thrown away."),
        click.option(
            "--json",
            "json_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Where the figures go. [default: .roleta/bench/<name>.json]",
        ),
        click.option("--seed", type=int, default=SEED, show_default=True, help="For what is drawn here."),
    ):
        command = option(command)
    return command


@contextmanager
def _running(
    name: str, steps: int, *, quick: bool, seed: int, database_url: str | None, json_file: Path | None
) -> Iterator[Run]:
    """The bench's database while it runs; afterwards its table and its file."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=160, highlight=False)
    found = Report(name, quick, seed)
    file = json_file or report.FOLDER / f"{name}.json"
    with Progress(console, steps) as progress, ground.prepared(database_url) as url:
        around = report.surroundings(url)
        yield Run(url, found, progress)
    found.write(file, around)
    found.show(console)
    console.print(f"written to {file.name if json_file is None else file}")


@bench.command()
@_options
def allocate(quick: bool, **common: Any) -> None:
    """Allocations per second at 10, 1,000 and 100,000 numbers, beside the naive two steps."""
    from scripts.bench import allocate as work  # noqa: PLC0415 - only this command needs it

    sizes = work.QUICK_SIZES if quick else work.SIZES
    with _running("allocate", 4 * len(sizes), quick=quick, **common) as run:
        work.measure(run.url, run.report, run.progress, sizes, seconds=1.0 if quick else 8.0)


@bench.command()
@_options
def claim(quick: bool, **common: Any) -> None:
    """Claim-and-record pairs per second, and buffers per claim, at 10 k, 100 k and 1 M queued."""
    from scripts.bench import claim as work  # noqa: PLC0415 - only this command needs it

    depths = work.QUICK_DEPTHS if quick else work.DEPTHS
    with _running("claim", 4 * len(depths), quick=quick, **common) as run:
        work.measure(run.url, run.report, run.progress, depths, seconds=2.0 if quick else 6.0)


@bench.command()
@_options
def pace(quick: bool, **common: Any) -> None:
    """Makespan of 10,000 messages on 50 numbers, beside the ideal and the seed's sequential sleep."""
    from scripts.bench import pace as work  # noqa: PLC0415 - only this command needs it

    with _running("pace", 2, quick=quick, **common) as run:
        work.measure(run.url, run.report, run.progress, work.QUICK if quick else work.FULL)


@bench.command()
@_options
def webhook(quick: bool, **common: Any) -> None:
    """Requests per second, p50 and p99 of webhook-zapi at a real gateway."""
    from scripts.bench import webhook as work  # noqa: PLC0415 - only this command needs it

    counts = [4] if quick else [1, 4, 8, 16]
    with _running("webhook", len(counts), quick=quick, **common) as run:
        work.measure(run.url, run.report, run.progress, client_counts=counts, seconds=2.0 if quick else 8.0)
