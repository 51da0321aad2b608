"""`roleta audit`: the rows of the audit views. None, or something is wrong."""

import json

import click

from scripts.commands.surroundings import Surroundings, json_option, pass_surroundings, say, say_json
from scripts.commands.tables import console, table
from shared import outbox


@click.command()
@json_option
@pass_surroundings
def audit(around: Surroundings, as_json: bool) -> None:
    """Print what the database finds wrong with itself; exit code 1 if there is anything."""
    with around.database(name="roleta audit") as db:
        found = outbox.audit_findings(db)
    if as_json:
        say_json(found)
    elif found:
        rows = [(each["finding"], json.dumps(each["evidence"], default=str)) for each in found]
        console().print(table(("finding", "evidence"), rows))
    else:
        say("no findings")
    if found:
        raise click.exceptions.Exit(1)
