"""HTTP requests that a simulator makes itself, over kept connections. What is sent, and when, is not here."""

import asyncio
import ssl
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

import h11

MAX_PARALLEL = 64

Headers = Sequence[tuple[str, str]]
_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Poster:
    """Makes requests, at most 64 at a time; knows of each only the status."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str, int], list[_Stream]] = {}
        self._room = asyncio.Semaphore(MAX_PARALLEL)

    async def request(
        self, url: str, headers: Headers, body: bytes, timeout_s: float, *, method: str = "POST"
    ) -> int:
        """The HTTP status of the answer; 0 where there was none in time. Never raises."""
        async with self._room:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._attempt(method, urlsplit(url), headers, body)
            except (OSError, TimeoutError, ValueError, h11.ProtocolError):
                return 0

    async def _attempt(self, method: str, parts: SplitResult, headers: Headers, body: bytes) -> int:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = (parts.scheme, parts.hostname or "", port)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        framing = [("host", parts.netloc.rpartition("@")[2]), ("content-length", str(len(body)))]
        head = h11.Request(method=method, target=target, headers=[*framing, *headers])
        if kept := self._idle.get(place):
            try:
                return await self._exchange(place, kept.pop(), head, body)
            except (OSError, h11.ProtocolError):
                pass  # the receiver had closed the kept connection; a fresh one decides
        context = ssl.create_default_context() if parts.scheme == "https" else None
        stream = await asyncio.open_connection(place[1], port, ssl=context)
        return await self._exchange(place, stream, head, body)

    async def _exchange(
        self, place: tuple[str, str, int], stream: _Stream, head: h11.Request, body: bytes
    ) -> int:
        reader, writer = stream
        connection = h11.Connection(h11.CLIENT)
        keep = False
        try:
            data = (connection.send(head) or b"") + (connection.send(h11.Data(data=body)) or b"")
            writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
            http_status = 0
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Response):
                    http_status = event.status_code
                elif isinstance(event, h11.ConnectionClosed):
                    raise ConnectionResetError
            keep = connection.our_state is h11.DONE and connection.their_state is h11.DONE
            return http_status
        finally:
            if keep:
                self._idle.setdefault(place, []).append(stream)
            else:
                writer.close()

    def close(self) -> None:
        """Drop the kept connections."""
        for streams in self._idle.values():
            for _, writer in streams:
                writer.close()
        self._idle.clear()
