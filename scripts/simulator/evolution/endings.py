"""How a connection ends for good: reasons 401, 402, 403, 406, (2.4) 408, and the QR limit."""

from typing import Any

from scripts.simulator.evolution import payloads
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.rows import Channel, stamp
from scripts.simulator.evolution.world import World

REMOVED: dict[str, Any] = {"tag": "conflict", "attrs": {"type": "device_removed"}}


def hang_up(world: World, channel: Channel) -> None:
    """End the socket that the server knows of. While the network cannot be reached its loop goes on, even
    after a delete (contract 1.14)."""
    if channel.socket and not world.whatsapp.unreachable:
        channel.socket.cancel()
    channel.socket, channel.code, channel.silent = None, None, False


def close_for_good(world: World, channel: Channel, code: int, why: str, data: Any = None) -> None:
    """Memory and database close, the reason is stored, the keys are gone, three events tell it."""
    row, own = channel.row, why.startswith("Log out instance")
    hang_up(world, channel)
    channel.state, channel.line = "close", "down"
    row.connection_status, row.paired = "close", False
    row.reason_code, row.reason_at = code, stamp()
    row.reason_object = payloads.reason_object(code, why, data)
    row.updated_at = row.reason_at
    said = [
        ("status.instance", payloads.closed_status(row)),
        ("logout.instance", None),
        ("connection.update", payloads.ended(channel, "close", code)),
    ]
    # Their order varies; both as they were seen (contract 7, Appendix B).
    for event, payload in [*said[1:], said[0]] if own else said:
        emit(world, channel, event, payload)


def log_out(world: World, channel: Channel) -> None:
    """The server's own logout."""
    close_for_good(world, channel, 401, f"Log out instance: {channel.row.name}")


def refuse_pairing(world: World, channel: Channel) -> None:
    """The QR limit: memory closes with count 0, the database goes on saying connecting, no logout event."""
    emit(world, channel, "connection.update", payloads.ended(channel, "refused", 428))
    emit(world, channel, "qrcode.updated", payloads.limit_reached())
    hang_up(world, channel)
    channel.state, channel.line, channel.count = "close", "down", 0
