"""The control interface, POST /control/<name>, JSON in and out: what a person or a test does to the world.

Every call on one instance names it: `{"instance": "adscape_…"}`. The person with the phone is `scan`:
`{"instance", "phone": digits with the country's, "name"?: the profile's}` reads the QR that is shown *now*;
400 `no QR is shown…` until there is one (so: call it again), 200 with the instance's summary when it is
accepted; `state` becomes `open` about a second later.

Connections: scan, drop(seconds?), replaced, device_removed, ban, close(code), qr_turn(times?), qr_limit,
slow_qr(seconds), silent_peer(on?), unreachable(on?, events_per_second?),
create_race(instance, as: winner|loser), missing_state, restart_server, server(profile?, speed?).
Messages: inbound(from, text?, name?, id?, group?, lid?, keep_lid?, from_me?, content?, copies?),
redeliver(id), revoke(id), receipt(id, status), not_on_whatsapp(numbers, absent?), registered_as(number, as),
groups(jids). What goes wrong: faults (options.FaultPlan), receipts and options (settings.py),
webhooks(mode, seconds?), database_error(times?), licence_503(on?).
Looking: instances, counters, reset(everything?).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from scripts.simulator.control_calls import controlled, turning
from scripts.simulator.evolution import control_connection, inbound, payloads
from scripts.simulator.evolution.control_connection import summary
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer, Request
from scripts.simulator.options import change

Fields = dict[str, Any]


def answer(world: World, request: Request, rest: list[str]) -> Answer:
    """One control call: 200 with what is so now, 400 with what to change."""
    return controlled(ACTIONS, world, request, rest)


def _instances(world: World, fields: Fields) -> list[Fields]:
    return [summary(world, channel) for channel in world.memory.values()]


def _counters(world: World, fields: Fields) -> Fields:
    under_way = {"background_tasks": len(world.posting), "sockets": len(world.sockets)}
    return {**world.log.counters(), "webhooks": dict(world.counters), **under_way}


def _inbound(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    message = payloads.received(channel.row, fields)
    became = [inbound.arrive(world, channel, message) for _ in range(int(fields.get("copies", 1)))]
    return {"id": message["key"]["id"], "became": became[-1]}


def _redeliver(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    return {"id": fields["id"], "became": inbound.redeliver(world, channel, str(fields["id"]))}


def _revoke(world: World, fields: Fields) -> Fields:
    inbound.revoke(world, world.channel(fields), str(fields["id"]))
    return {"id": fields["id"]}


def _receipt(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    posted = inbound.receipt(world, channel, str(fields["id"]), str(fields["status"]))
    return {"id": fields["id"], "known": posted}


def _not_on_whatsapp(world: World, fields: Fields) -> list[str]:
    numbers = {str(number) for number in fields["numbers"]}
    if fields.get("absent", True):
        world.whatsapp.absent |= numbers
    else:
        world.whatsapp.absent -= numbers
    return sorted(world.whatsapp.absent)


def _registered_as(world: World, fields: Fields) -> Fields:
    world.whatsapp.registered_as[str(fields["number"])] = str(fields["as"])
    return dict(world.whatsapp.registered_as)


def _groups(world: World, fields: Fields) -> list[str]:
    world.whatsapp.groups |= {str(jid) for jid in fields["jids"]}
    return sorted(world.whatsapp.groups)


def _webhooks(world: World, fields: Fields) -> Fields:
    late = {"webhook_late_s": fields["seconds"]} if "seconds" in fields else {}
    change(world.options, {"webhook_mode": fields["mode"], **late})
    return asdict(world.options)


def _database_error(world: World, fields: Fields) -> Fields:
    world.database_errors = int(fields.get("times", 1))
    return {"times": world.database_errors}


def _licence_503(world: World, fields: Fields) -> Fields:
    world.licence_missing = bool(fields.get("on", True))
    return {"on": world.licence_missing}


def _reset(world: World, fields: Fields) -> Fields:
    """Count from zero; with `everything`, a server without instances and the log empty."""
    if fields.get("everything"):
        world.log.empty()
        world.begin()
    world.log.reset()
    world.counters.clear()
    return _counters(world, fields)


ACTIONS: Mapping[str, Callable[[World, Fields], Any]] = {
    "instances": _instances,
    "counters": _counters,
    **control_connection.ACTIONS,
    "inbound": _inbound,
    "redeliver": _redeliver,
    "revoke": _revoke,
    "receipt": _receipt,
    "not_on_whatsapp": _not_on_whatsapp,
    "registered_as": _registered_as,
    "groups": _groups,
    "webhooks": _webhooks,
    "faults": turning("faults"),
    "receipts": turning("receipts"),
    "options": turning("options"),
    "database_error": _database_error,
    "licence_503": _licence_503,
    "reset": _reset,
}
