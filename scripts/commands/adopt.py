"""`roleta adopt --check`: what an existing project should put right, before or after its migration."""

import click

from scripts import adoption
from scripts.commands.surroundings import Surroundings, pass_surroundings, say
from scripts.commands.tables import console, table


@click.command()
@click.option("--check", is_flag=True, required=True, help="Look, and change nothing.")
@pass_surroundings
def adopt(around: Surroundings, check: bool) -> None:
    """List what an adopted database should put right; exit code 1 if something does less because of it.

    `roleta migrate apply` adopts; this only looks.
    """
    with around.database(name="roleta adopt") as db:
        findings = adoption.check(db)
    if not findings:
        say("nothing to put right")
        return
    rows = [(each.rows, each.what, each.example, each.remedy) for each in findings]
    console().print(table(("rows#", "what", "such as", "remedy"), rows))
    if any(each.blocks for each in findings):
        raise click.exceptions.Exit(1)
