"""Evolution's routes behind their gate, in the real order of checks (evolution contract 3): route, instance
(404), free name (403), key (401), and only then the body (400)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from scripts.simulator.evolution import (
    bodies,
    checks,
    creation,
    lifecycle,
    messages,
    search,
    webhook_settings,
)
from scripts.simulator.evolution.recipients import look_up
from scripts.simulator.evolution.refusals import (
    Refusal,
    database_text,
    no_licence,
    reading_of_undefined,
    unauthorized,
    unexpected,
    unknown_instance,
)
from scripts.simulator.evolution.rows import Channel, Row
from scripts.simulator.evolution.world import World
from scripts.simulator.http_server import Answer, Request


@dataclass
class Call:
    """One request that passed the gate. `channel` is None where the row is not loaded."""

    request: Request
    row: Row
    channel: Channel | None
    body: dict[str, Any]

    @property
    def loaded(self) -> Channel:
        """The channel, where the real server would simply use it."""
        if self.channel is None:
            raise unexpected(reading_of_undefined(self.request.segments[1]))
        return self.channel


Handler = Callable[[World, Call], Awaitable[Answer]]


async def answer(world: World, request: Request) -> Answer:
    """Any request but those to /control."""
    body = bodies.parsed(request)
    if isinstance(body, Answer):
        return body
    try:
        return await _route(world, request, body)
    except Refusal as refusal:
        return refusal.answer


async def _route(world: World, request: Request, body: dict[str, Any]) -> Answer:
    public = _public(world, request)
    if public:
        return public
    if world.licence_missing:
        return no_licence(world.base_url)
    match request.method, request.segments:
        case "POST", ["instance", "create"]:
            return await _create(world, request, body)
        case "GET", ["instance", "fetchInstances"]:
            key = request.headers.get("apikey", "")
            if key != world.key and not any(row.token == key for row in world.rows):
                raise unauthorized()
            _database(world)
            return lifecycle.listing(world, request.query, key)
        case method, [group, action, name] if handler := NAMED.get((method, f"{group}/{action}")):
            return await handler(world, _enter(world, request, name, body))
    raise Refusal(404, [f"Cannot {request.method} {request.target}"])


def _public(world: World, request: Request) -> Answer | None:
    if request.method != "GET":
        return None
    if not request.segments:
        fields = {
            "status": 200,
            "message": "Welcome to the Evolution API, it is working!",
            "version": world.profile.version,
            "clientName": "evolution_exchange",
            "manager": f"{world.base_url}/manager",
            "documentation": "https://doc.evolution-api.com",
            "whatsappWebVersion": "2.3000.1027934701",
        }
        return Answer(200, fields)
    if world.profile.has_health and request.segments in (["health"], ["server", "ok"]):
        return Answer(200, {"status": "ok"})
    return None


async def _create(world: World, request: Request, body: dict[str, Any]) -> Answer:
    name = body.get("instanceName")
    if isinstance(name, str) and world.profile.trims_names:
        name = name.strip()
    # The race is with those who are let in here too.
    if isinstance(name, str) and (name in world.memory or world.row(name)):
        raise Refusal(403, [f'This name "{name}" is already in use.'])
    if request.headers.get("apikey") != world.key:
        raise unauthorized()
    _database(world)
    return await creation.create(world, name, body)


def _enter(world: World, request: Request, name: str, body: dict[str, Any]) -> Call:
    row = world.row(name)
    if row is None:
        raise unknown_instance(name)
    if request.headers.get("apikey") not in {world.key, row.token}:
        raise unauthorized()
    if world.profile.query_overrides_path and (other := request.query.get("instanceName")):
        # After the key check: one instance's token opens every other one (contract 1.16).
        found = world.row(other)
        if found is None:
            raise unexpected(reading_of_undefined("instance"))
        row = found
    _database(world)
    return Call(request, row, world.memory.get(row.name), body)


def _database(world: World) -> None:
    if world.database_errors > 0:
        world.database_errors -= 1
        reason = "Can't reach database server at `postgres:5432`"
        raise unexpected(database_text("instance.findFirst", "guards/auth.guard.ts", 31, reason))


async def _connect(world: World, call: Call) -> Answer:
    return await lifecycle.connect(world, call.channel, call.request.query)


async def _state(world: World, call: Call) -> Answer:
    return lifecycle.state(call.row.name, call.channel)


async def _restart(world: World, call: Call) -> Answer:
    return await lifecycle.restart(world, call.channel)


async def _logout(world: World, call: Call) -> Answer:
    return await lifecycle.logout(world, call.row.name, call.channel)


async def _delete(world: World, call: Call) -> Answer:
    return await lifecycle.delete(world, call.row, call.channel)


async def _send_text(world: World, call: Call) -> Answer:
    return await messages.send_text(world, call.loaded, call.body)


async def _send_media(world: World, call: Call) -> Answer:
    return await messages.send_media(world, call.loaded, call.body)


async def _send_audio(world: World, call: Call) -> Answer:
    return await messages.send_audio(world, call.loaded, call.body)


async def _numbers(world: World, call: Call) -> Answer:
    checks.check_numbers(call.body)
    if call.loaded.line == "none":
        raise Refusal(400, None)
    found = [await look_up(world, call.loaded, str(number)) for number in call.body["numbers"]]
    return Answer(200, [{"jid": one.jid, "exists": one.exists, "number": one.number} for one in found])


async def _find_messages(world: World, call: Call) -> Answer:
    return search.listing(call.row, call.body)


async def _set_webhook(world: World, call: Call) -> Answer:
    return webhook_settings.set_webhook(call.row, call.body, world.profile)


async def _find_webhook(world: World, call: Call) -> Answer:
    return webhook_settings.find_webhook(call.row)


async def _settings(world: World, call: Call) -> Answer:
    return Answer(200, call.row.settings)


NAMED: dict[tuple[str, str], Handler] = {
    ("GET", "instance/connect"): _connect,
    ("GET", "instance/connectionState"): _state,
    ("POST", "instance/restart"): _restart,
    ("DELETE", "instance/logout"): _logout,
    ("DELETE", "instance/delete"): _delete,
    ("POST", "message/sendText"): _send_text,
    ("POST", "message/sendMedia"): _send_media,
    ("POST", "message/sendWhatsAppAudio"): _send_audio,
    ("POST", "chat/whatsappNumbers"): _numbers,
    ("POST", "chat/findMessages"): _find_messages,
    ("POST", "webhook/set"): _set_webhook,
    ("GET", "webhook/find"): _find_webhook,
    ("GET", "settings/find"): _settings,
}
