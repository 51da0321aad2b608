"""`roleta migrate plan|apply|rollback|status`: the words around scripts/migrate.py."""

import click

from scripts import migrate as migrations
from scripts.commands.import_env_instance import import_if_set
from scripts.commands.surroundings import Surroundings, by_option, pass_surroundings, say
from scripts.commands.tables import ask, console, table
from shared.errors import MigrationRefused


@click.group()
def migrate() -> None:
    """Plan, apply, roll back and report the migrations."""


@migrate.command()
@pass_surroundings
def plan(around: Surroundings) -> None:
    """What apply would do, with the locks each file takes; changes nothing."""
    found = migrations.plan(around.database_url)
    for refusal in found.refusals:
        say(f"refused: {refusal}")
    for each in found.pending:
        say(each.name)
        for line in each.notes.splitlines():
            say(f"    {line}")
    if not found.pending:
        say("nothing to apply")
    if found.refusals:
        raise click.exceptions.Exit(1)


@migrate.command()
@by_option
@pass_surroundings
def apply(around: Surroundings, by: str) -> None:
    """Apply what is pending, then make the number of ZAPI_* a row where they are set."""
    done = migrations.apply_all(around.database_url, say=say)
    say(f"{len(done)} applied" if done else "nothing to apply")
    import_if_set(around, by=by, say=say)


@migrate.command()
@click.option(
    "--to", metavar="NAME", help="Keep this one (a name or its beginning, such as 0004), undo the rest."
)
@click.option("--all", "everything", is_flag=True, help="Undo every migration.")
@click.option("--discard-data", is_flag=True, help="Also where rows or values would be lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_surroundings
def rollback(around: Surroundings, to: str | None, everything: bool, discard_data: bool, yes: bool) -> None:
    """Undo migrations, newest first, all in one transaction; drops only what they made."""
    if (to is None) != everything:
        raise click.UsageError("give one of --to NAME and --all")
    lost = ", with the data in them" if discard_data else ""
    ask(
        f"Undo {'every migration' if everything else f'the migrations after {to}'}{lost}?",
        yes=yes,
        nothing_done="nothing rolled back",
    )
    done = migrations.rollback(around.database_url, to or "all", discard_data=discard_data, say=say)
    say(f"{len(done)} rolled back" if done else "nothing to roll back")


@migrate.command()
@pass_surroundings
def status(around: Surroundings) -> None:
    """Every migration: applied, pending, edited since, or unknown here."""
    states = migrations.status(around.database_url)
    rows = [(each.name, each.state, each.applied_at) for each in states]
    console().print(table(("migration", "state", "applied"), rows))
    wrong = [each.name for each in states if each.state in ("edited", "unknown")]
    if wrong:
        raise MigrationRefused(f"not as they were applied: {', '.join(wrong)}; see `roleta migrate plan`")
