"""Odd values of a webhook or an answer, read as typed facts, and the key by which an event is known again.

Whatever has another type becomes None; nothing here raises, and no provider's own wording lives here.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.redaction import clean_text

EARLIEST_S = datetime(2015, 1, 1, tzinfo=UTC).timestamp()
LATEST_S = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


def text(value: Any) -> str | None:
    """A string with something in it, fit to be stored."""
    return clean_text(value) if isinstance(value, str) and value else None


def flag(payload: Mapping[str, Any], name: str) -> bool:
    """True only where the field is true: "true" and 1 are not."""
    return payload.get(name) is True


def moment(value: Any) -> datetime | None:
    """An epoch in seconds or milliseconds, told apart by magnitude (zapi contract 5.1, unit trap); None for
    nonsense."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for unit in (1, 1000):
        if EARLIEST_S * unit <= value < LATEST_S * unit:
            return datetime.fromtimestamp(value / unit, UTC)
    return None


def key(parts: list[str]) -> str:
    """Readable while it is short; long or odd ones become a digest, so that the key always fits an index."""
    joined = "|".join(parts)
    return joined if len(joined) <= 200 and joined.isprintable() else digest(parts[0], parts)


def digest(name: str, payload: Any) -> str:
    """The key of an event that has no id of its own: the same payload gives the same key."""
    try:
        canonical = json.dumps(payload, sort_keys=True, default=str, separators=(",", ":"))
    except RecursionError:  # the gateway refuses such depth; a caller that does not must not fail here
        canonical = "too deep"
    return f"{name}|sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
