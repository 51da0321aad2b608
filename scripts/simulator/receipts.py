"""What follows when a message leaves an instance's queue: delivery, echo and status events, in the chosen
mode."""

import asyncio
from typing import Any

from scripts.simulator import events
from scripts.simulator.instances import DeliveryError, Instance, Message
from scripts.simulator.options import RECEIPT_STEPS
from scripts.simulator.world import World

# zapi contract 5.4 and 6
SHADOW_BAN = DeliveryError("The message was not sent due to a likely shadow ban", "SHADOW_BAN")
NO_SUCH_PHONE = DeliveryError("Phone number does not exist")


def hand_over(world: World, instance: Instance, message: Message) -> None:
    """The message leaves for WhatsApp: its events go out in the background."""
    if happenings := what_happens(world, instance, message):
        world.spawn(post_all(world, instance, happenings))


async def post_all(world: World, instance: Instance, happenings: list[tuple[str, dict[str, Any]]]) -> None:
    """One message's events, each after the one before has been answered."""
    if late_s := world.receipts.lateness_s():
        await asyncio.sleep(late_s)
    for kind, payload in happenings:
        if world.receipts.delay_s:
            await asyncio.sleep(world.receipts.delay_s)
        if await world.webhooks.post(instance, kind, payload, world.options):
            ids = payload.get("ids") or [payload["messageId"]]
            world.log.told({"messageId": ids[0], "kind": payload["type"]})


def what_happens(world: World, instance: Instance, message: Message) -> list[tuple[str, dict[str, Any]]]:
    """The events of one message as (webhook kind, payload), arranged as the receipt plan says."""
    if not instance.webhooks or not message.is_followed:
        return []
    if failure := _failure(instance, message):
        payload = events.delivery(instance, message, failure.error, failure.error_code)
        return world.receipts.arrange([("delivery", payload)])
    steps = RECEIPT_STEPS[: RECEIPT_STEPS.index(world.receipts.until) + 1]
    found = [("delivery", events.delivery(instance, message, None, None))]
    if instance.notify_sent_by_me:
        found.append(("received", events.echo(instance, message)))
    found += [("message_status", events.status(instance, message, step)) for step in steps[1:]]
    return world.receipts.arrange(found)


def _failure(instance: Instance, message: Message) -> DeliveryError | None:
    if message.later_error:
        return DeliveryError(message.later_error)
    if instance.ban == "shadow":
        return SHADOW_BAN
    for planned in instance.delivery_errors:
        if planned.times > 0 and planned.phone in {None, message.phone}:
            planned.times -= 1
            return planned
    contact = instance.contacts.get(message.phone)
    return NO_SUCH_PHONE if contact and not contact.exists else None
