"""POST /chat/findMessages: what the server stored of a chat, newest first, a page at a time.

Read in the sources of 2.3 (its documentation does not say): the bounds of time are dates, compared in whole
seconds, and one without the other is passed over; `offset` is the size of a page.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scripts.simulator.evolution.refusals import bad_request
from scripts.simulator.evolution.rows import Row, Stored
from scripts.simulator.http_server import Answer

PAGE_SIZE = 50
_SHOWN = (
    "key",
    "pushName",
    "messageType",
    "message",
    "messageTimestamp",
    "instanceId",
    "source",
    "contextInfo",
)


def record(stored: Stored, payload: Mapping[str, Any]) -> dict[str, Any]:
    """One message as the database holds it."""
    return {"id": stored.message_id, **{name: payload.get(name) for name in _SHOWN}, "MessageUpdate": []}


def listing(row: Row, body: Mapping[str, Any]) -> Answer:
    """A page of what fits `where`."""
    asked = body.get("where")
    where: Mapping[str, Any] = asked if isinstance(asked, dict) else {}
    bounds = _bounds(where.get("messageTimestamp"))
    key = where.get("key")
    wanted: Mapping[str, Any] = key if isinstance(key, dict) else {}
    found = [
        stored.record
        for stored in row.messages.values()
        if stored.record
        and all(stored.record["key"].get(name) == value for name, value in wanted.items())
        and (bounds is None or bounds[0] <= stored.record["messageTimestamp"] <= bounds[1])
    ]
    found.sort(key=lambda each: each["messageTimestamp"], reverse=True)
    size, page = _positive(body.get("offset"), PAGE_SIZE), _positive(body.get("page"), 1)
    shown = found[size * (page - 1) : size * page]
    pages = math.ceil(len(found) / size)
    return Answer(
        200, {"messages": {"total": len(found), "pages": pages, "currentPage": page, "records": shown}}
    )


def _bounds(asked: Any) -> tuple[int, int] | None:
    if not isinstance(asked, dict) or not (asked.get("gte") and asked.get("lte")):
        return None
    try:
        first, last = (datetime.fromisoformat(str(asked[name])) for name in ("gte", "lte"))
    except ValueError:
        raise bad_request("Invalid time value") from None
    return math.floor(first.timestamp()), math.floor(last.timestamp())


def _positive(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value > 0 else otherwise
