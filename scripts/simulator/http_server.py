"""HTTP/1.1 over asyncio: requests in, answers out, and answers that go wrong on purpose. Knows nothing of
Z-API."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

MAX_BODY = 10 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One whole request; header names in lower case, the path still percent-encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def segments(self) -> list[str]:
        """The path's parts, decoded."""
        return [unquote(part) for part in urlsplit(self.target).path.split("/") if part]

    @property
    def query(self) -> dict[str, str]:
        """The query's fields."""
        return dict(parse_qsl(urlsplit(self.target).query))

    def json(self) -> Any:
        """The parsed body; ValueError where it is no JSON."""
        return json.loads(self.body) if self.body else {}


@dataclass
class Answer:
    """What to give back. `fault` is how it goes wrong on the wire: hang, close, reset, truncated, garbage
    or slow. `null` makes a payload of None the JSON word in place of an empty body."""

    http_status: int = 200
    payload: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    fault: str | None = None
    wait_s: float = 0.0
    null: bool = False

    def encoded(self) -> bytes:
        """The body; None is an empty one."""
        return b"" if self.payload is None and not self.null else json.dumps(self.payload).encode()


Handler = Callable[[Request], Awaitable[Answer]]


class HttpServer:
    """Serves one handler; a connection per task, keep-alive."""

    def __init__(self, handler: Handler, *, name: str) -> None:
        """`name` is what the Server header says."""
        self._handler, self._name = handler, name
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (useful with 0)."""
        self._server = await asyncio.start_server(self._accept, host, port, backlog=1024)
        port = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, TimeoutError, asyncio.CancelledError):
            pass  # a caller that goes away or talks nonsense only loses its own connection
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        while (request := await _read_request(connection, reader, writer)) is not None:
            answer = await self._handler(request)
            if answer.fault == "slow":
                await asyncio.sleep(answer.wait_s)
            elif answer.fault:
                await _misbehave(answer, reader, writer)
                return
            head = h11.Response(status_code=answer.http_status, headers=_headers(self._name, answer))
            data = connection.send(head) or b""
            if request.method != "HEAD":
                data += connection.send(h11.Data(data=answer.encoded())) or b""
            writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
            await writer.drain()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()


async def _read_request(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode("latin-1"), headers, body)
        else:
            return None


async def _misbehave(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match answer.fault:
        case "hang":
            try:  # until the caller gives up, or until it has hung long enough
                await asyncio.wait_for(reader.read(), answer.wait_s)
            except TimeoutError:
                return
        case "reset":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()
        case "truncated":
            body = answer.encoded()
            writer.write(
                f"HTTP/1.1 {answer.http_status} OK\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[: len(body) // 2]
            )
            await writer.drain()
        case "garbage":
            writer.write(b"\x16\x03\x01 this is no HTTP \xff\xfe\r\n\r\n")
            await writer.drain()


def _headers(server_name: str, answer: Answer) -> list[tuple[str, str]]:
    body = answer.encoded()
    fixed = [("Server", server_name), ("Content-Length", str(len(body)))]
    return (
        [*fixed, ("Content-Type", "application/json"), *answer.headers] if body else [*fixed, *answer.headers]
    )
