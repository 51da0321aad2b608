"""Messages that arrive on an instance, and what the phone says later of those that left it."""

from typing import Any

from scripts.simulator.evolution import payloads, search
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.rows import Channel, Stored
from scripts.simulator.evolution.world import World
from scripts.simulator.options import BadSettingError

STATUSES = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED", "DELETED")


def arrive(world: World, channel: Channel, message: dict[str, Any]) -> str:
    """A message arrives, or waits with WhatsApp for the instance to come back: posted, held or dropped."""
    if channel.state != "open" or channel.silent:
        channel.held.append(message)
        return "held"
    key = message["key"]
    now, seen = world.now(), channel.seen.get(key["id"])
    if world.profile.drops_repeated_ids and seen is not None and now - seen < world.options.repeated_id_s:
        return "dropped"
    channel.seen[key["id"]] = now
    stored = channel.row.messages.setdefault(
        key["id"], Stored(key["remoteJid"], key["fromMe"], payload=message)
    )
    stored.record = stored.record or search.record(stored, message)
    emit(world, channel, "messages.upsert", message)
    _contact_events(world, channel, key["remoteJid"], message["pushName"])
    return "posted"


def _contact_events(world: World, channel: Channel, jid: str, name: str | None) -> None:
    row = channel.row
    if jid not in row.contacts:
        row.contacts[jid] = name
        emit(world, channel, "contacts.upsert", payloads.contact(row, jid, name))
    update = {"remoteJid": jid, "profilePicUrl": None, "instanceId": row.id}
    if name:
        emit(world, channel, "contacts.update", [update])
    emit(world, channel, "chats.update", [{"remoteJid": jid, "instanceId": row.id}])


def deliver_held(world: World, channel: Channel) -> None:
    """What was written to the number meanwhile."""
    held, channel.held = channel.held, []
    for message in held:
        arrive(world, channel, message)


def redeliver(world: World, channel: Channel, key_id: str) -> str:
    """The same `key.id` once more: 2.3.7 passes it on, 2.3.6 drops it for five minutes."""
    stored = channel.row.messages.get(key_id)
    if stored is None or stored.payload is None:
        raise BadSettingError("no inbound message of this id")
    return arrive(world, channel, stored.payload)


def receipt(world: World, channel: Channel, key_id: str, status: str) -> bool:
    """One messages.update; none for a message that the database does not know (contract 6)."""
    stored = channel.row.messages.get(key_id)
    if stored is None:
        return False
    known = status if status in STATUSES else world.profile.unknown_receipt
    emit(world, channel, "messages.update", payloads.receipt(channel.row, key_id, stored, known))
    return True


def revoke(world: World, channel: Channel, key_id: str) -> None:
    """A person takes a message back: both events come."""
    stored = channel.row.messages.get(key_id)
    if stored is None:
        raise BadSettingError("no message of this id")
    key = {"remoteJid": stored.remote_jid, "fromMe": stored.from_me, "id": key_id}
    emit(world, channel, "messages.edited", {"key": key, "type": "REVOKE"})
    gone = {**key, "participant": "", "addressingMode": "pn", "status": "DELETED"}
    emit(world, channel, "messages.delete", gone)
