"""`python -m scripts.simulator.evolution`: starts the server, says where it listens, ends with its parent."""

import argparse
import asyncio
import os
import sys

from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.evolution import control, routes
from scripts.simulator.evolution.settings import PROFILES
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer, Request
from scripts.simulator.serving import die_with, program, serve


def main() -> int:
    """Run until SIGTERM, SIGINT or the parent's death. 2 for a wrong argument or a port that is taken."""
    arguments = _arguments()
    die_with(os.getppid())
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    world = World(
        AcceptanceLog(arguments.log),
        key=arguments.key,
        started_speed=arguments.speed,
        started_profile=arguments.profile,
    )

    async def handle(request: Request) -> Answer:
        return await dispatch(world, request)

    def listening(base_url: str) -> None:
        world.base_url = base_url

    await serve(handle, arguments, server_name="Evolution", listening=listening)
    await world.stop()
    world.log.close()


async def dispatch(world: World, request: Request) -> Answer:
    """The whole of the simulator for one request: /control, or the API."""
    match request.segments:
        case ["control", *rest]:
            return control.answer(world, request, rest)
    return await routes.answer(world, request)


def _arguments() -> argparse.Namespace:
    parser = program("scripts.simulator.evolution", "Evolution API v2, simulated.")
    parser.add_argument("--key", required=True, help="the global key (AUTHENTICATION_API_KEY)")
    parser.add_argument("--profile", choices=list(PROFILES), default="2.3.7", help="which version it is")
    parser.add_argument("--speed", type=_speed, default=1.0, help="divides every fixed wait")
    return parser.parse_args()


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError("speed must be a number above 0")
    return speed


if __name__ == "__main__":
    sys.exit(main())
