"""`roleta up`: starts the parts, signs people up, shows the pool at work, and ends everything in order."""

import math
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import click

from scripts import run_file
from scripts.children import ChildDiedError
from scripts.commands.signals import stop_on_signals
from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from scripts.launch import arrange, pace_line, what_starts
from scripts.live import AWAY_LIMIT_S, View, Watch, screen
from scripts.parts import Parts, StoppedError, with_port
from scripts.people import Person, Posting, read_people
from scripts.sample_agency import MANAGER_EMAIL
from shared.db import Database
from shared.errors import RoletaError


@click.command()
@click.option(
    "--people",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sign up the people of this CSV (name, phone, email) in place of the sample.",
)
@click.option(
    "--speed", type=float, metavar="N", help="Divide the gaps of the sample run by N. [default: 20]"
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The gateway's port; 0 takes a free one. [default: 8000]"
)
@click.option("--until-done", is_flag=True, help="End when everybody is signed up and the queue is empty.")
@click.option(
    "--exit-after-first", type=click.IntRange(1), metavar="N", help="End when N messages have been accepted."
)
@click.option("--yes", is_flag=True, help="Never skips the question before real people are written to.")
@pass_surroundings
def up(
    around: Surroundings,
    *,
    people: Path | None,
    speed: float | None,
    port: int | None,
    until_done: bool,
    exit_after_first: int | None,
    yes: bool,
) -> None:
    """Start everything and show the pool at work, until Ctrl-C.

    Without DATABASE_URL and ZAPI_* it brings its own PostgreSQL and a simulator of Z-API, and signs up sixty
    invented people. With either of them it signs up nobody unless --people is given and you agree.
    """
    settings = with_port(around.own_settings, port)
    arrangement = arrange(settings, speed=speed, people=people)
    asked_for = read_people(arrangement.people) if arrangement.people else []
    for line in what_starts(arrangement, settings):
        say(line)
    if arrangement.asks:
        agree(asked_for)
    stop = stop_on_signals(hang_up=True)
    with run_file.only_one(around.home), ExitStack() as stack:
        parts = Parts(
            arrangement,
            settings,
            home=around.home,
            env_file=around.env_file,
            stack=stack,
            stop=stop,
            say=say,
        )
        try:
            db = parts.start()
            view = _work(db, parts, asked_for, stop, (until_done, exit_after_first))
        except StoppedError:
            say("stopping")
        except ChildDiedError as problem:
            for last in problem.last_lines:
                say(f"    {last}")
            raise
        else:
            say(_summary(view))


def agree(people: list[Person]) -> None:
    """Asks whether these people may be written to. No option skips it; without a terminal: refused."""
    names = ", ".join(person.name for person in people[:3]) + (", ..." if len(people) > 3 else "")
    count = f"{len(people)} {'people' if len(people) != 1 else 'person'}"
    if not sys.stdin.isatty():
        raise RoletaError(
            f"{count} would be written to for real, and there is no terminal to ask at: "
            "run this in a terminal (--yes does not skip the question)"
        )
    if not click.confirm(f"Sign up {count} ({names}) and write to each of them on WhatsApp, for real?"):
        say("nobody was signed up, nothing was started")
        raise click.exceptions.Exit(1)


def _work(
    db: Database,
    parts: Parts,
    people: list[Person],
    stop: threading.Event,
    watch_for: tuple[bool, int | None],
) -> View:
    posting = Posting(people, parts.gateway, parts.service_key) if people else None
    until_done, accepted_goal = watch_for
    # A real database may come back, and the worker waits for it; ours would have to be started again.
    limit = AWAY_LIMIT_S if parts.arrangement.database == "ours" else math.inf
    watch = Watch(
        db,
        posting,
        check=parts.check,
        until_done=until_done,
        accepted_goal=accepted_goal,
        away_limit_s=limit,
    )
    if posting:
        posting.start()
    try:
        return watch.run(screen(_heading(parts)), stop)
    finally:
        if posting:
            posting.stop()
            for refusal in posting.refused[:10]:
                say(f"refused, {refusal}")


def _heading(parts: Parts) -> list[str]:
    lines = [f"roleta is ready: {parts.gateway}/functions/v1/start-trial", pace_line(parts.arrangement)]
    if parts.agency:
        lines.append(f"agency: {parts.gateway}/agency  {MANAGER_EMAIL}  password {parts.agency.password}")
    return lines


def _summary(view: View) -> str:
    held = sum(row.held for row in view.pool)
    unknown = sum(row.unknown for row in view.pool)
    parts = [view.people(), f"{view.accepted} accepted in this run", view.empty_in()]
    parts += [f"{held} held"] if held else []
    parts += [f"{unknown} unknown: roleta why, roleta status"] if unknown else []
    return "stopping: " + "; ".join(parts)
