"""The processes that `up` starts: each writes to a log of its own, and none outlives `up`."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.bound_process import bound_command
from shared.errors import RoletaError

REPOSITORY = Path(__file__).resolve().parent.parent
LOG_LIMIT_BYTES = 20_000_000
TOLD_LINES = 5


class ChildDiedError(RoletaError):
    """A process that must run has ended; `last_lines` are those of its log."""

    def __init__(self, message: str, last_lines: list[str]) -> None:
        super().__init__(message)
        self.last_lines = last_lines


class Child:
    """One `python -m MODULE ARGUMENTS`. Start it from the main thread: it dies with its starting thread."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        at_death: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name, self.log = name, log
        self._command = bound_command([sys.executable, "-P", "-m", module, *arguments], at_death)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def pid(self) -> int:
        """Its process id; 0 while it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it; that it is ready is for others to find out."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self._said_before = output.tell()
            self._process = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for `up`, which ends its children in order
            )

    def check(self) -> None:
        """ChildDiedError, with the last lines of its log, if it has ended."""
        if self._process is None or self._process.poll() is None:
            return
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ChildDiedError(f"the {self.name} has ended ({how}); its log: {self.log}", self._last_lines())

    def stop(self, limit_s: float) -> bool:
        """End it by SIGTERM, after `limit_s` by force; whether it ended by itself. Twice does no harm."""
        process, self._process = self._process, None
        if process is None:
            return True
        process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return True

    def _last_lines(self) -> list[str]:
        with open(self.log, "rb") as file:
            file.seek(self._said_before)
            lines = deque((line.decode("utf-8", "replace").rstrip() for line in file), TOLD_LINES)
        return list(lines)
