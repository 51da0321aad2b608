"""The gate in front of every instance route, and Z-API's words when it refuses (zapi contract 1.2)."""

from scripts.simulator.http_server import Answer, Request
from scripts.simulator.instances import Instance
from scripts.simulator.world import World

LAPSED = "To continue sending a message, you must subscribe to this instance again"
_NO_CLIENT_TOKEN = {
    "400": (400, "your client-token is not configured"),
    "null": (400, "null not allowed"),
    "403": (403, "Client-Token null not allowed"),
}


def refused(http_status: int, text: str) -> Answer:
    """Z-API's error object."""
    return Answer(http_status, {"error": text})


def no_route(world: World) -> Answer:
    """What an unknown route or verb gets; some clients saw it under 200."""
    text = "Unable to find matching target resource method"
    return Answer(world.options.no_route, {"error": "NOT_FOUND", "message": text})


def enter(world: World, request: Request, instance_id: str, token: str) -> Instance | Answer:
    """The instance that the path and the Client-Token open, or the refusal."""
    instance = world.instances.get(instance_id)
    if instance is None or instance.token != token:
        return refused(world.options.instance_not_found, "Instance not found")
    given = request.headers.get("client-token")
    if instance.client_token and not given:
        return refused(*_NO_CLIENT_TOKEN[world.options.no_client_token])
    if instance.client_token and given != instance.client_token:
        return refused(403, f"Client-Token {given} not allowed")
    if instance.lapsed:
        return refused(400, LAPSED)
    return instance
