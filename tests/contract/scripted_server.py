"""A raw TCP server whose every byte a test chooses, for answers that no real server would give."""

import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

Behaviour = Callable[["Conversation"], None]

_LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.I | re.M)


class Conversation:
    """One connection on which one whole request has just arrived."""

    def __init__(self, connection: socket.socket, ending: threading.Event) -> None:
        self._connection = connection
        self._ending = ending

    def give(self, data: bytes) -> None:
        """Send these bytes."""
        self._connection.sendall(data)

    def answer(self, http_status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a well-formed answer."""
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"HTTP/1.1 {http_status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.give(head.encode() + body)

    def hang(self, seconds: float = 60.0) -> None:
        """Say nothing for so long, or until the test is over."""
        self._ending.wait(seconds)

    def drip(self, data: bytes, pause: float) -> None:
        """One byte at a time."""
        for byte in data:
            if self._ending.is_set():
                return
            self.give(bytes([byte]))
            self._ending.wait(pause)

    def close(self) -> None:
        """End the connection in order."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


class ScriptedServer:
    """Listens on a free port; after each request `behave` has the connection. Keeps every request as it
    came."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while request := _whole_request(connection):
                    self.requests.append(request)
                    self.behave(Conversation(connection, self._ending))
            except OSError:
                return


def _whole_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(found[1]) if (found := _LENGTH.search(head)) else 0
    while len(body) < length:
        if not (chunk := connection.recv(65536)):
            return b""
        body += chunk
    return head + b"\r\n\r\n" + body
