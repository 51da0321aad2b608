"""Evolution API's answers to a send and to a question for the state, and what each allows to conclude:
evolution contract 1, 2, 4, 5 and reliability.md 2."""

from typing import Any

from shared.providers.base import Outcome

ACCEPTED = {
    "key": {"remoteJid": "5551987654321@s.whatsapp.net", "fromMe": True, "id": "3EB0A43387F49B05212C3D"},
    "pushName": "Você",
    "status": "PENDING",
    "message": {"conversation": "oi"},
    "messageType": "conversation",
    "messageTimestamp": 1795319800,
    "instanceId": "5410d336-0b0d-494d-b3c3-9d7d41ec7a78",
    "source": "web",
}
MESSAGE_ID = "3EB0A43387F49B05212C3D"
LICENCE = {
    "error": "service not activated",
    "code": "LICENSE_REQUIRED",
    "register_url": "https://licence.example/register",
    "instance_id": "5410d336-0b0d-494d-b3c3-9d7d41ec7a78",
    "message": "this service must be activated",
}

A, R, N, U = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNKNOWN
CLOSED = {"halt_reason": "disconnected"}


def error(http_status: int, message: Any, name: str = "Bad Request") -> dict[str, Any]:
    """An error body as the server makes it (contract 2)."""
    return {"status": http_status, "error": name, "response": {"message": message}}


UNAUTHORIZED = error(401, "Unauthorized", "Unauthorized")
UNKNOWN_INSTANCE = error(404, ['The "loja" instance does not exist'], "Not Found")


def of_undefined(what: str) -> str:
    """What the server says where it has no socket."""
    return f"Cannot read properties of undefined (reading '{what}')"


def rows(key: str, phone: str) -> list[tuple[Any, ...]]:
    """(name, HTTP status, body, outcome, what else the report says)."""
    accepted = {"message_id": MESSAGE_ID}
    return [*_accepted(accepted), *_of_the_message(key, phone), *_of_the_account(), *_unknown(key, phone)]


def _accepted(accepted: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        ("accepted", 201, ACCEPTED, A, accepted),
        ("accepted with 200", 200, ACCEPTED, A, accepted),
        ("an id and an error", 201, {**ACCEPTED, "error": True}, U, accepted),
        ("error true under 200", 200, {"error": True, "message": "[object Object]"}, U),
        ("error false and no id", 200, {"error": False, "status": "SUCCESS"}, U),
        ("no key", 201, {**ACCEPTED, "key": None}, U),
        ("empty id", 201, {**ACCEPTED, "key": {"id": " "}}, U),
        ("id of an odd type", 201, {**ACCEPTED, "key": {"id": 17}}, U),
        ("database id alone", 201, {"messageId": "cmwrbrmxm0008pk7dv4pvgh5z"}, U),
        ("no JSON", 200, b"OK", U),
        ("empty body", 201, b"", U),
        ("JSON array", 201, [ACCEPTED], U),
        ("JSON null", 200, b"null", U),
        ("no content", 204, b"", U),
        ("JSON too deep", 200, b"[" * 60_000, U),
    ]


def _of_the_message(key: str, phone: str) -> list[tuple[Any, ...]]:
    absent = {"jid": f"{phone}@s.whatsapp.net", "exists": False, "number": phone}
    empty = 'Error: JID decoded but user is empty: "@s.whatsapp.net" -> user: "", server: "s.whatsapp.net"'
    return [
        ("not on WhatsApp", 400, error(400, [absent]), R),
        ("schema", 400, error(400, [['instance requires property "number"']]), R),
        ("schema, two complaints", 400, error(400, [["a is missing", "b is missing"]]), R),
        ("blank text", 400, error(400, ["Text is required"]), R),
        ("media is no address", 400, error(400, ["Owned media must be a url or base64"]), R),
        ("audio is no address", 400, error(400, ["Owned media must be a url, base64, or valid file"]), R),
        ("document without a name", 400, error(400, ["For base64 the file name must be informed."]), R),
        ("nobody's address", 400, error(400, [empty]), R),
        # Near misses: what comes out of the server's `catch` may follow a message that left.
        ("a schema list and a text", 400, error(400, [["a is missing"], "Error: x"]), U),
        ("an empty list", 400, error(400, []), U),
        ("a list of empty lists", 400, error(400, [[]]), U),
        ("exists with another value", 400, error(400, [{**absent, "exists": True}]), U),
        ("not on WhatsApp and more", 400, error(400, [absent, "Error: x"]), U),
        ("blank text inside another", 400, error(400, ["Error: Text is required"]), U),
        ("schema under 500", 500, error(500, [["a is missing"]]), U),
        ("key echoed", 400, error(400, [f'{{"apikey":"{key}","hash":"{key}"}}']), U),
    ]


