"""Z-API's answers to a send, and what each allows to conclude: zapi contract 1.2, 2.3, 3 and reliability.md
2."""

from typing import Any

from shared.providers.base import Outcome

ACCEPTED = {"zaapId": "ZAAP0001", "messageId": "3EB0SIM000000000001", "id": "3EB0SIM000000000001"}
LAPSED = "To continue sending a message, you must subscribe to this instance again"
NO_ROUTE = {"error": "NOT_FOUND", "message": "Unable to find matching target resource method"}

A, R, N, U = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNKNOWN


def rows(client_token: str, phone: str) -> list[tuple[Any, ...]]:
    """(name, HTTP status, body, outcome, what else the report says)."""
    accepted = {"message_id": ACCEPTED["messageId"]}
    return [
        # 2xx
        ("accepted", 200, ACCEPTED, A, accepted),
        ("created with an id", 201, ACCEPTED, A, accepted),
        ("id without messageId", 200, {"id": "3EB0X"}, A, {"message_id": "3EB0X"}),
        ("zaapId alone", 200, {"zaapId": "ZAAP0001"}, U),
        ("an id and an error", 200, {**ACCEPTED, "error": "Something"}, U, accepted),
        ("empty id", 200, {"messageId": "", "zaapId": ""}, U),
        ("id of an odd type", 200, {"messageId": 17}, U),
        ("value false", 200, {"value": False}, U, {"halt_reason": "disconnected"}),
        ("value true", 200, {"value": True}, U),
        ("unknown error under 200", 200, {"error": "Something"}, U),
        ("no route under 200", 200, NO_ROUTE, R),
        ("lapsed under 200", 200, {"error": LAPSED}, N, {"halt_reason": "subscription_lapsed"}),
        ("no JSON", 200, b"OK", U),
        ("empty body", 200, b"", U),
        ("JSON array", 200, [ACCEPTED], U),
        ("JSON null", 200, b"null", U),
        ("no content", 204, b"", U),
        ("JSON too deep", 200, b"[" * 60_000, U),
        # the account or the number
        ("lapsed", 400, {"error": LAPSED}, N, {"halt_reason": "subscription_lapsed"}),
        (
            "client token missing",
            400,
            {"error": "your client-token is not configured"},
            N,
            {"halt_reason": "client_token_refused"},
        ),
        (
            "client token missing, as documented",
            400,
            {"error": "null not allowed"},
            N,
            {"halt_reason": "client_token_refused"},
        ),
        (
            "client token missing, third wording",
            403,
            {"error": "Client-Token null not allowed"},
            N,
            {"halt_reason": "client_token_refused"},
        ),
        (
            "client token wrong, echoed",
            403,
            {"error": f"Client-Token {client_token} not allowed"},
            N,
            {"halt_reason": "client_token_refused"},
        ),
        ("IPv4 not allowed", 400, {"error": "203.0.113.7 not allowed"}, N, {"halt_reason": "ip_not_allowed"}),
        ("IPv6 not allowed", 403, {"error": "2001:db8::7 not allowed"}, N, {"halt_reason": "ip_not_allowed"}),
        (
            "instance not found 404",
            404,
            {"error": "Instance not found"},
            N,
            {"halt_reason": "instance_not_found"},
        ),
        (
            "instance not found 400",
            400,
            {"error": "Instance not found"},
            N,
            {"halt_reason": "instance_not_found"},
        ),
        ("unauthorized", 401, b"", N, {"halt_reason": "account_refused"}),
        ("forbidden page", 403, b"<html>Forbidden</html>", N, {"halt_reason": "account_refused"}),
        ("not connected", 400, {"error": "You are not connected"}, N, {"halt_reason": "disconnected"}),
        (
            "restore the session",
            400,
            {"error": "You need to restore the session."},
            N,
            {"halt_reason": "disconnected"},
        ),
        # this message
        ("invalid phone", 400, {"error": "Invalid phone"}, R),
        ("invalid phone, quoted", 400, {"error": f"Invalid phone {phone}"}, R),
        ("group option", 400, {"error": "mentionAll can only be used in groups"}, R),
        ("error code and message", 400, {"error": "BAD_REQUEST", "message": "message is required"}, R),
        ("wrong method", 405, b"", R),
        ("wrong content type", 415, b"", R),
        ("no route", 404, NO_ROUTE, R),
        # slow down
        ("429 bare", 429, b"", N, {"retry_after_s": 60.0}),
        ("429 with seconds", 429, b"", N, {"retry_after_s": 7.0, "headers": {"Retry-After": "7"}}),
        ("429 with hours", 429, b"", N, {"retry_after_s": 3600.0, "headers": {"Retry-After": "86400"}}),
        ("429 with zero", 429, b"", N, {"retry_after_s": 1.0, "headers": {"Retry-After": "0"}}),
        ("429 with a date", 429, b"", N, {"retry_after_s": 60.0, "headers": {"Retry-After": "soon"}}),
        # everything else
        ("400 of another shape", 400, b"<html>Bad Request</html>", U),
        ("400 JSON string", 400, "Proxy is not reachable", U),
        ("404 of another shape", 404, b"<html>Not Found</html>", U),
        ("408", 408, {"error": "Request Timeout"}, U),
        ("409", 409, {"error": "Conflict"}, U),
        ("413", 413, b"", U),
        ("422", 422, {"error": "Unprocessable"}, U),
        ("500", 500, {"error": "Internal Server Error"}, U),
        ("500 with account wording", 500, {"error": LAPSED}, U),
        ("502", 502, b"<html>Bad Gateway</html>", U),
        ("503 with Retry-After", 503, b"", U, {"headers": {"Retry-After": "5"}}),
        ("504", 504, b"", U),
        ("redirect", 307, b"", U, {"headers": {"Location": "/elsewhere"}}),
    ]


def states() -> list[tuple[int, Any, bool | None, str | None]]:
    """(HTTP status, body, connected, what is refused)."""
    return [
        (
            200,
            {"connected": True, "smartphoneConnected": True, "error": "You are already connected."},
            True,
            None,
        ),
        (200, {"connected": True, "error": None}, True, None),
        (200, {"connected": False, "session": False, "error": "You are not connected."}, False, None),
        (200, {"connected": False, "error": "You need to restore the session"}, False, None),
        (200, {"connected": "true"}, None, None),
        (200, {"error": "You are not connected"}, None, None),
        (200, {}, None, None),
        (200, [], None, None),
        (200, NO_ROUTE, None, None),
        (200, {"error": LAPSED}, None, "subscription_lapsed"),
        (400, {"error": LAPSED}, None, "subscription_lapsed"),
        (403, {"error": "Client-Token x not allowed"}, None, "client_token_refused"),
        (404, {"error": "Instance not found"}, None, "instance_not_found"),
        (401, {}, None, "account_refused"),
        (400, {"error": "You are not connected"}, False, None),
        (500, {"connected": True}, None, None),
        (429, {}, None, None),
    ]
