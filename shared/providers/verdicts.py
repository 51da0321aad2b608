"""What an answer or a failure lets us conclude whichever the provider: nothing written, slow down, no JSON.

Pure functions. What a provider's own words mean is decided in its own module (zapi_outcomes,
evolution_outcomes).
"""

import json
from typing import Any

import httpx

from shared.providers.base import AttemptReport, Outcome
from shared.providers.transport import DeadlinePassedError

MAX_DETAIL = 200
RATE_LIMIT_PAUSE_S = 60.0
MAX_RATE_LIMIT_PAUSE_S = 3600.0

# Raised before the first byte of the request left us (reliability.md 2): no connection, or none to be had.
_NOTHING_WRITTEN = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, DeadlinePassedError)


def outcome_of_failure(failure: Exception) -> AttemptReport:
    """Judge a send that got no whole answer. The failure's own text is never used: it may hold the URL."""
    if isinstance(failure, DeadlinePassedError):
        return AttemptReport(Outcome.NOT_SENT, detail="deadline passed before writing")
    name = type(failure).__name__
    if isinstance(failure, _NOTHING_WRITTEN):
        return AttemptReport(Outcome.NOT_SENT, detail=f"could not connect ({name})")
    return AttemptReport(Outcome.UNKNOWN, detail=f"no whole answer after writing began ({name})")


def slow_down(detail: str, retry_after: str | None) -> AttemptReport:
    """A 429. Neither provider documents one, and none was seen (zapi contract 1.2 [?]); by its meaning
    (RFC 6585, 4) the request was not served."""
    return AttemptReport(
        Outcome.NOT_SENT, http_status=429, detail=detail, retry_after_s=_retry_after_s(retry_after)
    )


def parse_body(body: bytes) -> Any:
    """The parsed JSON, or None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def plain(body: bytes) -> str:
    """The beginning of a body that is no JSON, on one line."""
    return " ".join(body[:1000].decode("utf-8", "replace").split())


def _retry_after_s(header: str | None) -> float:
    """Seconds (RFC 9110, 10.2.3), between 1 and 3600. A date, or nothing, means the usual pause."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return RATE_LIMIT_PAUSE_S
    return min(max(float(text), 1.0), MAX_RATE_LIMIT_PAUSE_S)
