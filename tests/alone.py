"""The machine for oneself: what measures time waits for the tests beside it, and lets none begin meanwhile.

Two locks on files that all processes of a run share. `running` is held, together, by every test. Who wants it
alone holds the `gate` while waiting: tests go through the gate before they run, so none begins.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest


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

    def shared(self) -> contextlib.AbstractContextManager[None]:
        """Beside others."""
        return self._inside(fcntl.LOCK_SH)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """With no other test running, for as long as it takes."""
        return self._inside(fcntl.LOCK_EX)

    @contextlib.contextmanager
    def _inside(self, how: int) -> Iterator[None]:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._running, how)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._running, fcntl.LOCK_UN)


class TestsAlone:
    """pytest's part: a test marked `alone` has the machine alone, with its fixtures; the others share it."""

    __test__ = False

    def __init__(self, config: pytest.Config) -> None:
        """The process that was started makes the folder; those that it starts (xdist) are told of it."""
        told = getattr(config, "workerinput", {})
        self._folder = Path(told.get("machine") or tempfile.mkdtemp(prefix="roleta-machine-"))
        self._is_ours = "machine" not in told
        self._machine = Machine(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tells a process that xdist starts (its `WorkerController`) where the locks are."""
        node.workerinput["machine"] = str(self._folder)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Around the fixtures too: making a week of messages keeps a processor busy as any test does."""
        is_alone = item.get_closest_marker("alone") is not None
        with self._machine.alone() if is_alone else self._machine.shared():
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Leaves nothing behind."""
        self._machine.close()
        if self._is_ours:
            shutil.rmtree(self._folder, ignore_errors=True)
