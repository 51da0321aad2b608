"""The send routes (zapi contract 2): refuse, or write to the log, queue, and answer; with the planned
faults."""

import time
import uuid
from typing import Any

from scripts.simulator import account, events, provider_queue, receipts
from scripts.simulator.faulty import faulty
from scripts.simulator.http_server import Answer
from scripts.simulator.instances import Instance, Message
from scripts.simulator.world import World

# action -> kind and the field that it needs besides `phone`
ROUTES = {
    "send-text": ("text", "message"),
    "send-audio": ("audio", "audio"),
    "send-image": ("image", "image"),
    "send-document": ("document", "document"),
}
_INVALID = "Message has not been sent because it got invalid request params."


async def send(world: World, instance: Instance, action: str, body: Any) -> Answer:
    """One send, as its plan says: well, or with a fault before or after the acceptance."""
    who = {"instance_id": instance.id, "phone": body.get("phone") if isinstance(body, dict) else None}

    async def accept(fault: str | None) -> tuple[Answer, bool]:
        answer, accepted = await _accept(world, instance, action, body, fault)
        if fault is None and instance.slow_s:
            answer.fault, answer.wait_s = "slow", instance.slow_s
        return answer, accepted

    return await faulty(world.faults, world.log, who, accept, account.refused)


async def _accept(
    world: World, instance: Instance, action: str, body: Any, fault: str | None
) -> tuple[Answer, bool]:
    kind, needed = ROUTES[action]
    fields = body if isinstance(body, dict) else {}
    message, later = _message(world, kind, needed, fields)
    if message is None:
        return account.refused(400, later or "invalid request"), False
    if refusal := _refusal(world, instance, message):
        return refusal, False
    record = {"instance_id": instance.id, "phone": message.phone, "kind": kind, "text": message.text}
    ids = {"zaapId": message.zaap_id, "messageId": message.message_id}
    try:
        world.log.accept({**record, "media": message.media, **ids, "fault": fault})
    except OSError:
        # No line, no acceptance: the log is what everybody is judged by.
        return Answer(500, {"error": "the simulator cannot write its log"}), False
    message.is_followed = world.receipts.follows(well_answered=fault is None)
    await _go_on(world, instance, message)
    return Answer(200, {**ids, "id": message.message_id}), True


async def _go_on(world: World, instance: Instance, message: Message) -> None:
    if world.receipts.mode == "before_answer" and instance.connected:
        happenings = receipts.what_happens(world, instance, message)
        await receipts.post_all(world, instance, happenings)
    elif message.later_error:
        receipts.hand_over(world, instance, message)
    else:
        provider_queue.enqueue(world, instance, message)


def _message(
    world: World, kind: str, needed: str, fields: dict[str, Any]
) -> tuple[Message | None, str | None]:
    phone, value = fields.get("phone"), fields.get(needed)
    later = None
    if not isinstance(phone, str) or not phone or not isinstance(value, str) or not value:
        if world.options.missing_field == "400":
            missing = needed if isinstance(phone, str) and phone else "phone"
            return None, f"{missing} is required"
        later = _INVALID
    delays = [fields.get("delayMessage", -1), fields.get("delayTyping", 0)]
    for index, lowest in ((0, 1), (1, 0)):
        given = delays[index]
        number = given if isinstance(given, int | float) and not isinstance(given, bool) else -1
        if number in (-1, 0):
            delays[index] = 0 if index else -1
            continue
        if not lowest <= number <= 15 and world.options.out_of_range_delay == "400":
            return None, "delay out of range"
        delays[index] = min(max(number, lowest), 15)
    text = value if kind == "text" else fields.get("caption")
    return Message(
        zaap_id=uuid.uuid4().hex.upper(),
        message_id=events.new_message_id(),
        phone=phone if isinstance(phone, str) else "",
        kind=kind,
        text=text if isinstance(text, str) else None,
        media=value[:200] if kind != "text" and isinstance(value, str) else None,
        delay_message=delays[0],
        delay_typing=delays[1],
        created=time.time(),
        later_error=later,
    ), None


def _refusal(world: World, instance: Instance, message: Message) -> Answer | None:
    options = world.options
    if options.rate_limit_per_minute is not None:
        while instance.sends_at and instance.sends_at[0] < message.created - 60:
            instance.sends_at.popleft()
        if len(instance.sends_at) >= options.rate_limit_per_minute:
            return account.refused(429, "Too Many Requests")
        instance.sends_at.append(message.created)
    if instance.connected:
        return None
    if instance.disable_enqueue_when_disconnected:
        # What a send then answers is undocumented (contract 3): both guesses of contract 8.
        if options.disconnected_send == "value_false":
            return Answer(200, {"value": False})
        return account.refused(400, "You are not connected")
    if len(instance.queue) >= provider_queue.CAPACITY_WHILE_DISCONNECTED:
        if options.over_cap == "400":
            return account.refused(400, "The queue of this disconnected instance is full")
        message.later_error = "It was not possible to send message to queue due to request error."
    return None
