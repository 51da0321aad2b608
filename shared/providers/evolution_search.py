"""Evolution's search in what it stored (POST chat/findMessages): the question, and its answer as traces. Part
of evolution; no network.

Its filter of times is obeyed only with both bounds, which are dates; what it finds is looked at again here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.providers.base import SentBy, Trace
from shared.providers.evolution_contents import read_content
from shared.providers.evolution_messages import phone_of, stored_at
from shared.providers.facts import text

PAGE_SIZE = 50
# By the form of the message's id, the server tells which device wrote it: the API's own look like WhatsApp
# Web's; the others are phones and desktops, held by a hand.
_API_LIKE = ("web", None)


def asked(jid: str, since: datetime, until: datetime, *, page: int) -> dict[str, Any]:
    """The body of the question for what we sent to one address."""
    return {
        "where": {
            "key": {"remoteJid": jid, "fromMe": True},
            "messageTimestamp": {"gte": _date(since), "lte": _date(until)},
        },
        "page": page,
        "offset": PAGE_SIZE,
    }


def found(value: Any, jid: str) -> tuple[list[Trace], int] | None:
    """The traces of one page to this address, and how many pages there are; None for another shape."""
    messages = value.get("messages") if isinstance(value, Mapping) else None
    records = messages.get("records") if isinstance(messages, Mapping) else None
    if not isinstance(messages, Mapping) or not isinstance(records, list):
        return None
    pages = messages.get("pages")
    traces = [trace for each in records if (trace := _trace(each, jid)) is not None]
    return traces, pages if isinstance(pages, int) else 1


def is_within(trace: Trace, since: datetime, until: datetime) -> bool:
    """Whether it was sent in this time, by its own word; one that does not say when cannot be told."""
    return trace.happened_at is not None and since <= trace.happened_at <= until


def _trace(record: Any, jid: str) -> Trace | None:
    fields = record if isinstance(record, Mapping) else {}
    key = fields.get("key")
    ids = key if isinstance(key, Mapping) else {}
    message_id, phone = text(ids.get("id")), phone_of(ids.get("remoteJid")) or phone_of(jid)
    if message_id is None or phone is None or ids.get("fromMe") is not True:
        return None
    content = read_content(fields.get("message"))
    sent_by: SentBy = "api" if text(fields.get("source")) in _API_LIKE else "hand"
    return Trace(
        provider_message_id=message_id,
        phone=phone,
        sent_by=sent_by,
        text=content.text,
        message_kind=content.kind,
        happened_at=stored_at(fields.get("messageTimestamp")),
    )


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
