"""How a simulated number comes and goes: connect, disconnect, ban, and what each sets in motion."""

from scripts.simulator import events, provider_queue
from scripts.simulator.instances import Instance
from scripts.simulator.options import BadSettingError
from scripts.simulator.world import World


def connect(world: World, instance: Instance, phone: str | None = None) -> None:
    """Pair (again), perhaps with another phone: the held queue fires by itself (zapi contract 3), and what
    was written to the number meanwhile arrives late or is lost, as the options say."""
    if instance.ban == "full":
        raise BadSettingError("this number is banned; lift the ban first")
    was_connected, instance.connected, instance.webhooks_stopped = instance.connected, True, False
    if phone:
        instance.phone = phone
    if not was_connected or phone:
        _post(world, instance, "connected")
    held, instance.held_inbound = instance.held_inbound, []
    if world.options.inbound_offline == "late":
        for payload in held:
            world.spawn(world.webhooks.post(instance, "received", payload, world.options))
    provider_queue.wake(world, instance)


def disconnect(world: World, instance: Instance, *, explicit: bool = False) -> None:
    """The phone drops off; after an explicit disconnect webhooks stop too (zapi contract 4.3)."""
    was_connected, instance.connected = instance.connected, False
    if explicit:
        instance.webhooks_stopped = True
    elif was_connected:
        _post(world, instance, "disconnected")


def ban(world: World, instance: Instance, kind: str | None) -> None:
    """Kind "shadow": new messages fail in their DeliveryCallback only. "full": WhatsApp logs the number out
    for good. None lifts it."""
    if kind not in {"shadow", "full", None}:
        raise BadSettingError("kind must be shadow, full or null")
    instance.ban = kind
    if kind == "full":
        disconnect(world, instance)


def _post(world: World, instance: Instance, kind: str) -> None:
    payload = events.connected(instance) if kind == "connected" else events.disconnected(instance)
    world.spawn(world.webhooks.post(instance, kind, payload, world.options))
