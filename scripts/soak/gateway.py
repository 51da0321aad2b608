"""The product's gateway (`roleta serve`) as a process of the soak, so that receipts find their way in."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.bound_process import bound_command
from scripts.soak.fleet import AS_SERVICE_ROLE, READY_S, ROOT
from scripts.soak.surroundings import own_environment
from scripts.soak.waiting import eventually
from shared.errors import RoletaError


class GatewayEnded(RoletaError):
    """The gateway ended that should be listening."""


class Gateway:
    """`with Gateway(database_url, log=...) as gateway`. Start it from the main thread: it dies with it."""

    def __init__(self, database_url: str, *, log: Path) -> None:
        self._environment = {**own_environment(), "DATABASE_URL": database_url + AS_SERVICE_ROLE}
        self._log = log
        self.base_url = ""

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                bound_command(
                    [sys.executable, "-P", "-m", "scripts.cli", "serve", "--port", "0"], signal.SIGKILL
                ),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self.base_url = eventually(self._address, READY_S, "the gateway listens")
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def webhook_url(self, token: str) -> str:
        """Where the provider posts the events of the number that has this token."""
        return f"{self.base_url}/functions/v1/webhook-zapi/{token}"

    def _address(self) -> str | None:
        said = self._log.read_text(errors="replace")
        if self._process.poll() is not None:
            raise GatewayEnded(f"the gateway ended: {said[-1500:]}")
        for line in said.splitlines():
            if '"listening"' in line:
                return str(json.loads(line)["address"])
        return None
