"""Who waits for a server that does not answer: few. Each waits with a thread of its gateway, which has other
requests, and other providers' webhooks, to serve.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

from shared import clock

# After a silence so long; then everybody asks again.
DOUBTED_FOR_S = 15.0
MOST_WAITING = 2

T = TypeVar("T")


class Patience:
    """One server's. While it has just been silent, at most MOST_WAITING threads ask it at a time."""

    def __init__(self) -> None:
        self._few = threading.BoundedSemaphore(MOST_WAITING)
        self._doubted_until = float("-inf")

    def ask(self, question: Callable[[], T], *, is_silence: Callable[[T], bool]) -> T | None:
        """The answer; None where others wait already for a server that was silent a moment ago."""
        doubted = clock.monotonic() < self._doubted_until
        if doubted and not self._few.acquire(blocking=False):
            return None
        try:
            answer = question()
        finally:
            if doubted:
                self._few.release()
        silent = is_silence(answer)
        self._doubted_until = clock.monotonic() + DOUBTED_FOR_S if silent else float("-inf")
        return answer


_known: dict[str, Patience] = {}
_lock = threading.Lock()


def with_server(base_url: str) -> Patience:
    """This process's patience with the server at an address; there is one for each."""
    with _lock:
        return _known.setdefault(base_url, Patience())
