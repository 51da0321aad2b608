"""`roleta pause-all` and `roleta resume-all`: felt by the very next claim."""

import click

from scripts.commands.surroundings import Surroundings, by_option, pass_surroundings, say, why_option
from shared import outbox


@click.command("pause-all")
@why_option
@by_option
@pass_surroundings
def pause_all(around: Surroundings, why: str | None, by: str) -> None:
    """Stop every number, from the next message on; what is in flight ends."""
    with around.database(name="roleta pause-all") as db:
        paused = outbox.pause_all(db, by=by, why=why)
    say("everything is paused: roleta resume-all ends it" if paused else "everything was paused already")


@click.command("resume-all")
@by_option
@pass_surroundings
def resume_all(around: Surroundings, by: str) -> None:
    """End pause-all; what waited goes at each number's pace."""
    with around.database(name="roleta resume-all") as db:
        resumed = outbox.resume_all(db, by=by)
    say("running again, each number at its own pace" if resumed else "nothing was paused")
