"""`python -m scripts.simulator`: starts the server, says where it listens, ends with its parent."""

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from scripts.simulator import account, control, routes
from scripts.simulator.acceptance_log import AcceptanceLog
from scripts.simulator.http_server import Answer, Request
from scripts.simulator.instances import Instance
from scripts.simulator.options import BadSettingError
from scripts.simulator.serving import die_with, program, serve
from scripts.simulator.world import World


def main() -> int:
    """Run until SIGTERM, SIGINT or the parent's death. 2 for a wrong argument or a port that is taken."""
    arguments = _arguments()
    die_with(os.getppid())
    try:
        world = _world(arguments)
        asyncio.run(_serve(world, arguments))
    except (BadSettingError, OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    return 0


async def _serve(world: World, arguments: argparse.Namespace) -> None:
    async def handle(request: Request) -> Answer:
        return await dispatch(world, request)

    await serve(handle, arguments, server_name="Z-API")
    await world.stop()
    world.log.close()


async def dispatch(world: World, request: Request) -> Answer:
    """The whole of the simulator for one request: /control, or Z-API's instance routes behind their gate."""
    match request.segments:
        case ["control", *rest]:
            return control.answer(world, request, rest)
        case ["instances", instance_id, "token", token, *rest]:
            entered = account.enter(world, request, instance_id, token)
            if isinstance(entered, Instance):
                return await routes.answer(world, request, entered, rest)
            return entered
    return account.no_route(world)


def _world(arguments: argparse.Namespace) -> World:
    configs: Any = [{}] * arguments.instances
    if arguments.config:
        configs = json.loads(arguments.config)
        if not isinstance(configs, list) or not all(isinstance(item, dict) for item in configs):
            raise BadSettingError("--config must be a JSON list of instances")
    world = World(AcceptanceLog(arguments.log), configs=configs, allow_http=arguments.allow_http)
    world.begin()
    return world


def _arguments() -> argparse.Namespace:
    parser = program("scripts.simulator", "Z-API, simulated.")
    parser.add_argument("--instances", type=int, default=3, help="how many numbers of its own making")
    parser.add_argument("--config", help="a JSON list of instances, in place of --instances")
    parser.add_argument("--allow-http", action="store_true", help="webhooks without TLS, for local tests")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
