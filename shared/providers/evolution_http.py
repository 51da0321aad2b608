"""One request at a time to an Evolution API server with its one key: what is asked again, what is an error
under 200, what a refusal says. Part of evolution.
"""

import json
import math
import re
from typing import Any

import httpx

from shared import clock
from shared.providers import evolution_outcomes, verdicts
from shared.providers.base import ErrorKind, ProviderError
from shared.providers.transport import DeadlinePassedError, open_http, read_answer
from shared.providers.transport import exchange as bounded

# The key that the server falls back to where none was chosen (contract 3): everybody knows it.
PUBLISHED_KEY = "BQYHJGJHJ"

_PRINTABLE = re.compile(r"[!-~]+")
_NEVER_ARRIVED = (httpx.NetworkError, httpx.RemoteProtocolError)

Answer = tuple[int, bytes, httpx.Headers]


class EvolutionServer:
    """An address and its key, which opens every instance there: it appears in no repr, log or exception."""

    def __init__(
        self, base_url: str, api_key: str, *, http: httpx.Client | None, call_timeout_s: float
    ) -> None:
        """ValueError names the setting to change, never its value."""
        if not base_url:
            raise ValueError("EVOLUTION_API_URL is not set: set it to the Evolution API server's address")
        if not _PRINTABLE.fullmatch(api_key):
            raise ValueError("EVOLUTION_API_KEY is empty or has characters that no key has")
        if api_key == PUBLISHED_KEY:
            raise ValueError("EVOLUTION_API_KEY is the published default: choose AUTHENTICATION_API_KEY anew")
        self._url = base_url.rstrip("/") + "/"
        self._api_key = api_key
        self._own_http = http is None
        self._http = http or open_http()
        self._call_timeout_s = call_timeout_s

    def close(self) -> None:
        """Close the connections, unless they are shared."""
        if self._own_http:
            self._http.close()

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What no detail may show."""
        return (self._api_key,)

    def call(
        self, method: str, path: str, body: Any = None, *, again: bool = False, total_s: float | None = None
    ) -> Any:
        """A call other than a send: its parsed answer, or ProviderError."""
        return self.value(*self.ask(method, path, body, again=again, total_s=total_s))

    def ask(
        self, method: str, path: str, body: Any = None, *, again: bool = False, total_s: float | None = None
    ) -> tuple[int, Any]:
        """Status and parsed body. `again`: a GET without effect, tried once more after a lost connection or a
        5xx (contract 10.2)."""
        seconds = total_s or self._call_timeout_s
        answer = self.exchange(method, path, body, deadline=math.inf, total_s=seconds)
        if again and _is_worth_another(answer):
            answer = self.exchange(method, path, body, deadline=math.inf, total_s=seconds)
        if isinstance(answer, Exception):
            raise ProviderError("unreachable", f"Evolution API did not answer ({type(answer).__name__})")
        http_status, raw, _ = answer
        value = verdicts.parse_body(raw)
        if value is None and 200 <= http_status < 300 and raw.strip() != b"null":
            raise ProviderError("unexpected", "the answer is no JSON: is this an Evolution API server?")
        return http_status, value

    def value(self, http_status: int, value: Any) -> Any:
        """The answer where it is none of an error, whatever its status says (contract 1.1)."""
        if 200 <= http_status < 300 and not evolution_outcomes.is_error(value):
            return value
        said = "; ".join(evolution_outcomes.error_texts(value)) or f"HTTP {http_status}"
        detail = evolution_outcomes.safe_detail(said, self.secrets)
        if halt_reason := evolution_outcomes.gate_refusal(http_status, value):
            kind: ErrorKind = "unexpected" if halt_reason == "disconnected" else "account_refused"
            raise ProviderError(kind, detail, halt_reason)
        slow = http_status >= 500 or http_status in {408, 429}
        raise ProviderError("unreachable" if slow else "unexpected", detail)

    def exchange(
        self, method: str, path: str, body: Any, *, deadline: float, total_s: float
    ) -> Answer | Exception:
        """One request. Failures come back as values: an httpx exception holds the request, hence the key, and
        must not become the context of anything that is raised."""
        if clock.monotonic() > deadline:
            return DeadlinePassedError()
        try:
            # ASCII JSON: a lone surrogate in a text must not raise while the request is being encoded.
            content = None if body is None else json.dumps(body).encode()
            headers = {"apikey": self._api_key} if path else {}  # `GET /` is public
            if content is not None:
                headers["Content-Type"] = "application/json"
            # A send may be silent for longer than the shared client's patience for one read.
            patience = self._http.timeout
            timeout = httpx.Timeout(total_s, connect=patience.connect, pool=patience.pool)
            request = self._http.build_request(
                method, self._url + path, content=content, headers=headers, timeout=timeout
            )
            with bounded(deadline=deadline, total_s=total_s):
                return read_answer(self._http, request)
        except (
            Exception
        ) as failure:  # whatever it is: an attempt that may have been written must end as UNKNOWN
            return failure


def _is_worth_another(answer: Answer | Exception) -> bool:
    if isinstance(answer, Exception):
        return isinstance(answer, _NEVER_ARRIVED)
    http_status, raw, _ = answer
    return http_status >= 500 and not evolution_outcomes.gate_refusal(http_status, verdicts.parse_body(raw))
