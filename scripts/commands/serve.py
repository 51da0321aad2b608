"""`roleta serve`: the gateway over waitress. What it answers is in edge/."""

import dataclasses
import errno
import signal
import socket
import sys

import click

from scripts.commands.surroundings import Surroundings, pass_surroundings
from shared.errors import Conflict

CONNECTIONS = 8  # one for each of the gateway's threads


@click.command()
@click.option("--host", metavar="HOST", help="[default: ROLETA_GATEWAY_HOST, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: ROLETA_GATEWAY_PORT, 8000]")
@pass_surroundings
def serve(around: Surroundings, host: str | None, port: int | None) -> None:
    """Run the gateway: the HTTP functions and the webhooks, until SIGTERM or Ctrl-C."""
    import waitress  # noqa: PLC0415 - only this process needs it

    from edge.app import create_app, server_options  # noqa: PLC0415
    from shared import log  # noqa: PLC0415

    settings = around.settings
    log.configure(settings.log_level, secrets=settings.secrets)
    listener = _listen(host or settings.gateway_host, settings.gateway_port if port is None else port)
    host, port = listener.getsockname()[:2]
    # What others are told is where it listens: Evolution API of its webhooks, for one.
    settings = dataclasses.replace(settings, gateway_host=host, gateway_port=port)
    # waitress ends in order on SystemExit.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    with around.calls(name="roleta serve", max_size=CONNECTIONS) as db:
        server = waitress.create_server(
            create_app(db, settings), sockets=[listener], **server_options(settings)
        )
        log.get().info("listening", address=f"http://{host}:{port}")
        server.run()


def _listen(host: str, port: int) -> socket.socket:
    """The gateway's place; 0 takes a free one. Conflict where another program has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
            ) from None
        raise
