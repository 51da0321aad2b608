"""The instance routes other than sends (zapi contract 2.6, 3, 4): state, device, queue, webhooks, numbers."""

from collections.abc import Callable
from typing import Any

from scripts.simulator import account, events, health, pairing, provider_queue, sending
from scripts.simulator.http_server import Answer, Request
from scripts.simulator.instances import WEBHOOK_KINDS, Contact, Instance
from scripts.simulator.world import World

Route = Callable[[World, Instance, list[str], Any], Answer]

_DONE = {"value": True}
_WEBHOOK_ACTIONS = {
    "update-webhook-received": ("received",),
    "update-webhook-received-delivery": ("received_and_sent",),
    "update-webhook-delivery": ("delivery",),
    "update-webhook-message-status": ("message_status",),
    "update-webhook-connected": ("connected",),
    "update-webhook-disconnected": ("disconnected",),
    "update-webhook-chat-presence": ("presence",),
    "update-every-webhooks": WEBHOOK_KINDS,
}
_MAX_BATCH = 50_000


async def answer(world: World, request: Request, instance: Instance, rest: list[str]) -> Answer:
    """One request behind the gate; `rest` is the path after the token."""
    action = rest[0] if rest else ""
    needs_body = request.method in {"POST", "PUT"}
    if needs_body and not request.headers.get("content-type", "").startswith("application/json"):
        return Answer(415)
    try:
        body = request.json() if needs_body else None
    except (ValueError, RecursionError):
        return account.refused(400, "the body is not JSON")
    if action in sending.ROUTES:
        return await sending.send(world, instance, action, body) if request.method == "POST" else Answer(405)
    if request.method == "PUT" and action in _WEBHOOK_ACTIONS:
        return _set_webhook(world, instance, _WEBHOOK_ACTIONS[action], body)
    if route := _ROUTES.get((request.method, action)):
        return route(world, instance, rest[1:], body)
    known = any(name == action for _, name in _ROUTES) or action in _WEBHOOK_ACTIONS
    return Answer(405) if known else account.no_route(world)


def _status(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    if instance.connected or instance.stale_status:
        # `error` is filled even when all is well (contract 4.1).
        said = {"connected": True, "smartphoneConnected": True, "error": "You are already connected."}
        return Answer(payload=said)
    said = {"connected": False, "smartphoneConnected": False, "session": False}
    return Answer(payload={**said, "error": "You are not connected."})


def _device(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    if not instance.connected:
        return account.refused(400, "You are not connected")
    device = {"sessionName": "Z-API", "device_model": "Simulator"}
    fields = {"phone": instance.phone, "imgUrl": None, "about": "", "name": instance.name, "device": device}
    more = {"originalDevice": "android", "sessionId": 1, "isBusiness": False}
    return Answer(payload={**fields, **more})


def _me(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    hooks = instance.webhooks
    return Answer(
        payload={
            "id": instance.id,
            "token": instance.token,
            "name": instance.name,
            "due": events.now_ms() + 30 * 86_400_000,
            "connected": instance.connected,
            "paymentStatus": "PAID",
            "receivedCallbackUrl": hooks.get("received_and_sent") or hooks.get("received"),
            "deliveryCallbackUrl": hooks.get("delivery"),
            "messageStatusCallbackUrl": hooks.get("message_status"),
            "connectedCallbackUrl": hooks.get("connected"),
            "disconnectedCallbackUrl": hooks.get("disconnected"),
            "presenceChatCallbackUrl": hooks.get("presence"),
            "receiveCallbackSentByMe": instance.notify_sent_by_me,
        }
    )


def _set_webhook(world: World, instance: Instance, kinds: tuple[str, ...], body: Any) -> Answer:
    url = body.get("value") if isinstance(body, dict) else None
    schemes = ("https://", "http://") if world.options.allow_http else ("https://",)
    if not isinstance(url, str) or not url.startswith(schemes):
        return account.refused(400, "The webhook must be an HTTPS address")
    instance.webhooks.update(dict.fromkeys(kinds, url))
    if isinstance(body.get("notifySentByMe"), bool):
        instance.notify_sent_by_me = body["notifySentByMe"]
    return Answer(payload=_DONE)


def _notify_sent_by_me(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    wanted = body.get("notifySentByMe") if isinstance(body, dict) else None
    if not isinstance(wanted, bool):
        return account.refused(400, "notifySentByMe must be a boolean")
    instance.notify_sent_by_me = wanted
    if not wanted:
        instance.webhooks.pop("received_and_sent", None)
    return Answer(payload=_DONE)


def _queue_settings(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    wanted = body.get("disableEnqueueWhenDisconnected") if isinstance(body, dict) else None
    if not isinstance(wanted, bool):
        return account.refused(400, "disableEnqueueWhenDisconnected must be a boolean")
    instance.disable_enqueue_when_disconnected = wanted
    return Answer(payload={"success": True})


def _list_queue(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    return Answer(payload=provider_queue.listing(instance, body if isinstance(body, dict) else {}))


def _purge_queue(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    if world.options.purge == "refused":
        return account.refused(500, "Internal Server Error")
    provider_queue.purge(world, instance, rest[0] if rest else None)
    return Answer()


def _phone_exists(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    phone = rest[0] if rest else ""
    found = _contact(instance, phone)
    checked = {"exists": found.exists, "phone": found.registered_as or phone, "lid": found.lid}
    return Answer(payload=checked if world.options.phone_exists_shape == "object" else [checked])


def _phone_exists_batch(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    phones = body.get("phones") if isinstance(body, dict) else None
    if not isinstance(phones, list) or len(phones) > _MAX_BATCH:
        return account.refused(400, f"phones must be a list of at most {_MAX_BATCH}")
    found = [(phone, _contact(instance, str(phone))) for phone in phones]
    return Answer(
        payload=[
            {
                "exists": one.exists,
                "inputPhone": phone,
                "outputPhone": one.registered_as or phone,
                "lid": one.lid,
            }
            for phone, one in found
        ]
    )


def _contact(instance: Instance, phone: str) -> Contact:
    known = instance.contacts.get(phone) or Contact()
    lid = known.lid or (events.lid_of(known.registered_as or phone) if known.exists else None)
    return Contact(known.exists, known.registered_as, lid)


def _restart(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    if instance.connected:
        world.spawn(world.webhooks.post(instance, "connected", events.connected(instance), world.options))
    return Answer(payload=_DONE)


def _disconnect(world: World, instance: Instance, rest: list[str], body: Any) -> Answer:
    health.disconnect(world, instance, explicit=True)
    return Answer(payload=_DONE)


_ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "status"): _status,
    ("GET", "device"): _device,
    ("GET", "me"): _me,
    ("GET", "restart"): _restart,
    ("GET", "disconnect"): _disconnect,
    ("GET", "qr-code"): pairing.qr_code,
    ("GET", "phone-code"): pairing.phone_code,
    ("GET", "phone-exists"): _phone_exists,
    ("POST", "phone-exists-batch"): _phone_exists_batch,
    ("POST", "queue"): _list_queue,
    ("DELETE", "queue"): _purge_queue,
    ("PUT", "update-queue-settings"): _queue_settings,
    ("PUT", "update-notify-sent-by-me"): _notify_sent_by_me,
}
