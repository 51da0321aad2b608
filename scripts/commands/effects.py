"""`roleta effects retry`: what accepted messages could not write into the app's tables, tried again."""

import click

from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from shared import outbox


@click.group()
def effects() -> None:
    """What accepted messages should have written into the app."""


@effects.command()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="At most so many."
)
@pass_surroundings
def retry(around: Surroundings, limit: int) -> None:
    """Try the failed effects again, oldest first. Nothing is sent by this."""
    with around.database(name="roleta effects retry") as db:
        tried = outbox.retry_effects(db, limit=limit)
    for each in tried:
        if not each.succeeded:
            say(f"effect {each.effect_id} of message {each.message_id} failed again")
    worked = sum(each.succeeded for each in tried)
    say(f"{worked} of {len(tried)} failed effects succeeded" if tried else "there is no failed effect")
    if worked < len(tried):
        raise click.exceptions.Exit(1)
