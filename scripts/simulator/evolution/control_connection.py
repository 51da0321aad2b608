"""The control calls on connections: what happens to one instance, to the network, to the server itself."""

from collections.abc import Callable, Mapping
from typing import Any

from scripts.simulator.control_calls import seconds_of
from scripts.simulator.evolution import connection, endings
from scripts.simulator.evolution.rows import Channel
from scripts.simulator.evolution.settings import PROFILES
from scripts.simulator.evolution.world import World
from scripts.simulator.options import BadSettingError

Fields = dict[str, Any]
MOST_EVENTS_PER_SECOND = 24.0  # what was seen of the real one
_FINAL = (401, 402, 403, 406)


def summary(world: World, channel: Channel) -> Fields:
    """An instance as the control interface shows it, credentials included: they are the simulator's own."""
    row = channel.row
    return {
        "instance": row.name,
        "id": row.id,
        "token": row.token,
        "state": channel.state,
        "database_state": row.connection_status,
        "qr_shown": channel.state == "connecting" and channel.code is not None,
        "count": channel.count,
        "code": (channel.code or {}).get("code"),
        "pairing_code": channel.pairing_code,
        "phone": (row.owner_jid or "").partition("@")[0] or None,
        "webhook": row.webhook,
        "held": len(channel.held),
    }


def _scan(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    connection.scan(world, channel, str(fields["phone"]), str(fields.get("name", "Loja Demo")))
    return summary(world, channel)


def _drop(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    down_s = seconds_of(fields["seconds"]) if "seconds" in fields else None
    connection.lose(world, channel, down_s)
    return summary(world, channel)


def _device_removed(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    endings.close_for_good(world, channel, 401, "Stream Errored (conflict)", endings.REMOVED)
    return summary(world, channel)


def _ban(world: World, fields: Fields) -> Fields:
    """The account is banned: this instance ends, and its phone never opens one again."""
    channel = world.channel(fields)
    if channel.row.owner_jid:
        world.whatsapp.banned.add(channel.row.owner_jid.partition("@")[0])
    endings.close_for_good(world, channel, 403, "Connection Failure")
    return summary(world, channel)


def _close(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    if fields["code"] not in _FINAL:
        raise BadSettingError(f"code must be one of {', '.join(map(str, _FINAL))}; the others are `drop`")
    endings.close_for_good(world, channel, fields["code"], "Connection Failure")
    return summary(world, channel)


def _qr_turn(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    if channel.state != "connecting" or channel.code is None:
        raise BadSettingError("no QR is shown")
    for _ in range(int(fields.get("times", 1))):
        if not connection.show_next(world, channel, channel.pairing_code):
            break
    return summary(world, channel)


def _qr_limit(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    if channel.state != "connecting":
        raise BadSettingError("this instance is not connecting")
    endings.refuse_pairing(world, channel)
    return summary(world, channel)


def _slow_qr(world: World, fields: Fields) -> Fields:
    world.options.qr_delay_s = seconds_of(fields["seconds"])
    return {"qr_delay_s": world.options.qr_delay_s}


def _silent_peer(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    if fields.get("on", True):
        connection.fall_silent(world, channel)
    else:
        connection.speak_again(world, channel)
    return summary(world, channel)


def _unreachable(world: World, fields: Fields) -> Fields:
    """Once a second an instance by itself; the real rate (16 to 24) only where it is asked for."""
    rate = seconds_of(fields.get("events_per_second", 1.0))
    if not 0 < rate <= MOST_EVENTS_PER_SECOND:
        raise BadSettingError(f"events_per_second must be above 0 and at most {MOST_EVENTS_PER_SECOND:g}")
    if fields.get("on", True):
        world.whatsapp.unreachable = rate
        connection.cut_off(world)
    else:
        world.whatsapp.unreachable = 0.0
        connection.let_go(world)
    return {"events_per_second": world.whatsapp.unreachable}


def _restart_server(world: World, fields: Fields) -> list[Fields]:
    connection.restart_server(world)
    return [summary(world, channel) for channel in world.memory.values()]


def _server(world: World, fields: Fields) -> Fields:
    """Another version or another speed from now on; a reset takes both back."""
    name, speed = fields.get("profile"), fields.get("speed", world.speed)
    if name is not None and name not in PROFILES:
        raise BadSettingError(f"profile must be one of {', '.join(PROFILES)}")
    if not seconds_of(speed) > 0:
        raise BadSettingError("speed must be above 0")
    world.profile, world.speed = PROFILES[name] if name else world.profile, float(speed)
    return {"profile": world.profile.version, "speed": world.speed}


def _missing_state(world: World, fields: Fields) -> Fields:
    channel = world.channel(fields)
    del world.memory[channel.row.name]
    return {"instance": channel.row.name, "loaded": False}


def _create_race(world: World, fields: Fields) -> Fields:
    """The next creator of the name has a rival at the same moment, and is the winner or a loser."""
    place = fields.get("as", "winner")
    if place not in {"winner", "loser"}:
        raise BadSettingError("as must be winner or loser")
    world.races[str(fields["instance"])] = place
    return dict(world.races)


ACTIONS: Mapping[str, Callable[[World, Fields], Any]] = {
    "scan": _scan,
    "drop": _drop,
    "replaced": _drop,
    "device_removed": _device_removed,
    "ban": _ban,
    "close": _close,
    "qr_turn": _qr_turn,
    "qr_limit": _qr_limit,
    "slow_qr": _slow_qr,
    "silent_peer": _silent_peer,
    "unreachable": _unreachable,
    "restart_server": _restart_server,
    "server": _server,
    "missing_state": _missing_state,
    "create_race": _create_race,
}
