"""What one Evolution API answer lets us conclude. Pure functions, no network.

The default is UNKNOWN: one `catch` of the server wraps what comes after a send too, so a 400 can follow a
message that left (reliability.md 2, fact 4). Whatever is moved out of UNKNOWN has its source beside it and
its case in tests/contract.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared.providers.base import AttemptReport, Outcome
from shared.providers.verdicts import MAX_DETAIL, parse_body, plain, slow_down
from shared.redaction import MASK, clean_text, mask_phones, scrub

NOT_ON_WHATSAPP = "the number is not on WhatsApp"
DATABASE_FAILED = "the provider's database refused it (its own text is withheld)"

# Refusals of this message. The first three were answered by an instance that had never connected, before the
# 'sendMessage' of undefined that a valid message meets there (pairs "sendText empty text", "sendAudio bad",
# "sendMedia doc base64 no filename"): they are raised before anything is sent. The last says that the
# recipient's own address is empty (contract 5, "letters or empty"): there is nobody whom it could reach.
_REFUSED_MESSAGE = (
    re.compile(r"^Text is required$"),
    re.compile(r"^Owned media must be a url\b"),
    re.compile(r"^For base64 the file name must be informed\.?$"),
    re.compile(r'^Error: JID decoded but user is empty: "@'),
)
# The spellings of "not connected" (contract 1.2). They prove nothing about this message, since the same
# words come from the `catch` around the send, but they stop the number until its state has been asked for.
_NOT_CONNECTED = re.compile(
    r"^(Error: )?Connection Closed$|^(TypeError: )?Cannot read properties of undefined "
    r"\(reading '(onWhatsApp|sendMessage|id|find|waUploadToServer)'\)$"
)
_NO_INSTANCE = re.compile(r'^(The ".*" instance does not exist|Instance ".*" not found)$', re.S)
_NO_ROUTE = re.compile(r"^Cannot (GET|POST|PUT|DELETE) /")
# Database failures carry a source excerpt and a path of the server (contract 2).
_DATABASE = re.compile(r"\n|prisma|constraint violated|database error", re.I)
# What would let somebody in: keys, tokens, pairing codes and QR codes (contract 9, "Keys leak").
_CREDENTIALS = re.compile(
    r"""(?P<name>["']?\b(?:api_?key|hash|token|code|pairing_?code|base64|jwt_key)["']?\s*[:=]\s*)"""
    r"""(?:"[^"]*"|'[^']*'|[^\s,;&}\]]+)"""
    r"""|data:[\w/+.-]*;base64,[\w+/=]*|\b\d@[\w+/=,<>-]{8,}"""
    r"""|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b""",
    re.I,
)


def outcome_of_answer(
    http_status: int, body: bytes, *, retry_after: str | None = None, secrets: Iterable[str | None] = ()
) -> AttemptReport:
    """Judge an answer to a send by body as well as by status: neither is a verdict alone (contract 1.1)."""
    value = parse_body(body)
    texts = error_texts(value)
    detail = safe_detail("; ".join(texts) or (plain(body) if value is None else ""), secrets)
    if 200 <= http_status < 300:
        return _of_success(http_status, value, detail)
    if halt_reason := gate_refusal(http_status, value):
        return AttemptReport(
            Outcome.NOT_SENT,
            http_status=http_status,
            detail=detail or f"HTTP {http_status}",
            halt_reason=halt_reason,
        )
    if http_status == 429:
        return slow_down(detail, retry_after)
    if http_status == 400 and refuses_message(value):
        return AttemptReport(Outcome.REJECTED, http_status=http_status, detail=detail)
    closed = any(_NOT_CONNECTED.match(text) for text in texts)
    return AttemptReport(
        Outcome.UNKNOWN,
        http_status=http_status,
        detail=detail or f"HTTP {http_status}",
        halt_reason="disconnected" if closed else None,
    )


def _of_success(http_status: int, value: Any, detail: str) -> AttemptReport:
    message_id = _message_id(value)
    if message_id and not is_error(value):
        return AttemptReport(Outcome.ACCEPTED, message_id, http_status=http_status)
    return AttemptReport(
        Outcome.UNKNOWN,
        message_id,
        http_status=http_status,
        detail=detail or f"HTTP {http_status} without a message id",
    )


def gate_refusal(http_status: int, value: Any) -> str | None:
    """The halt reason where an answer (parsed) refuses the account, the instance or the route rather than
    the request: all of these are looked at before a handler runs (contract 3, order of checks)."""
    # The key is checked before the body; a 403 on a route of an instance can come only from a guard
    # (contract 3; reliability.md 2, table).
    if http_status in {401, 403}:
        return "account_refused"
    if http_status == 404:
        texts = error_texts(value)
        # The server lost or deleted the instance: to us, a number that is not connected (contract 5, table).
        if any(_NO_INSTANCE.match(text) for text in texts):
            return "disconnected"
        # The router found no handler: another product, or version, behind this address (contract 2).
        if any(_NO_ROUTE.match(text) for text in texts):
            return "no_such_route"
    # 2.4 before its activation, on every business route (contract 2, 9).
    if http_status == 503 and isinstance(value, Mapping) and value.get("code") == "LICENSE_REQUIRED":
        return "license_required"
    return None


def refuses_message(value: Any) -> bool:
    """Whether a 400 refuses this message, by what was raised before any send."""
    message = _message(value)
    if not isinstance(message, list) or not message:
        return False
    # JSON-schema validation: only it answers a list in a list, since what a `catch` turns into text is never
    # a list (contract 2).
    if all(isinstance(entry, list) and entry for entry in message):
        return True
    # The existence look-up, made before the `try` around the send (contract 5; reliability.md 2, fact 4).
    if all(isinstance(entry, Mapping) and entry.get("exists") is False for entry in message):
        return True
    return all(
        isinstance(entry, str) and any(wording.match(entry) for wording in _REFUSED_MESSAGE)
        for entry in message
    )


def is_error(value: Any) -> bool:
    """Whether a body says that it is an error, whatever its HTTP status (contract 1.1)."""
    return isinstance(value, Mapping) and bool(value.get("error"))


def error_texts(value: Any) -> list[str]:
    """What an error body says, from any of the five forms of `message` (contract 2); [] where it is none."""
    if not is_error(value):
        return []
    said = [text for text in _texts(_message(value)) if text]
    error = value["error"]
    return said or ([error] if isinstance(error, str) else ["an error without a text"])


def safe_detail(text: str, secrets: Iterable[str | None]) -> str:
    """At most 200 characters without a key, a token, a QR or pairing code, a whole phone, or a database's
    source excerpt."""
    if _DATABASE.search(text):
        return DATABASE_FAILED
    text = _CREDENTIALS.sub(lambda hit: f"{hit['name'] or ''}{MASK}", scrub(text, secrets))
    return mask_phones(clean_text(text))[:MAX_DETAIL]


def _message(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return None
    response = value.get("response")
    return response.get("message") if isinstance(response, Mapping) else value.get("message")


def _texts(message: Any) -> Iterator[str]:
    if isinstance(message, str):
        yield message.strip()
    elif isinstance(message, list):
        for entry in message[:20]:
            yield from _texts(entry)
    elif isinstance(message, Mapping):
        absent = message.get("exists") is False
        yield NOT_ON_WHATSAPP if absent else json.dumps(message)[:MAX_DETAIL]


def _message_id(value: Any) -> str | None:
    key = value.get("key") if isinstance(value, Mapping) else None
    message_id = key.get("id") if isinstance(key, Mapping) else None
    return message_id if isinstance(message_id, str) and message_id.strip() else None
