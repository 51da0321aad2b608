"""Deaths along the way, at points of the run that a seed chooses: of workers, and of the database."""

import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg

from scripts.embedded import EmbeddedPostgres
from scripts.simulator.process import SimulatorProcess
from scripts.soak import stage
from scripts.soak.fleet import Fleet
from scripts.soak.waiting import eventually

# Some is left to do after the last.
LAST_SHARE = 0.85
_BEGUN = "select message_id from messaging.attempts where outcome is null"


def kill_points(random_: random.Random, kills: int, messages: int) -> list[int]:
    """At how many acceptances to kill: spread over the run at random."""
    return sorted(random_.sample(range(1, max(int(messages * LAST_SHARE), kills + 1)), kills))


def kill_along_the_way(
    fleet: Fleet, simulator: SimulatorProcess, *, kills: int, messages: int, seed: int, timeout: float
) -> list[int]:
    """kill -9 a random worker at work at each point and start another; the messages that were left begun."""
    random_ = random.Random(seed)  # noqa: S311 - to be repeatable
    left: list[int] = []
    for point in kill_points(random_, kills, messages):
        eventually(partial(stage.has_accepted, simulator, point), timeout, f"{point} acceptances")
        left += kill_one(fleet, random_, timeout)
    return left


def kill_one(fleet: Fleet, random_: random.Random, timeout: float) -> list[int]:
    """kill -9 a random worker at work and start another; the messages that it left begun."""
    left = fleet.kill(random_.choice(eventually(fleet.at_work, timeout, "a worker at work")))
    fleet.start()
    return left


def stop_at_once(server: EmbeddedPostgres) -> None:
    """As `pg_ctl stop -m immediate`: no checkpoint, no good-bye; the next start recovers from the log."""
    with psycopg.connect(server.url) as connection:
        backend = Path(f"/proc/{connection.info.backend_pid}/stat").read_text()
    os.kill(int(backend.rpartition(")")[2].split()[1]), signal.SIGQUIT)
    server.stop()


def started_again(root: Path, server: EmbeddedPostgres) -> tuple[EmbeddedPostgres, list[int]]:
    """The server anew on the same data and port; and whose attempts it finds begun and not recorded."""
    again = EmbeddedPostgres(root, port=server.port)
    again.start()
    with psycopg.connect(again.url) as connection:
        return again, [message_id for (message_id,) in connection.execute(_BEGUN)]


def spread(events: dict[str, int], random_: random.Random, messages: int) -> Iterator[tuple[int, str]]:
    """Each event so many times, as (acceptances, event) in the order in which they come."""
    points = kill_points(random_, sum(events.values()), messages)
    kinds = [kind for kind, times in events.items() for _ in range(times)]
    random_.shuffle(kinds)
    yield from zip(points, kinds, strict=True)
