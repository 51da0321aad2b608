"""A TCP proxy in front of PostgreSQL that loses, delays and cuts the answers to chosen statements."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict

# ReadyForQuery outside a transaction: what the statement did is committed.
COMMITTED = b"Z\x00\x00\x00\x05I"
# drop: forwarded and committed, the answer lost with the connection; truncate: half of the answer, then the
# end; reset: never forwarded; hang: committed, and then silence; delay: the whole answer, later; late: the
# statement itself arrives later.
Trouble = Literal["drop", "truncate", "reset", "hang", "delay", "late"]


@dataclass
class Plan:
    """Which statements go wrong: every `every`th that has `needle` in its text, `times` of them."""

    needle: bytes
    trouble: Trouble
    times: int
    every: int = 1
    seconds: float = 0.0
    seen: int = 0
    done: int = 0

    def strikes(self, data: bytes) -> bool:
        """Whether this piece of what a client says goes wrong."""
        if self.needle not in data:
            return False
        self.seen += 1
        if self.done >= self.times or self.seen % self.every:
            return False
        self.done += 1
        return True


class DatabaseProxy:
    """`with DatabaseProxy(database_url) as proxy`: `proxy.url` leads through it."""

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        self._target = (str(given["host"]), int(given["port"] or 0))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{given['user']}:{given['password']}@127.0.0.1:{port}/{given['dbname']}"
        self.plans: list[Plan] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # shutdown wakes a thread that waits on it, which close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for each in still_open:
            _end(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._open |= {client, server}
                link = _Link(self, client, server)
                self._start(link.up)
                self._start(link.down)

    def strikes(self, data: bytes) -> Plan | None:
        """The plan that means this piece."""
        with self._lock:
            return next((plan for plan in self.plans if plan.strikes(data)), None)

    def wait(self, seconds: float | None) -> None:
        """Until then, or until the proxy ends."""
        self._ended.wait(seconds)

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True, name="database proxy").start()


class _Link:
    """One connection of a client; psycopg waits for each answer before it says more."""

    def __init__(self, proxy: DatabaseProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._struck: Plan | None = None

    def up(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(1 << 20):
                self._struck = self._proxy.strikes(data)
                if self._struck is not None and self._struck.trouble == "reset":
                    break
                if self._struck is not None and self._struck.trouble == "late":
                    self._proxy.wait(self._struck.seconds)
                    self._struck = None
                self._server.sendall(data)
        self._finish()

    def down(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 20):
                if (struck := self._struck) is not None:
                    while not data.endswith(COMMITTED):
                        data += self._server.recv(1 << 20)
                    if struck.trouble in ("hang", "delay"):
                        self._proxy.wait(None if struck.trouble == "hang" else struck.seconds)
                    elif struck.trouble == "truncate":
                        self._client.sendall(data[: len(data) // 2])
                    if struck.trouble != "delay":
                        break
                    self._struck = None
                self._client.sendall(data)
        self._finish()

    def _finish(self) -> None:
        if self._struck is not None and self._struck.trouble in ("drop", "reset"):
            with contextlib.suppress(OSError):
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _end(self._client)
        _end(self._server)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
