"""The machine for oneself: what measures time waits for the tests beside it, and lets none begin meanwhile.

Two locks on files that all processes of a run share. `running` is held, together, by every test. Who wants it
alone holds the `gate` while waiting: tests go through the gate before they run, so none begins.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Machine:
    """A process's view of the machine that it shares with the other processes of a run."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the same one for all processes of a run, and of no other."""
        self._gate, self._running = (
            os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("gate", "running")
        )

    def close(self) -> None:
        """Gives back what is held."""
        os.close(self._gate)
        os.close(self._running)

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Beside others."""
        self._enter(fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Within `shared`: with no other test running, for as long as it takes."""
        fcntl.flock(self._running, fcntl.LOCK_UN)
        self._enter(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_SH)

    def _enter(self, how: int) -> None:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._running, how)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
