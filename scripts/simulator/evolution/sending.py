"""The send routes' common half: faults, who gets it, what the socket says, the log, and what follows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.simulator.evolution import inbound, payloads, search
from scripts.simulator.evolution.deliveries import emit
from scripts.simulator.evolution.recipients import recipient
from scripts.simulator.evolution.refusals import Refusal, bad_request, reading_of_undefined
from scripts.simulator.evolution.rows import Channel, Stored
from scripts.simulator.evolution.world import World
from scripts.simulator.faulty import faulty
from scripts.simulator.http_server import Answer

# messageType -> what the log calls it, as the Z-API simulator's does
_KINDS = {
    "conversation": "text",
    "imageMessage": "image",
    "documentMessage": "document",
    "videoMessage": "video",
    "audioMessage": "audio",
}


@dataclass
class Outgoing:
    """One checked message: `kind` is its messageType, `message` its content as it is answered."""

    kind: str
    message: dict[str, Any]
    text: str | None = None
    media: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


async def send(world: World, channel: Channel, outgoing: Outgoing) -> Answer:
    """One send, as the fault plan says: well, or with a fault before or after the acceptance."""
    number = str(outgoing.body["number"])

    async def accept(fault: str | None) -> tuple[Answer, bool]:
        try:
            return await _accept(world, channel, outgoing, number, fault), True
        except Refusal as refusal:
            return refusal.answer, False

    def refuse(http_status: int, text: str) -> Answer:
        return Refusal(http_status, text).answer

    who = {"instance": channel.row.name, "instance_id": channel.row.id, "phone": number}
    return await faulty(world.faults, world.log, who, accept, refuse)


async def _accept(
    world: World, channel: Channel, outgoing: Outgoing, number: str, fault: str | None
) -> Answer:
    row, body = channel.row, outgoing.body
    jid = await recipient(world, channel, number)
    await _hand_to_socket(world, channel, body.get("delay", 0) / 1000)
    given = body.get("messageId") if world.profile.takes_message_id else None
    key_id = str(given or payloads.message_id(own=True))
    key = {"remoteJid": jid, "fromMe": True, "id": key_id}
    record = {"instance": row.name, "instance_id": row.id, "phone": jid.partition("@")[0], "remoteJid": jid}
    what = {"kind": _KINDS.get(outgoing.kind), "text": outgoing.text, "media": outgoing.media}
    try:
        world.log.accept({**record, **what, "messageId": key_id, "fault": fault})
    except OSError:
        # No line, no acceptance: the log is what everybody is judged by.
        raise Refusal(500, "the simulator cannot write its log") from None
    stored = row.messages[key_id] = Stored(jid, True)
    info = None if jid.endswith("@g.us") else _context(body)
    answer = payloads.sent(row, key, outgoing.kind, outgoing.message, info)
    stored.record = search.record(stored, answer)
    tasks = [emit(world, channel, "send.message", answer)]
    if world.receipts.mode == "before_answer":
        tasks += [
            emit(world, channel, "messages.update", payloads.receipt(row, key_id, stored, status))
            for status in world.receipts.statuses()
        ]
        if under_way := [task for task in tasks if task]:
            await asyncio.wait(under_way, timeout=world.options.webhook_timeout_s)
    else:
        world.posting.spawn(_receipts(world, channel, key_id))
    return Answer(201, answer)


async def _hand_to_socket(world: World, channel: Channel, delay_s: float) -> None:
    if channel.line == "none":
        raise bad_request(f"TypeError: {reading_of_undefined('sendMessage')}")
    if channel.line == "unpaired":
        raise bad_request(f"TypeError: {reading_of_undefined('id')}")
    if delay_s > 0:
        await world.wait(delay_s)
    if channel.silent:
        await world.wait(world.options.hang_s)
        raise bad_request("Error: Connection Closed")
    if channel.line != "open":
        raise bad_request("Error: Connection Closed")


async def _receipts(world: World, channel: Channel, key_id: str) -> None:
    for status in world.receipts.statuses():
        if world.receipts.delay_s:
            await asyncio.sleep(world.receipts.delay_s)
        inbound.receipt(world, channel, key_id, status)


def _context(body: Mapping[str, Any]) -> dict[str, Any]:
    info = payloads.context()
    if isinstance(body.get("mentioned"), list):
        info["mentionedJid"] = [f"{number}@s.whatsapp.net" for number in body["mentioned"]]
    quoted = body.get("quoted")
    if isinstance(quoted, dict) and isinstance(quoted.get("key"), dict):
        quote = {"stanzaId": quoted["key"].get("id"), "quotedMessage": quoted.get("message")}
        info |= {"participant": "", **quote}
    return info
