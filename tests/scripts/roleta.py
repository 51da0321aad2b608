"""How tests run the `roleta` command: in this process for its words, as a real process for what runs long."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from scripts.cli import cli
from tests.waiting import eventually

# What a developer's environment may hold, and no test may use.
FOREIGN = (
    "DATABASE_URL",
    "ZAPI_INSTANCE_ID",
    "ZAPI_TOKEN",
    "ZAPI_CLIENT_TOKEN",
    "SUPABASE_SERVICE_ROLE_KEY",
    "ROLETA_PUBLIC_URL",
    "ROLETA_ZAPI_BASE_URL",
    "ROLETA_GATEWAY_PORT",
    "ROLETA_GATEWAY_HOST",
    "SUPABASE_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_JWT_SECRET",
    "ROLETA_AUTH_URL",
    "EVOLUTION_API_URL",
    "EVOLUTION_API_KEY",
    "META_GRAPH_URL",
    "ROLETA_CREDENTIALS_KEYS",
)
COMMAND = [sys.executable, "-P", "-m", "scripts.cli"]


class Roleta:
    """`roleta WORDS` in a home of its own, with an environment that holds only what the test says."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.settings = settings

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """ROLETA_HOME, an .env file of the test's own, and the settings."""
        fixed = {"ROLETA_HOME": str(self.home), "ROLETA_ENV_FILE": str(self.home / ".env")}
        return {**fixed, **self.settings, **(more or {})}

    def __call__(self, *words: str, stdin: str = "", **more: str) -> Result:
        """Run it in this process."""
        environment: dict[str, str | None] = dict.fromkeys(FOREIGN)
        environment.update(self.environment(more))
        return CliRunner(env=environment).invoke(cli, words, input=stdin, prog_name="roleta")

    def well(self, *words: str, stdin: str = "", **more: str) -> str:
        """Run it, see that it succeeds, and give what it said."""
        result = self(*words, stdin=stdin, **more)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def told(self, *words: str, stdin: str = "", **more: str) -> Any:
        """The JSON that it prints."""
        return json.loads(self.well(*words, stdin=stdin, **more))

    def refused(self, *words: str, stdin: str = "", **more: str) -> str:
        """Run it, see that it fails in one line on stderr, and give that line."""
        result = self(*words, stdin=stdin, **more)
        assert result.exit_code == 1, result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.output
        assert lines[0].startswith("roleta: ")
        return lines[0].removeprefix("roleta: ")

    def started(self, *words: str, **more: str) -> "RunningRoleta":
        """Run it as a process of its own."""
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        return RunningRoleta([*COMMAND, *words], {**inherited, **self.environment(more)})


class RunningRoleta:
    """A `roleta` process and all that it has said so far."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._said = b""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def said(self) -> str:
        """Its output up to now."""
        assert self.process.stdout is not None
        self._said += self.process.stdout.read() or b""
        return self._said.decode()

    def hears(self, text: str, timeout: float = 60) -> str:
        """Wait until it has said this; everything that it said."""
        eventually(lambda: text in self.said or self.process.poll() is not None, timeout, f"saying {text!r}")
        assert text in self.said, self.said
        return self.said

    def ends(self, timeout: float = 60) -> int:
        """Wait for its end; the exit code."""
        eventually(lambda: (self.said, self.process.poll() is not None)[1], timeout, "the end of the process")
        return self.process.returncode

    def asked_to_stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 60) -> int:
        """Send a signal, as a terminal or a service manager would, and wait for the end."""
        self.process.send_signal(number)
        return self.ends(timeout)


@contextmanager
def ended(running: RunningRoleta) -> Iterator[RunningRoleta]:
    """The process, gone when the block is over, however the block ends."""
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            try:
                running.process.wait(60)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
        if running.process.stdout is not None:
            running.process.stdout.close()


Runs = Callable[..., RunningRoleta]
