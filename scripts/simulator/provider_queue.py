"""Z-API's own queue of one instance (zapi contract 3): holds while disconnected, drains at its interval,
lists."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from scripts.simulator import events, receipts
from scripts.simulator.instances import Instance, Message
from scripts.simulator.world import World

CAPACITY_WHILE_DISCONNECTED = 1000
PAGE_SIZE, MAX_PAGE_SIZE = 20, 30


def enqueue(world: World, instance: Instance, message: Message) -> None:
    """Take a message in; it leaves when its turn comes."""
    instance.queue.append(message)
    wake(world, instance)


def wake(world: World, instance: Instance) -> None:
    """Go on draining, where there is something to drain and a phone to send it."""
    if instance.connected and instance.queue and (instance.drainer is None or instance.drainer.done()):
        instance.drainer = world.spawn(_drain(world, instance))


async def _drain(world: World, instance: Instance) -> None:
    while instance.connected and instance.queue:
        message = instance.queue[0]
        await asyncio.sleep(_interval(world, message))
        # Purged or disconnected meanwhile: look again.
        if instance.connected and instance.queue and instance.queue[0] is message:
            instance.queue.popleft()
            receipts.hand_over(world, instance, message)


def _interval(world: World, message: Message) -> float:
    fixed = world.options.queue_interval_s
    if fixed is not None:
        return fixed
    # Random 1 to 3 s unless the message says otherwise (contract 2.2), and "typing" before it.
    pause = message.delay_message if message.delay_message > 0 else world.dice.uniform(1, 3)
    return (pause + message.delay_typing) / (world.options.queue_speed or 1.0)


def listing(instance: Instance, request: dict[str, Any]) -> dict[str, Any]:
    """POST /queue: a page in PascalCase. The paging state is opaque to callers: the last id of the page
    before."""
    size = request.get("pageSize")
    size = min(size, MAX_PAGE_SIZE) if isinstance(size, int) and size > 0 else PAGE_SIZE
    waiting, after = list(instance.queue), request.get("pagingState")
    position = next((index + 1 for index, item in enumerate(waiting) if item.zaap_id == after), 0)
    page = waiting[position : position + size]
    has_more = position + size < len(waiting)
    return {
        "messages": [_entry(instance, message) for message in page],
        "pagingState": page[-1].zaap_id if has_more else None,
        "hasMore": has_more,
    }


def purge(world: World, instance: Instance, zaap_id: str | None = None) -> None:
    """DELETE /queue or /queue/{zaapId}; a message under way from the queue's head is withdrawn too."""
    gone = [message for message in instance.queue if zaap_id in {None, message.zaap_id}]
    world.log.purge({"instance_id": instance.id, "texts": [message.text for message in gone]})
    for message in gone:
        instance.queue.remove(message)
        if world.options.purge == "delivery_error":
            error = "It was not possible to send message to queue due to request error."
            payload = events.delivery(instance, message, error, None)
            world.spawn(world.webhooks.post(instance, "delivery", payload, world.options))


def _entry(instance: Instance, message: Message) -> dict[str, Any]:
    return {
        "_id": message.zaap_id,
        "ZaapId": message.zaap_id,
        "MessageId": message.message_id,
        "Phone": message.phone,
        "Message": message.text or "",
        "InstanceId": instance.id,
        "DelayMessage": message.delay_message if message.delay_message > 0 else -1,
        "DelayTyping": message.delay_typing,
        "Created": int(message.created * 1000),
        "CreatedAt": datetime.fromtimestamp(message.created, UTC).isoformat(),
        "Beta": False,
        "IsTrial": instance.trial,
    }
