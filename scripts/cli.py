"""The `roleta` command: which commands there are, and how a failure is told. scripts/commands has the rest.

Commands are imported when they are called, so that `roleta --help` answers at once.
"""

import errno
import importlib
import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import click

REPOSITORY = Path(__file__).resolve().parent.parent


class Entry(NamedTuple):
    """Where a command is, and the line that --help shows without importing it."""

    place: str
    summary: str


COMMANDS = {
    "up": Entry("up:up", "Start everything and show the pool at work."),
    "migrate": Entry("migrate:migrate", "Plan, apply, roll back and report the migrations."),
    "adopt": Entry("adopt:adopt", "What in an existing project must be put right (--check)."),
    "serve": Entry("serve:serve", "Run the gateway (the HTTP functions)."),
    "work": Entry("work:work", "Run one worker, which sends what is due."),
    "run": Entry("run:run", "Run one cron function now; --dry-run shows who would get what."),
    "status": Entry("status:status", "The pool as a table: people, seats, queues, next slots."),
    "why": Entry("why:why", "Where a message stands, what holds it, when it should go."),
    "instance": Entry("instance:instance", "The numbers: add, list, pause, seats, gaps ..."),
    "cancel": Entry("cancel:cancel", "Withdraw what has not begun: a message, a run, a function, a number."),
    "unknowns": Entry("unknowns:list_unknowns", "Messages that may or may not have been sent."),
    "decide": Entry("unknowns:decide", "Decide of one of them: resend, consider-sent, drop."),
    "pause-all": Entry("pause:pause_all", "Stop every number, from the next message on."),
    "resume-all": Entry("pause:resume_all", "End pause-all."),
    "credentials": Entry("credentials:credentials_group", "Make a key for ROLETA_CREDENTIALS_KEYS."),
    "encrypt-credentials": Entry(
        "credentials:encrypt_credentials", "Seal credentials that stand in plain text."
    ),
    "rotate-keys": Entry("credentials:rotate_keys", "Seal them anew with the first key, while workers send."),
    "import-env-instance": Entry("import_env_instance:import_env_instance", "Make the ZAPI_* number a row."),
    "effects": Entry("effects:effects", "What accepted messages should have written into the app."),
    "reconcile": Entry("reconcile:reconcile", "Look for evidence on sends that are uncertain, now."),
    "retain": Entry("retain:retain", "Remove texts and raw events that are older than their days."),
    "erase": Entry("erase:erase", "Erase a person (LGPD): texts, phone, name; the counts stay."),
    "audit": Entry("audit:audit", "What must never be: prints findings, and fails if there are any."),
    "simulator": Entry(
        "simulator:simulator",
        "Run the Z-API simulator; scan CLIENT, remove CLIENT.",
    ),
    "simulate": Entry("scripts.simulate.commands:simulation", "Let a week pass in virtual time; judge it."),
    "soak": Entry(
        "scripts.soak.commands:soak", "Kill workers, deceive them; count what was lost or doubled."
    ),
    "bench": Entry("scripts.bench.commands:bench", "Measure allocation, claiming, pace and webhooks."),
}


class Failure(click.ClickException):
    """What went wrong and what to change, in one line on stderr; exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """The line."""
        click.echo(f"roleta: {self.format_message()}", file=file or sys.stderr)


class LazyGroup(click.Group):
    """A group whose commands are modules that are imported when called, and whose failures are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a person meets them."""
        return [name for name, entry in COMMANDS.items() if _present(entry)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        entry = COMMANDS.get(cmd_name)
        if entry is None or not _present(entry):
            return None
        module, attribute = _address(entry)
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The summaries above, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; what a person can put right is told in one line, with exit code 1."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as problem:
            told = _one_line(problem)
            if told is None:
                raise
            raise Failure(told) from None


def _address(entry: Entry) -> tuple[str, str]:
    module, _, attribute = entry.place.partition(":")
    return module if "." in module else f"scripts.commands.{module}", attribute


def _present(entry: Entry) -> bool:
    module, _ = _address(entry)
    if module.startswith("scripts.commands."):
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _one_line(problem: Exception) -> str | None:
    """What to tell a person, or None where only a traceback helps: a defect of ours."""
    from scripts.server_home import ServerProblem  # noqa: PLC0415 - not needed to answer --help
    from shared.errors import RoletaError  # noqa: PLC0415

    if isinstance(problem, RoletaError | ServerProblem):
        return " ".join(str(problem).split())
    if not isinstance(problem, OSError) or problem.errno in (None, errno.EPIPE):
        return None
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk ({problem.filename or 'a log'}): free some and run this again"
    where = f" ({problem.filename})" if problem.filename else ""
    return f"{problem.strerror or type(problem).__name__}{where}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--database-url", metavar="URL", help="In place of DATABASE_URL.")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="ROLETA_HOME",
    default=REPOSITORY,
    help="The folder that holds .roleta, which is what `up` keeps. [default: the repository]",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ROLETA_ENV_FILE",
    default=REPOSITORY / ".env",
    help="In place of .env.",
)
@click.pass_context
def cli(ctx: click.Context, database_url: str | None, home: Path, env_file: Path) -> None:
    """roleta: pools of WhatsApp numbers on Postgres.

    Commands use DATABASE_URL (from the environment or .env), else the database of a running `roleta up`.
    """
    from scripts.commands.surroundings import Surroundings  # noqa: PLC0415 - not needed to answer --help

    # A person gets one line of ours; `serve` and `work` set up logging, and have the driver's in it.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    ctx.obj = Surroundings(given_url=database_url, home=home.resolve(), env_file=env_file)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(cli.main(args=arguments, prog_name="roleta", standalone_mode=True))


if __name__ == "__main__":
    main()
