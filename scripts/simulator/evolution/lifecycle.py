"""The instance routes besides create (evolution contract 4). What a connection does is in connection.py."""

import asyncio
from typing import Any

from scripts.simulator.evolution import connection, endings, payloads
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.refusals import Refusal, bad_request, unauthorized, unexpected
from scripts.simulator.evolution.rows import Channel, Row
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer

# HTTP says success where the action failed (contract 1.1).
_FAILED = {"error": True, "message": "[object Object]"}


async def connect(world: World, channel: Channel | None, query: dict[str, str]) -> Answer:
    """The QR object, `{"count":n}`, or, when open, the state; an error under 200 where nothing is loaded."""
    if channel is None:
        return Answer(200, _FAILED)
    if channel.state == "open":
        return state(channel.row.name, channel)
    if channel.state == "close":
        # Two calls that come in here together open two sockets (contract 1.13).
        await asyncio.sleep(world.options.database_s)
        connection.connect(world, channel, query.get("number") or channel.row.number)
        await world.wait(world.options.connect_wait_s)
    return Answer(200, channel.qr_object())


def state(name: str, channel: Channel | None) -> Answer:
    """What memory says; without the key where nothing is loaded."""
    known = {"state": channel.state} if channel else {}
    return Answer(200, {"instance": {"instanceName": name, **known}})


def listing(world: World, query: dict[str, str], key: str) -> Answer:
    """fetchInstances, for the global key or for one instance's own."""
    name, instance_id = query.get("instanceName"), query.get("instanceId")
    if key != world.key:
        own = [row for row in world.rows if row.token == key]
        found = [row for row in own if name in (None, row.name) and instance_id in (None, row.id)]
        if not found:
            raise unauthorized()
    elif wanted := instance_id or query.get("number"):
        # By id or number it asks the database, by name its memory: after a race they differ.
        found = [row for row in world.rows if wanted in {row.id, row.number, _digits(row)}]
        if not found:
            raise Refusal(404, [f'Instance "{wanted}" not found'])
    elif name is not None:
        found = [channel.row for channel in world.memory.values() if channel.row.name == name]
        if not found:
            raise Refusal(404, [f'Instance "{name}" not found'])
    else:
        found = world.rows
    return Answer(200, [row.listing() for row in found])


def _digits(row: Row) -> str | None:
    return row.owner_jid.partition("@")[0] if row.owner_jid else None


async def restart(world: World, channel: Channel | None) -> Answer:
    """The state or the QR of *before* the restart; an error under 200 where it is closed."""
    if channel is None or channel.state == "close":
        return Answer(200, _FAILED)
    if channel.state == "open":
        answer = state(channel.row.name, channel)
        connection.lose(world, channel)
        return answer
    answer = Answer(200, channel.qr_object())
    if channel.socket:
        channel.socket.cancel()
    connection.connect(world, channel)
    return answer


async def logout(world: World, name: str, channel: Channel | None) -> Answer:
    """Ends the pairing. 2.3.6 answers before it took place; when closed, 2.4 has no objection."""
    if channel is None or channel.state == "close":
        if channel and world.profile.reports_closed_logout:
            raise bad_request(f'The "{name}" instance is not connected')
        return _success("Instance was already disconnected" if channel else "Instance logged out")
    if world.profile.waits_for_logout:
        await _log_out(world, channel)
        if world.options.logout_answers_500:
            raise unexpected("Connection Closed")
    else:
        world.sockets.spawn(_log_out(world, channel))
    return _success("Instance logged out")


async def _log_out(world: World, channel: Channel) -> None:
    await world.wait(world.options.logout_s)
    if channel.state != "close":
        endings.log_out(world, channel)


async def delete(world: World, row: Row, channel: Channel | None) -> Answer:
    """SUCCESS first; the rows go a little later, so both a second delete and a 403 can still come."""
    if channel and channel.state != "close" and row.connects:
        endings.log_out(world, channel)
    if channel:
        emit(world, channel, "instance.delete", payloads.identity(row))
        emit(world, channel, "remove.instance", None)
    world.sockets.spawn(_forget(world, row))
    return _success("Instance deleted")


async def _forget(world: World, row: Row) -> None:
    await asyncio.sleep(world.options.delete_lag_s)
    if row in world.rows:
        world.rows.remove(row)
        world.memory.pop(row.name, None)


def _success(text: str) -> Answer:
    fields: dict[str, Any] = {"status": "SUCCESS", "error": False, "response": {"message": text}}
    return Answer(200, fields)
