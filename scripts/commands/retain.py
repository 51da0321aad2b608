"""`roleta retain`: removes texts and raw events that are older than their days. Workers do it every night."""

import math

import click

from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from scripts.commands.tables import console, table
from shared import retention

_NAMES = {
    "texts": "texts of messages that are over",
    "event_texts": "texts of events",
    "raw_events": "raw events",
    "buckets": "counts of sign-ups",
}


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count.")
@pass_surroundings
def retain(around: Surroundings, *, dry_run: bool) -> None:
    """Remove texts after ROLETA_KEEP_TEXTS_DAYS and raw events after ROLETA_KEEP_EVENTS_DAYS, all of them.

    Rows, states, times and counts stay. Nothing that waits or is unknown is touched.
    """
    settings = around.settings
    with around.database(name="roleta retain") as db:
        if dry_run:
            found = retention.forgettable(db, settings)
        else:
            done = retention.retain(db, settings, longest_s=math.inf)
            found = {what: count for what, count in done.items() if isinstance(count, int) and what in _NAMES}
    verb = "would go" if dry_run else "removed"
    console().print(table(("what", f"{verb}#"), [(_NAMES[what], count) for what, count in found.items()]))
    if 0 in (settings.keep_texts_days, settings.keep_events_days):
        say("what is set to 0 days is kept for ever")