def _of_the_account() -> list[tuple[Any, ...]]:
    no_route = error(404, ["Cannot POST /message/sendText/loja"], "Not Found")
    refused = {"halt_reason": "account_refused"}
    return [
        ("wrong key", 401, UNAUTHORIZED, N, refused),
        ("unauthorized page", 401, b"<html>", N, refused),
        ("forbidden", 403, error(403, ["Forbidden"], "Forbidden"), N, refused),
        ("unknown instance", 404, UNKNOWN_INSTANCE, N, CLOSED),
        ("no such route", 404, no_route, N, {"halt_reason": "no_such_route"}),
        ("not activated", 503, LICENCE, N, {"halt_reason": "license_required"}),
        ("429 bare", 429, b"", N, {"retry_after_s": 60.0}),
        ("429 with seconds", 429, b"", N, {"retry_after_s": 7.0, "headers": {"Retry-After": "7"}}),
    ]


def _unknown(key: str, phone: str) -> list[tuple[Any, ...]]:
    database = f"\nInvalid `prisma.message.create()` in\n/srv/app.js:1\n{phone} {key}\nUnique constraint"
    return [
        # The spellings of "not connected" (contract 1.2): the message is unknown, the number stops.
        ("closed, looked up", 500, error(500, "Connection Closed"), U, CLOSED),
        ("closed, in the cache", 400, error(400, ["Error: Connection Closed"]), U, CLOSED),
        ("never connected", 500, error(500, of_undefined("onWhatsApp")), U, CLOSED),
        (
            "never connected, in the cache",
            400,
            error(400, [f"TypeError: {of_undefined('sendMessage')}"]),
            U,
            CLOSED,
        ),
        ("connecting, in the cache", 400, error(400, [f"TypeError: {of_undefined('id')}"]), U, CLOSED),
        ("connecting, after 60 s", 500, error(500, of_undefined("find")), U, CLOSED),
        ("closed, media", 500, error(500, [f"TypeError: {of_undefined('waUploadToServer')}"]), U, CLOSED),
        # All else.
        ("another undefined", 400, error(400, [f"TypeError: {of_undefined('length')}"]), U),
        ("unknown group", 400, error(400, ["[object Object]"]), U),
        ("media not found", 500, error(500, ["AxiosError: Request failed with status code 404"]), U),
        ("database", 400, error(400, [database]), U),
        ("400 of no shape", 400, {}, U),
        ("400 page", 400, b"<html>Bad Request</html>", U),
        ("body cut on the way", 400, error(400, "Unexpected end of JSON input", "Internal Server Error"), U),
        ("404 page", 404, b"<html>Not Found</html>", U),
        ("404 of another shape", 404, error(404, ["no"], "Not Found"), U),
        ("408", 408, b"", U),
        ("409", 409, error(409, ["Conflict"]), U),
        ("413", 413, b"", U),
        ("500", 500, error(500, "x", "Internal Server Error"), U),
        ("500 not activated", 500, LICENCE, U),
        ("502", 502, b"<html>Bad Gateway</html>", U),
        ("503 page", 503, b"", U, {"headers": {"Retry-After": "5"}}),
        ("504", 504, b"", U),
        ("redirect", 307, b"", U, {"headers": {"Location": "/elsewhere"}}),
    ]


def states() -> list[tuple[int, Any, bool | None, str | None]]:
    """(HTTP status, body, connected, what is refused)."""
    return [
        (200, {"instance": {"instanceName": "loja", "state": "open"}}, True, None),
        (200, {"instance": {"instanceName": "loja", "state": "connecting"}}, False, None),
        (200, {"instance": {"instanceName": "loja", "state": "close"}}, False, None),
        # A row in the database and nothing in memory (contract 4).
        (200, {"instance": {"instanceName": "loja"}}, None, None),
        (200, {"instance": {"state": "refused"}}, None, None),
        (200, {"instance": {"state": True}}, None, None),
        (200, {"state": "open"}, None, None),
        (200, {"error": True, "message": "[object Object]"}, None, None),
        (200, [], None, None),
        (404, UNKNOWN_INSTANCE, False, None),
        (404, error(404, ["Cannot GET /instance/connectionState/loja"]), None, "no_such_route"),
        (404, {}, None, None),
        (401, UNAUTHORIZED, None, "account_refused"),
        (503, LICENCE, None, "license_required"),
        (500, error(500, "database"), None, None),
        (429, {}, None, None),
    ]
