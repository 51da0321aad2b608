"""Many clients at once: processes, each with threads, all beginning at the same moment."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]
START_LIMIT_S = 120.0
_barrier: Barrier | None = None


@dataclass
class Turn:
    """What one client is told: which one it is of how many, and how long it may work."""

    client: int
    clients: int
    seconds: float
    began_at: float = 0.0
    ended_at: float = 0.0

    def start(self) -> None:
        """Call it when connected: returns when every client is, and the time begins."""
        assert _barrier is not None  # noqa: S101 - set by the initializer of this very process
        _barrier.wait(START_LIMIT_S)
        self.began_at = time.monotonic()

    def over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() - self.began_at >= self.seconds


# A module's function: what it returns travels between processes.
Client = Callable[[Turn, Any], Any]


@dataclass(frozen=True)
class Joint:
    """What each client returned, and the seconds from the first start to the last end."""

    results: list[Any]
    seconds: float


def run(work: Client, argument: Any, *, clients: int, processes: int, seconds: float) -> Joint:
    """Run `work` in so many clients at once, for at most so many seconds each."""
    context = get_context("spawn")
    ready = context.Barrier(clients)
    shares = [list(range(number, clients, processes)) for number in range(min(processes, clients))]
    with ProcessPoolExecutor(len(shares), context, initializer=_remember, initargs=(ready,)) as pool:
        asked = [
            pool.submit(_process, work, argument, share, clients=clients, seconds=seconds) for share in shares
        ]
        ended = [each for future in asked for each in future.result()]
    began = min(turn.began_at for turn, _ in ended)
    return Joint([result for _, result in ended], max(turn.ended_at for turn, _ in ended) - began)


def per_second(joint: Joint) -> float:
    """Operations a second, where each client returned how many it did."""
    return float(sum(joint.results)) / joint.seconds


def _remember(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 - a barrier can be handed to a process only while it is made
    _barrier = barrier


def _process(
    work: Client, argument: Any, share: list[int], *, clients: int, seconds: float
) -> list[tuple[Turn, Any]]:
    def one(client: int) -> tuple[Turn, Any]:
        turn = Turn(client, clients, seconds)
        result = work(turn, argument)
        turn.ended_at = time.monotonic()
        return turn, result

    with ThreadPoolExecutor(len(share)) as threads:
        return list(threads.map(one, share))
