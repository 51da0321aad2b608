"""HTTP exchanges that end in time and in size, for services that are no providers of numbers.

They give the whole body, or a reason in our own words; never an address.
"""

from typing import Any

import httpcore
import httpx

from shared import clock
from shared.providers.transport import CONNECT_TIMEOUT_S, DeadlinePassedError, exchange, open_http

MAX_ANSWER_BYTES = 256 * 1024
# A service may close an idle connection after 5 s (uvicorn's default); one that we drop earlier is not
# closed under a request.
KEEPALIVE_S = 3.0


class FailedExchange(Exception):
    """An exchange failed; the message is a reason of our own, without addresses or bodies."""


class Exchanges:
    """One HTTP client for all of them. Threads may share it; close it at the end."""

    def __init__(
        self, *, backend: httpcore.NetworkBackend | None = None, keepalive_s: float = KEEPALIVE_S
    ) -> None:
        """`backend`: how connections are made; None: to whatever host a request names."""
        self._http = open_http(max_connections=32, keepalive_s=keepalive_s, backend=backend)

    def request(self, method: str, url: str, **form: Any) -> httpx.Request:
        """A request; httpx.InvalidURL for an address that is none."""
        return self._http.build_request(method, url, **form)

    def body_of(
        self, request: httpx.Request, *, ends_at: float, limit: int = MAX_ANSWER_BYTES
    ) -> tuple[bytes, str]:
        """The body of a 200 and its media type, read by `ends_at` (monotonic seconds). FailedExchange."""
        answer = self._answer(request, ends_at, limit)
        if answer.status_code != 200:
            raise FailedExchange(f"HTTP {answer.status_code}")
        return answer.content, _media_type(answer)

    def answer_of(
        self, request: httpx.Request, *, ends_at: float, limit: int = MAX_ANSWER_BYTES
    ) -> tuple[int, bytes]:
        """The code and the body of whatever is answered by `ends_at` (monotonic seconds). FailedExchange."""
        answer = self._answer(request, ends_at, limit)
        return answer.status_code, answer.content

    def close(self) -> None:
        """Closes every connection."""
        self._http.close()

    def _answer(self, request: httpx.Request, ends_at: float, limit: int) -> httpx.Response:
        left_s = ends_at - clock.monotonic()
        if left_s <= 0:
            raise FailedExchange("out of time")
        patience = httpx.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S)).as_dict()
        request.extensions = {**request.extensions, "timeout": patience}
        try:
            with exchange(deadline=ends_at, total_s=left_s):
                return _read(self._http.send(request, stream=True), limit)
        except (httpx.TimeoutException, DeadlinePassedError):
            raise FailedExchange("out of time") from None
        except httpx.HTTPError as error:
            raise FailedExchange(type(error).__name__) from None


def _read(answer: httpx.Response, limit: int) -> httpx.Response:
    """The same answer with its body read. As it came: we asked for no compression, and a bomb stays small."""
    try:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise FailedExchange("an answer that is compressed unasked")
        body = bytearray()
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > limit:
                raise FailedExchange("an answer that is too large")
        return httpx.Response(answer.status_code, headers=answer.headers, content=bytes(body))
    finally:
        answer.close()


def _media_type(answer: httpx.Response) -> str:
    return str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
