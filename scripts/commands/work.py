"""`roleta work`: one worker process. Any number may run beside each other."""

import os
import socket

import click

from scripts.commands.signals import stop_on_signals
from scripts.commands.surroundings import Surroundings, pass_surroundings


@click.command()
@click.option(
    "--name", metavar="NAME", help="What the logs and attempts call it. [default: host and process]"
)
@pass_surroundings
def work(around: Surroundings, name: str | None) -> None:
    """Run one worker: claim what is due, send it, record how it ended; answer who writes; run the schedules.

    SIGTERM and Ctrl-C let what is in flight end; a second one does not.
    """
    from edge import runs  # noqa: PLC0415 - only this process needs the whole of it
    from shared import log  # noqa: PLC0415
    from shared.worker import Worker  # noqa: PLC0415

    settings = around.settings
    log.configure(settings.log_level, secrets=settings.secrets)
    stop = stop_on_signals()
    worker_name = name or f"{socket.gethostname()}:{os.getpid()}"
    # Besides the sends, each duty and the claim may want a connection at the same moment.
    with around.calls(name=f"roleta work {worker_name}", max_size=_connections(settings.max_in_flight)) as db:
        scheduler = runs.scheduler(db, settings, log.get(worker=worker_name))
        Worker(db, settings, worker_name, scheduler).run(stop)


def _connections(max_in_flight: int) -> int:
    """A send holds a connection only to begin and to record, so a few serve many."""
    return min(13, 7 + max_in_flight // 4)
