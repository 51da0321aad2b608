"""`roleta soak`: its options and its exit code; what happens is in scripts/soak/run.py."""

import json
import random
import shutil
import tempfile
from pathlib import Path

import click
from rich.console import Console

from scripts.commands.signals import stop_on_signals
from scripts.soak import report
from scripts.soak.display import Display
from scripts.soak.judge import BrokenPromise
from scripts.soak.run import Plan, Soak
from shared import log

INTERRUPTED = 130


@click.command()
@click.option("--messages", type=click.IntRange(10, 10_000_000), default=Plan.messages, show_default=True)
@click.option("--kills", type=click.IntRange(0, 10_000), default=Plan.kills, show_default=True)
@click.option("--faults", type=click.FloatRange(0, 1), default=Plan.faults, show_default=True)
@click.option("--seed", type=click.IntRange(0), help="For faults and kills. [default: a new one, printed]")
@click.option("--workers", type=click.IntRange(1, 16), default=Plan.workers, show_default=True)
@click.option("--numbers", type=click.IntRange(1, 5_000), default=Plan.numbers, show_default=True)
@click.option("--database-stops", type=click.IntRange(0, 1_000), default=0, show_default=True)
@click.option("--receipts/--no-receipts", default=True, help="A gateway takes the provider's events.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go."
)
def soak(  # noqa: PLR0917 - click gives each option by its name
    messages: int,
    kills: int,
    faults: float,
    seed: int | None,
    workers: int,
    numbers: int,
    database_stops: int,
    receipts: bool,
    json_file: Path | None,
) -> None:
    """Kill, deceive, and count: lost, duplicated, unexpected, recovered.

    Starts a database, a provider, a gateway and workers of its own, gone afterwards; kills workers with kill
    -9 (and stops the database) at random points; lets the provider err in six ways. The judge is the
    provider's own book on disk. Exit code 1 if a promise was broken. Ctrl-C ends it with a verdict so far.
    """
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=130, highlight=False)
    log.configure("WARNING")
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    plan = Plan(messages, kills, faults, seed, workers, numbers, database_stops, receipts)
    console.print(
        f"seed {seed}: --seed {seed} draws the same faults and points of death again; threads run as they may"
    )
    stop = stop_on_signals()
    folder = Path(tempfile.mkdtemp(prefix="roleta-soak-"))
    folder.chmod(0o755)  # as root the server is `nobody` and passes through
    try:
        with Display(console, messages) as display:
            outcome = Soak(plan, folder, display, stop).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.show(console, outcome)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(outcome), indent=2) + "\n", encoding="utf-8")
    if broken := outcome.broken():
        raise BrokenPromise(f"{len(broken)} promises were broken (seed {seed}); they are named above")
    if outcome.stopped_early:
        raise click.exceptions.Exit(INTERRUPTED)
    console.print("every promise was kept")
