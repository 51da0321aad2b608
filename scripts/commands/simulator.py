"""`roleta simulator`: the Z-API simulator by hand; its options are those of `python -m scripts.simulator`."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulator(arguments: tuple[str, ...]) -> None:
    """Run the Z-API simulator (`roleta simulator --help` shows its options)."""
    sys.stdout.flush()
    # It becomes this process, so that signals and the parent's death are its own.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "scripts.simulator", *arguments])  # noqa: S606
