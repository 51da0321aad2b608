"""Waits: a condition is polled until it holds or a deadline passes, never a fixed sleep."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from shared.errors import RoletaError

T = TypeVar("T")
POLL_S = 0.02


class NotInTime(RoletaError):
    """What was waited for did not come."""


def eventually(condition: Callable[[], T | None], timeout: float = 10.0, what: str = "") -> T:
    """Return the first truthy answer of `condition`; NotInTime after `timeout` seconds, naming the last
    answer."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NotInTime(f"{what or 'the condition'} did not hold within {timeout} s; last: {answer!r}")
        pause.wait(POLL_S)
