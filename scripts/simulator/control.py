"""The control interface under /control: what a test or a person does to the simulated world. JSON in, JSON
out."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from scripts.simulator import events, health
from scripts.simulator.control_calls import controlled, seconds_of, turning
from scripts.simulator.http_server import Answer, Request
from scripts.simulator.instances import Contact, DeliveryError, Instance, configured
from scripts.simulator.options import BadSettingError
from scripts.simulator.world import World

Fields = dict[str, Any]
Action = Callable[[World, Fields], Any]


def answer(world: World, request: Request, rest: list[str]) -> Answer:
    """One control call: 200 with what is so now, 400 with what to change."""
    return controlled(ACTIONS, world, request, rest)


def _instance(world: World, fields: Fields) -> Instance:
    instance = world.instances.get(str(fields.pop("instance_id", "")))
    if instance is None:
        raise BadSettingError(f"unknown instance_id; there are {', '.join(world.instances)}")
    return instance


def _counters(world: World, fields: Fields) -> Fields:
    webhooks = dict(world.webhooks.counters)
    queued = sum(len(instance.queue) for instance in world.instances.values())
    return {**world.log.counters(), "webhooks": webhooks, "queued": queued, "background_tasks": world.busy}


def _instances(world: World, fields: Fields) -> list[Fields]:
    return [instance.summary() for instance in world.instances.values()]


def _add_instance(world: World, fields: Fields) -> Fields:
    instance = configured(fields, len(world.instances) + 1)
    if instance.id in world.instances:
        raise BadSettingError("an instance with this id is already there")
    world.instances[instance.id] = instance
    return instance.summary()


def _connect(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    health.connect(world, instance, fields.get("phone"))
    return instance.summary()


def _disconnect(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    health.disconnect(world, instance, explicit=bool(fields.get("explicit")))
    return instance.summary()


def _ban(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    health.ban(world, instance, fields.get("kind", "full"))
    return instance.summary()


def _lapse(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    instance.lapsed = bool(fields.get("lapsed", True))
    return instance.summary()


def _delete(world: World, fields: Fields) -> Fields:
    instance = world.instances.pop(_instance(world, fields).id)
    instance.queue.clear()
    return {"deleted": instance.id}


def _slow(world: World, fields: Fields) -> Fields:
    seconds = seconds_of(fields.pop("seconds", 0))
    chosen = [_instance(world, fields)] if "instance_id" in fields else list(world.instances.values())
    for instance in chosen:
        instance.slow_s = seconds
    return {"slow": seconds, "instances": len(chosen)}


def _stale_status(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    instance.stale_status = bool(fields.get("stale", True))
    return {"stale_status": instance.stale_status}


def _contact(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    contact = Contact(**{key: value for key, value in fields.items() if key != "phone"})
    instance.contacts[str(fields["phone"])] = contact
    return asdict(contact)


def _delivery_error(world: World, fields: Fields) -> Fields:
    instance = _instance(world, fields)
    planned = DeliveryError(**fields)
    instance.delivery_errors.append(planned)
    return asdict(planned)


def _inbound(world: World, fields: Fields) -> Fields:
    """A person writes to the number; `content` replaces the text, `envelope` any field of the event."""
    instance, copies = _instance(world, fields), int(fields.get("copies", 1))
    content = fields.get("content") or {"text": {"message": str(fields.get("text", "oi"))}}
    payload = events.received(instance, str(fields["phone"]), content, **fields.get("envelope", {}))
    if not instance.connected:
        instance.held_inbound += [payload] * copies
        return {"messageId": payload["messageId"], "held": True}
    for _ in range(copies):
        world.spawn(world.webhooks.post(instance, "received", payload, world.options))
    return {"messageId": payload["messageId"], "held": False}


def _by_hand(world: World, fields: Fields) -> Fields:
    """Somebody writes on the phone itself: fromMe without fromApi, where "notify sent by me" is on."""
    instance = _instance(world, fields)
    content = {"text": {"message": str(fields.get("text", "oi"))}}
    payload = events.received(instance, str(fields["phone"]), content, fromMe=True, status="SENT")
    if instance.notify_sent_by_me:
        world.spawn(world.webhooks.post(instance, "received", payload, world.options))
    return {"messageId": payload["messageId"], "posted": instance.notify_sent_by_me}


def _reset(world: World, fields: Fields) -> Fields:
    """Count from zero; with `everything`, the world as it was configured and the log empty."""
    if fields.get("everything"):
        world.log.empty()
        world.begin()
    world.log.reset()
    world.webhooks.counters.clear()
    return _counters(world, fields)


ACTIONS: Mapping[str, Action] = {
    "counters": _counters,
    "instances": _instances,
    "add-instance": _add_instance,
    "connect": _connect,
    "disconnect": _disconnect,
    "ban": _ban,
    "lapse": _lapse,
    "delete": _delete,
    "slow": _slow,
    "stale-status": _stale_status,
    "faults": turning("faults"),
    "receipts": turning("receipts"),
    "options": turning("options"),
    "contact": _contact,
    "delivery-error": _delivery_error,
    "inbound": _inbound,
    "by-hand": _by_hand,
    "reset": _reset,
}
