"""A simulator as a program: its common arguments, listening, saying where, ending with its parent."""

import argparse
import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from scripts.simulator.http_server import Handler, HttpServer

_PR_SET_PDEATHSIG = 1


def program(name: str, description: str) -> argparse.ArgumentParser:
    """The arguments that every simulator has."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--log", type=Path, required=True, help="where acceptances are written, one JSON a line"
    )
    parser.add_argument("--ready-file", type=Path, help="written, whole, when it listens")
    return parser


async def serve(
    handle: Handler,
    arguments: argparse.Namespace,
    *,
    server_name: str,
    listening: Callable[[str], None] = lambda base_url: None,
) -> None:
    """Listen, tell `listening` and the world the address, and serve until SIGTERM or SIGINT."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    server = HttpServer(handle, name=server_name)
    port = await server.start(arguments.host, arguments.port)
    base_url = f"http://{arguments.host}:{port}"
    listening(base_url)
    ready = json.dumps({"port": port, "base_url": base_url, "pid": os.getpid()})
    print(ready, flush=True)
    if arguments.ready_file:
        part = arguments.ready_file.with_suffix(".part")
        part.write_text(ready)
        part.replace(arguments.ready_file)
    await ending.wait()
    await server.stop()


def die_with(parent: int) -> None:
    """SIGTERM for us when the parent dies, by kill -9 too. Linux only; elsewhere nothing happens."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("simulator: the process that started it has ended")
