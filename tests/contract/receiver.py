"""A webhook receiver that keeps what it was sent: the other end of the simulator's events."""

import gzip
import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.waiting import eventually


@dataclass(frozen=True)
class Posted:
    """One webhook as it arrived; header names in lower case, the body decompressed."""

    path: str
    headers: dict[str, str]
    payload: dict[str, Any]

    @property
    def name(self) -> str:
        """The event's type, or the status of a status event."""
        return str(self.payload.get("status") if "ids" in self.payload else self.payload["type"])


class Receiver:
    """Answers 200, or the statuses in `answers` first."""

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    raw = gzip.decompress(raw)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posted.append(Posted(self.path, headers, json.loads(raw)))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait_for(self, count: int, timeout: float = 5.0) -> list[Posted]:
        """The first `count` events, when they are there."""
        eventually(lambda: len(self.posted) >= count, timeout, f"{count} webhooks")
        return self.posted[:count]

    def names(self) -> list[str]:
        """What has arrived so far, in order."""
        return [one.name for one in self.posted]
