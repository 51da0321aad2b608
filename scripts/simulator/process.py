"""The simulator as a child process, for tests and for `up`: start, control, read its log, stop."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
_ROOT = Path(__file__).resolve().parents[2]


class SimulatorError(RuntimeError):
    """The simulator did not start, or refused a control call; the text says why."""


class ControlledServer:
    """A simulator as a child. Start it from the main thread: it dies with the thread that made it."""

    def __init__(self, module: str, *, log: Path, port: int, arguments: Sequence[str]) -> None:
        """`arguments`: what `python -m module` takes besides its log and port."""
        self.log = Path(log)
        self._command = [sys.executable, "-m", module, "--port", str(port), "--log", str(self.log)]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None
        self.base_url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it and wait until it listens. SimulatorError with its own words where it cannot."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            self._command,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for whoever started it
        )
        # A child that never speaks is ended, which ends the reading too.
        patience = threading.Timer(START_TIMEOUT_S, self._process.kill)
        patience.start()
        try:
            line = self._process.stdout.readline() if self._process.stdout else b""
        finally:
            patience.cancel()
        if not line:
            self._end()
            why = self.complaints().strip().splitlines()
            self._said.close()
            raise SimulatorError(why[-1] if why else "the simulator did not start")
        self.base_url = json.loads(line)["base_url"]
        return self

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def control(self, call: str, **fields: Any) -> Any:
        """One control call (`control.py` beside the server). SimulatorError with what to change."""
        headers = {"Content-Type": "application/json"}
        url = f"{self.base_url}/control/{call}"
        request = Request(url, json.dumps(fields).encode(), headers, method="POST")  # noqa: S310 - our own child
        try:
            with urlopen(request, timeout=30) as response:  # noqa: S310 - our own child
                return json.load(response)
        except HTTPError as error:
            with error:
                raise SimulatorError(json.load(error)["error"]) from None

    def accepted(self) -> list[dict[str, Any]]:
        """Every acceptance in the log, in order; the file outlives the process."""
        return self._lines("accepted")

    def faults(self) -> list[dict[str, Any]]:
        """Every injected fault in the log: kind, ambiguous, accepted."""
        return self._lines("fault")

    def purges(self) -> list[dict[str, Any]]:
        """Every purge of a provider's queue in the log: the instance, and the texts that were withdrawn."""
        return self._lines("purged")

    def stop(self) -> None:
        """End it; at once where it does not end by itself."""
        if self._process is not None:
            self._end()
            self._said.close()

    def complaints(self) -> str:
        """What it wrote to its standard error while it ran: nothing, unless it has a bug."""
        # pread: the child writes on at the offset that it shares with us.
        size = os.fstat(self._said.fileno()).st_size
        return os.pread(self._said.fileno(), size, 0).decode("utf-8", "replace")

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def _lines(self, event: str) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        whole = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [entry for entry in map(json.loads, whole) if entry["event"] == event]


class SimulatorProcess(ControlledServer):
    """Z-API: `with SimulatorProcess(log=…) as simulator`."""

    def __init__(
        self,
        *,
        log: Path,
        instances: Sequence[Mapping[str, Any]] | int = 1,
        port: int = 0,
        allow_http: bool = True,
    ) -> None:
        """`instances`: how many of the simulator's own making, or their configurations
        (`instances.configured`)."""
        how_many = isinstance(instances, int)
        chosen = ["--instances", str(instances)] if how_many else ["--config", json.dumps(instances)]
        chosen += ["--allow-http"] if allow_http else []
        super().__init__("scripts.simulator", log=log, port=port, arguments=chosen)

    def instances(self) -> list[dict[str, Any]]:
        """Its numbers with their credentials."""
        found: list[dict[str, Any]] = self.control("instances")
        return found
