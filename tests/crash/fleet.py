"""The crash tests' workers are those of `roleta soak`, forked instead of started anew (nursery.py)."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from scripts.bound_process import bound_command
from scripts.soak import fleet
from scripts.soak.fleet import ROOT, RunningWorker

__all__ = ["Fleet", "RunningWorker"]


class Forked:
    """A worker that the nursery forked, with what `Fleet` needs of a subprocess.Popen."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._words = words
        self._life = socket.socket(socket.AF_UNIX)
        self._life.connect(_nursery())
        request = {
            "words": words, "environment": dict(environment), "folder": str(ROOT), "log": str(log)
        }  # fmt: skip
        self._life.sendall(json.dumps(request).encode() + b"\n")
        self.pid = self._number()
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        if self._code is None and self._has_spoken(0):
            self._end()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended; subprocess.TimeoutExpired where it takes longer."""
        if self._code is None:
            if not self._has_spoken(timeout):
                raise subprocess.TimeoutExpired(list(self._words), timeout or 0)
            self._end()
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        """To a process that lives; nothing happens to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def _has_spoken(self, timeout: float | None) -> bool:
        # Not select(2), which knows no file number beyond 1023.
        poll = select.poll()
        poll.register(self._life, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _end(self) -> None:
        self._code = self._number()
        self._life.close()

    def _number(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            more = self._life.recv(1)
            assert more, "the nursery of workers has ended"
            line += more
        return int(line)


class Fleet(fleet.Fleet):
    """As `scripts.soak.fleet.Fleet`."""

    def _begin(self, words: Sequence[str], log: Path) -> Forked:
        return Forked(words, self._environment, log)


@cache
def _nursery() -> str:
    """Where it listens; one for all tests of this process, with which it ends."""
    folder = tempfile.TemporaryDirectory(prefix="roleta-nursery-")
    address = os.path.join(folder.name, "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        process = subprocess.Popen(
            bound_command(
                [sys.executable, "-m", "tests.crash.nursery", str(listener.fileno())], signal.SIGKILL
            ),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )

    @atexit.register
    def end() -> None:
        process.kill()
        process.wait()
        folder.cleanup()

    return address
