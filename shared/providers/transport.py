"""The HTTP client that all providers share: it does not begin to write after a deadline, it bounds a whole
exchange, and it keeps URLs out of every log. What an answer means is not decided here.
"""

import logging
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore
import httpx

from shared import clock

CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024

# httpx logs every URL at INFO, and a Z-API URL holds the instance token (reliability.md 2, fact 9). A
# filter is kept where a level would be overruled by the next logging configuration.
_CHATTY_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


class Silence(logging.Filter):
    """Drops every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


for _name in _CHATTY_LOGGERS:
    logging.getLogger(_name).addFilter(Silence())


class DeadlinePassedError(Exception):
    """The deadline passed before the first byte was written: nothing was sent."""


@dataclass
class Exchange:
    """One request's bounds in monotonic seconds; `ends_at` is fixed by the first write."""

    deadline: float
    total_s: float
    ends_at: float | None = None

    def before_write(self) -> None:
        """Refuse to begin late; from the first write on, the total time runs."""
        now = clock.monotonic()
        if self.ends_at is None:
            if now > self.deadline:
                raise DeadlinePassedError
            self.ends_at = now + self.total_s

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        """How long the next read or write may take; raises `error` when the whole time is used up."""
        ends_at = self.ends_at if self.ends_at is not None else clock.monotonic() + self.total_s
        left = ends_at - clock.monotonic()
        if left <= 0:
            raise error("the whole time for this exchange is used up")
        return left if timeout is None else min(left, timeout)


_exchange: ContextVar[Exchange] = ContextVar("roleta_exchange")


@contextmanager
def exchange(*, deadline: float, total_s: float) -> Iterator[None]:
    """Bound the one request made inside: no write begins after `deadline`, none lasts longer than
    `total_s`."""
    mark = _exchange.set(Exchange(deadline, total_s))
    try:
        yield
    finally:
        _exchange.reset(mark)


class _BoundedStream(httpcore.NetworkStream):
    """A socket whose reads and writes obey the current exchange: httpx alone bounds each read, not their
    sum."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if bounds := _exchange.get(None):
            timeout = bounds.left(timeout, httpcore.ReadTimeout)
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if bounds := _exchange.get(None):
            bounds.before_write()
            timeout = bounds.left(timeout, httpcore.WriteTimeout)
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore.SyncBackend):
    """Sockets whose reads and writes obey the current exchange."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _BoundedStream(stream)


@cache
def _tls() -> ssl.SSLContext:
    """The trusted authorities, read once: certificates are always checked, the environment has no say."""
    return httpx.create_ssl_context(trust_env=False)


class BoundedTransport(httpx.HTTPTransport):
    """httpx's own transport over bounded sockets. Never retries: a second write could be a second message."""

    def __init__(
        self, *, max_connections: int, keepalive_s: float, backend: httpcore.NetworkBackend | None = None
    ) -> None:
        context = _tls()
        super().__init__(verify=context, trust_env=False)
        # httpx offers no way to hand over a network backend; `test_slow_drip…` fails if this ever stops
        # working.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=keepalive_s,
            retries=0,
            network_backend=backend or BoundedBackend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx, without cookies: what one instance was given must not be sent for another."""
        response = super().handle_request(request)
        response.headers.pop("set-cookie", None)
        return response


def open_http(
    *,
    max_connections: int = 64,
    keepalive_s: float = 15.0,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    backend: httpcore.NetworkBackend | None = None,
) -> httpx.Client:
    """A client that many instances may share: connections are reused by host; no cookies, no redirects,
    no proxies from the environment. Close it when the worker ends. `backend`: how it connects."""
    return httpx.Client(
        transport=BoundedTransport(max_connections=max_connections, keepalive_s=keepalive_s, backend=backend),
        # For each read or write; `exchange` bounds their sum.
        timeout=httpx.Timeout(30.0, connect=connect_timeout_s, pool=connect_timeout_s),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "roleta"},
    )


def read_answer(http: httpx.Client, request: httpx.Request) -> tuple[int, bytes, httpx.Headers]:
    """Send one request and read at most 64 KiB of its answer; the rest is left unread (and the connection
    closed)."""
    answer = http.send(request, stream=True)
    try:
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                break
        return answer.status_code, body[:MAX_ANSWER_BYTES], answer.headers
    finally:
        answer.close()
