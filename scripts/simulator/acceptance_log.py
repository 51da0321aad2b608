"""The simulator's own book: one JSON line per acceptance, injected fault and purge of a queue, on disk before
the answer, and per event that was received."""

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class AcceptanceLog:
    """Appends with one write per line, so that lines of a process that is killed are whole or absent."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.accepted = 0
        self.ambiguous = 0
        self.faults: Counter[str] = Counter()

    def accept(self, fields: Mapping[str, Any]) -> None:
        """Write that a message was handed over. Raises OSError (full disk): then it was not, and must be
        refused."""
        self._write({"event": "accepted", "at": time.time(), **fields})
        self.accepted += 1

    def fault(self, kind: str, *, ambiguous: bool, accepted: bool, fields: Mapping[str, Any]) -> None:
        """Write that a send was answered wrongly; `ambiguous` = the caller cannot know whether it was
        accepted."""
        line = {
            "event": "fault",
            "at": time.time(),
            "kind": kind,
            "ambiguous": ambiguous,
            "accepted": accepted,
        }
        self._write({**line, **fields})
        self.faults[kind] += 1
        self.ambiguous += ambiguous

    def told(self, fields: Mapping[str, Any]) -> None:
        """Write that an event about a message has reached its receiver."""
        self._write({"event": "told", "at": time.time(), **fields})

    def purge(self, fields: Mapping[str, Any]) -> None:
        """Write that messages were withdrawn from a queue: they never leave."""
        self._write({"event": "purged", "at": time.time(), **fields})

    def counters(self) -> dict[str, Any]:
        """What this process has written since it started or was last reset."""
        return {"accepted": self.accepted, "ambiguous": self.ambiguous, "faults_by_kind": dict(self.faults)}

    def reset(self) -> None:
        """Count from zero; the file stays as it is."""
        self.accepted = self.ambiguous = 0
        self.faults.clear()

    def empty(self) -> None:
        """Throw the file's lines away: only between two tests, on purpose."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        if os.write(self._fd, data) != len(data):
            raise OSError("the log took only a part of a line")
