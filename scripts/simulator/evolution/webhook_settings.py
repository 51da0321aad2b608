"""POST /webhook/set and GET /webhook/find: what is merged, what is kept (evolution contract 6)."""

from typing import Any

from scripts.simulator.evolution import checks
from scripts.simulator.evolution.refusals import reading_of_undefined, unexpected
from scripts.simulator.evolution.rows import Row, database_id, stamp
from scripts.simulator.evolution.settings import Profile
from scripts.simulator.http_server import Answer


def set_webhook(row: Row, body: dict[str, Any], profile: Profile) -> Answer:
    """201 with what is stored now. Omitted keys keep their old value."""
    names = checks.event_names(profile.takes_message_id)
    checks.check_webhook(body, names)
    given = body["webhook"]
    before = row.webhook or _new()
    events: list[str] = []
    if given["enabled"]:
        if "events" not in given:
            raise unexpected(reading_of_undefined("length"))
        events = list(given["events"] or names)
    row.webhook = {
        **before,
        "url": given["url"],
        "headers": _stored(given.get("headers", before["headers"])),
        "enabled": given["enabled"],
        "events": events,
        "webhookByEvents": given.get("byEvents", before["webhookByEvents"]),
        "webhookBase64": given.get("base64", before["webhookBase64"]),
        "updatedAt": stamp(),
        "instanceId": row.id,
    }
    return Answer(201, row.webhook)


def find_webhook(row: Row) -> Answer:
    """What is stored, headers and their secrets in clear, or the JSON word null."""
    return Answer(200, row.webhook, null=True)


def from_create(given: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """The webhook of a create: enabled whatever it says, names unchecked."""
    return {
        **_new(),
        "url": str(given.get("url") or ""),
        "headers": _stored(given.get("headers")),
        "enabled": True,
        "events": list(given["events"] or checks.event_names(profile.takes_message_id)),
        "webhookByEvents": bool(given.get("byEvents")),
        "webhookBase64": bool(given.get("base64")),
    }


def _stored(headers: Any) -> dict[str, Any] | None:
    if not isinstance(headers, dict):
        return None
    # The column is a jsonb: shorter keys come back first.
    return dict(sorted(headers.items(), key=lambda item: (len(item[0]), item[0])))


def _new() -> dict[str, Any]:
    now = stamp()
    return {
        "id": database_id(),
        "url": "",
        "headers": None,
        "enabled": False,
        "events": [],
        "webhookByEvents": False,
        "webhookBase64": False,
        "createdAt": now,
        "updatedAt": now,
        "instanceId": None,
    }
