"""`roleta cancel`: shows what would be withdrawn, asks, withdraws. What has begun is left alone."""

import click

from edge.functions import load_functions
from scripts.commands.surroundings import MESSAGE_ID, Surroundings, by_option, pass_surroundings, say
from scripts.commands.tables import ask, console, table
from shared import instances, outbox
from shared.db import Database
from shared.errors import NotFound


@click.command()
@click.option("--message", type=MESSAGE_ID, metavar="ID", help="One message.")
@click.option("--run", metavar="RUN", help="All of one run.")
@click.option("--function", metavar="NAME", help="All that one function enqueued, such as start-trial.")
@click.option("--number", metavar="NUMBER", help="All that waits on one number (its name or id).")
@click.option("--why", required=True, metavar="TEXT", help="Why, for the history.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@pass_surroundings
def cancel(
    around: Surroundings,
    *,
    message: int | None,
    run: str | None,
    function: str | None,
    number: str | None,
    why: str,
    yes: bool,
    by: str,
) -> None:
    """Withdraw what has not begun: of exactly one message, run, function or number."""
    if sum(given is not None for given in (message, run, function, number)) != 1:
        raise click.UsageError("give exactly one of --message, --run, --function and --number")
    with around.database(name="roleta cancel") as db:
        instance_id = instances.find(db, number).instance_id if number is not None else None

        def withdraw(database: Database, *, preview: bool) -> list[outbox.CancelCount]:
            return outbox.cancel(
                database,
                by=by,
                why=why,
                preview=preview,
                message_id=message,
                run_id=run,
                function=function,
                instance_id=instance_id,
            )

        found = withdraw(db, preview=True)
        if not found:
            _refuse_unknown(db, message=message, run=run, function=function)
            say("nothing to cancel: no such message waits")
            return
        rows = [(each.instance_name, each.dispatch_state, each.messages) for each in found]
        console().print(table(("number", "state", "messages#"), rows))
        total = sum(each.messages for each in found)
        ask(f"Withdraw {_counted(total)}?", yes=yes, nothing_done="nothing cancelled")
        done = sum(each.messages for each in withdraw(db, preview=False))
    say(f"{_counted(done)} withdrawn" + (f"; {total - done} had begun meanwhile" if done < total else ""))


def _refuse_unknown(db: Database, *, message: int | None, run: str | None, function: str | None) -> None:
    """What never was is a mistyped name, and the messages that were meant would still go."""
    if message is not None:
        outbox.explain(db, message)
    if run is not None and not outbox.is_run(db, run):
        raise NotFound(f"there was no run called {run!r} (`roleta why MESSAGE` names a message's run)")
    if function is not None:
        ours = [each.slug for each in load_functions()]
        if function not in ours and not outbox.has_enqueued(db, function):
            raise NotFound(
                f"no function called {function!r} ever enqueued anything; known: {', '.join(ours)}"
            )


def _counted(messages: int) -> str:
    return f"{messages} message{'s' if messages != 1 else ''}"
