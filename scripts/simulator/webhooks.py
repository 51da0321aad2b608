"""Posts events as Z-API does (zapi contract 5.1): headers, gzip, time limit, retries. Their content is in
events.py."""

import asyncio
import gzip
import json
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import h11

from scripts.simulator.instances import Instance
from scripts.simulator.options import Options

MAX_PARALLEL = 64
_RETRY_PAUSES_S = (1.0, 3.0, 9.0)
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_WRONG_TOKEN = "SIMULATEDWRONGTOKEN00000"  # noqa: S105 - wrong by intention

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class WebhookPoster:
    """Posts over kept connections, at most 64 at a time; counts what came of it."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str, int], list[_Stream]] = {}
        self._room = asyncio.Semaphore(MAX_PARALLEL)
        self.counters: Counter[str] = Counter()

    async def post(self, instance: Instance, kind: str, payload: Mapping[str, Any], options: Options) -> None:
        """Deliver one event to the address that the instance has for its kind. Never raises: a receiver
        that is down loses the event, as with Z-API, unless retries are on."""
        url = _address(instance, kind)
        if url is None or instance.webhooks_stopped:
            return
        body = json.dumps(payload).encode()
        headers = _headers(instance, options)
        if options.webhook_gzip:
            body = gzip.compress(body, 1)
            headers.append(("content-encoding", "gzip"))
        for attempt in range(options.webhook_retries + 1):
            if attempt:
                pause = _RETRY_PAUSES_S[min(attempt - 1, len(_RETRY_PAUSES_S) - 1)]
                await asyncio.sleep(pause / options.queue_speed)
            async with self._room:
                http_status = await self._try(url, headers, body, options.webhook_timeout_s)
            self.counters["posted" if 200 <= http_status < 300 else "failed"] += 1
            if 200 <= http_status < 300:
                return

    async def _try(self, url: str, headers: list[tuple[str, str]], body: bytes, timeout_s: float) -> int:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        place = (parts.scheme, parts.hostname or "", port)
        try:
            async with asyncio.timeout(timeout_s):
                if kept := self._idle.get(place):
                    try:
                        return await self._exchange(place, kept.pop(), parts, headers, body)
                    except (OSError, h11.ProtocolError):
                        pass  # the receiver had closed the kept connection; a fresh one decides
                context = ssl.create_default_context() if parts.scheme == "https" else None
                stream = await asyncio.open_connection(place[1], port, ssl=context)
                return await self._exchange(place, stream, parts, headers, body)
        except (OSError, TimeoutError, h11.ProtocolError):
            return 0

    async def _exchange(
        self,
        place: tuple[str, str, int],
        stream: _Stream,
        parts: SplitResult,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> int:
        reader, writer = stream
        connection = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        framing = [("host", parts.netloc.rpartition("@")[2]), ("content-length", str(len(body)))]
        head = h11.Request(method="POST", target=target, headers=[*framing, *headers])
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


def _address(instance: Instance, kind: str) -> str | None:
    # "received and sent by me" takes priority over "received" (zapi contract 4.4).
    if kind == "received" and (both := instance.webhooks.get("received_and_sent")):
        return both
    return instance.webhooks.get(kind)


def _headers(instance: Instance, options: Options) -> list[tuple[str, str]]:
    token = {"right": instance.token, "wrong": _WRONG_TOKEN}.get(options.webhook_token)
    headers = [
        ("content-type", "application/json"),
        ("origin", "https://api.z-api.io"),
        ("server", "Z-API"),
        ("user-agent", _BROWSER),
    ]
    return [*headers, ("z-api-token", token)] if token else headers
