"""POST /instance/create (evolution contract 4), and its race: whoever loses deletes what the winner made."""

import asyncio
import uuid
from typing import Any

from scripts.simulator.evolution import checks, connection, payloads
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.refusals import (
    Refusal,
    bad_request,
    database_text,
    reading_of_undefined,
    unexpected,
)
from scripts.simulator.evolution.rows import SETTINGS, Channel, Row
from scripts.simulator.evolution.webhook_settings import from_create
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer

_INTEGRATIONS = ("WHATSAPP-BAILEYS", "WHATSAPP-BUSINESS", "EVOLUTION")
_LONGEST_NAME = 255
_PROXY_TIMEOUT_S = 1.0
_LOST_RACE = "Foreign key constraint violated on the constraint: `Setting_instanceId_fkey`"


async def create(world: World, name: Any, body: dict[str, Any]) -> Answer:
    """201 with the instance, its token as `hash`, and, where asked for, its QR after five seconds."""
    checks.check_create(body)
    if body.get("integration") not in _INTEGRATIONS:
        raise bad_request("Invalid integration")
    _check_name(name)
    race = world.races.pop(name, None)
    # Between the look at the name and the row others may come in: that is the race.
    await asyncio.sleep(world.options.database_s)
    if race == "loser" or world.row(name):
        world.memory.pop(name, None)
        place = database_text("setting.create", "services/monitor.service.ts", 88, _LOST_RACE)
        raise bad_request(place)
    row = _row(name, body)
    webhook = body.get("webhook")
    if isinstance(webhook, dict):
        if not isinstance(webhook.get("events"), list):
            raise bad_request(reading_of_undefined("length"))
        row.webhook = from_create(webhook, world.profile)
    if body.get("proxyHost") and not await _answers(body):
        raise bad_request("Invalid proxy")
    channel = Channel(row, state="close" if row.connects else "open")
    world.rows.append(row)
    world.memory[name] = channel
    emit(world, channel, "instance.create", payloads.identity(row))
    if body.get("qrcode") and row.connects:
        connection.connect(world, channel, row.number)
        await world.wait(world.options.create_wait_s)
    if race == "winner":
        world.memory.pop(name, None)
    return Answer(201, _created(world, channel, bool(body.get("qrcode")) and row.connects))


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        reason = "Argument `name`: Invalid value provided. Expected String."
        raise unexpected(database_text("instance.create", "services/monitor.service.ts", 71, reason))
    if len(name) > _LONGEST_NAME:
        reason = "The provided value for the column is too long for the column's type. Column: name"
        raise Refusal(400, [database_text("instance.create", "services/monitor.service.ts", 71, reason)])


def _row(name: str, body: dict[str, Any]) -> Row:
    settings = {key: body.get(key, value) for key, value in SETTINGS.items()}
    row = Row(
        name=name,
        integration=body["integration"],
        token=body.get("token") or str(uuid.uuid4()).upper(),
        number=body.get("number"),
        business_id=body.get("businessId"),
        settings=settings,
    )
    if not row.connects:
        row.connection_status = "open"
    return row


def _created(world: World, channel: Channel, with_code: bool) -> dict[str, Any]:
    row = channel.row
    business = row.integration == "WHATSAPP-BUSINESS"
    webhook = row.webhook or {}
    shown = {
        "webhookUrl": webhook.get("url"),
        "webhookHeaders": webhook.get("headers"),
        "webhookByEvents": webhook.get("webhookByEvents"),
        "webhookBase64": webhook.get("webhookBase64"),
    }
    return {
        "instance": {
            "instanceName": row.name,
            "instanceId": row.id,
            "integration": row.integration,
            "webhookWaBusiness": f"{world.base_url}/webhook/meta" if business else None,
            "accessTokenWaBusiness": "evolution" if business else "",
            "status": channel.state,
        },
        "hash": row.token,
        "webhook": shown if webhook else {},
        "websocket": {},
        "rabbitmq": {},
        "nats": {},
        "sqs": {},
        "settings": row.settings,
        **({"qrcode": channel.qr_object()} if with_code else {}),
    }


async def _answers(body: dict[str, Any]) -> bool:
    """Whether a proxy of this machine listens; others never do: nothing leaves the machine."""
    host, port = str(body["proxyHost"]), str(body.get("proxyPort", ""))
    if host not in {"127.0.0.1", "localhost", "::1"} or not port.isdigit():
        return False
    try:
        async with asyncio.timeout(_PROXY_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError, OverflowError):
        return False
    writer.close()
    return True
