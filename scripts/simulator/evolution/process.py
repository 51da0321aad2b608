"""The Evolution simulator as a child process: start, control, read its log, stop."""

from pathlib import Path
from typing import Any

from scripts.simulator.process import ControlledServer


class EvolutionSimulator(ControlledServer):
    """`with EvolutionSimulator(log=…, key=…) as server`. It has no instance until one is created."""

    def __init__(
        self, *, log: Path, key: str, speed: float = 1.0, profile: str = "2.3.7", port: int = 0
    ) -> None:
        """`key`: the global key. `speed` divides every fixed wait. `profile`: 2.3.6, 2.3.7 or 2.4.0."""
        arguments = [f"--key={key}", "--speed", str(speed), "--profile", profile]
        super().__init__("scripts.simulator.evolution", log=log, port=port, arguments=arguments)
        self.key = key

    def instances(self) -> list[dict[str, Any]]:
        """What the server has loaded: states, QR, webhook."""
        found: list[dict[str, Any]] = self.control("instances")
        return found
