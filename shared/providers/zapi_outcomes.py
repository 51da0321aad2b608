"""What one Z-API answer lets us conclude. Pure functions, no network.

The default is UNKNOWN. Whatever is moved out of it has its source beside it and its case in tests/contract.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from shared.providers.base import AttemptReport, Outcome
from shared.providers.verdicts import MAX_DETAIL, parse_body, plain, slow_down
from shared.redaction import clean_text, mask_phones, scrub

# A refusal of the account or the number, raised by the gate before any send (zapi contract 1.2). The
# contract leaves the HTTP status of several open and has seen error bodies under 200, so the wording
# decides under 2xx and 4xx.
_GATE_WORDINGS = (
    (re.compile(r"must subscribe to this instance", re.I), "subscription_lapsed"),
    (re.compile(r"client-token is not configured", re.I), "client_token_refused"),
    (re.compile(r"^client-token\b.* not allowed$", re.I | re.S), "client_token_refused"),
    (re.compile(r"^null not allowed$", re.I), "client_token_refused"),
    (re.compile(r"^instance not found\.?$", re.I), "instance_not_found"),
    (re.compile(r"^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:.]*:[0-9a-f:.]*) not allowed$", re.I), "ip_not_allowed"),
)
# The wordings of /status (zapi contract 4.1). We turn queuing while disconnected off, and then a send on a
# disconnected number is "not queued" (contract 3, opt-out); the body of that refusal is undocumented, so
# any "not connected" counts.
_NOT_CONNECTED = re.compile(
    r"not connected|restore the session|(phone|device|instance|whatsapp) (is )?disconnected", re.I
)
# The router found no handler (contract 1.2; seen under 404 and under 200): nothing ran, so nothing was
# sent, and the same request will never fare better. It is our request that is wrong, not the account:
# rejected, no halt.
_NO_SUCH_ROUTE = re.compile(r"^unable to find matching target resource method", re.I)
_ECHOED_TOKEN = re.compile(r"(client-token )\S.*?( not allowed)", re.I | re.S)


def outcome_of_answer(
    http_status: int, body: bytes, *, retry_after: str | None = None, secrets: Iterable[str | None] = ()
) -> AttemptReport:
    """Judge an answer to a send by body as well as by status (zapi contract 1.2, note 1)."""
    value = parse_body(body)
    error = error_text(value)
    detail = safe_detail(error or plain(body), secrets)
    if 200 <= http_status < 300:
        return _of_success(http_status, value, error, detail)
    if halt_reason := gate_refusal(http_status, value):
        return AttemptReport(
            Outcome.NOT_SENT, http_status=http_status, detail=detail, halt_reason=halt_reason
        )
    if http_status == 429:
        return slow_down(detail, retry_after)
    if http_status in {400, 404} and _is_no_route(value):
        return AttemptReport(Outcome.REJECTED, http_status=http_status, detail=detail)
    # 400 with Z-API's own error object: invalid phone, group-only option, missing field ... raised on
    # validation (contract 1.2). A 400 of another shape may come from something in between and stays
    # unknown. 405 and 415 are raised before any handler runs, and their bodies are not documented (contract
    # 1.2).
    if (http_status == 400 and error) or http_status in {405, 415}:
        return AttemptReport(Outcome.REJECTED, http_status=http_status, detail=detail)
    return AttemptReport(Outcome.UNKNOWN, http_status=http_status, detail=detail or f"HTTP {http_status}")


def _of_success(http_status: int, value: Any, error: str | None, detail: str) -> AttemptReport:
    ids = value if isinstance(value, dict) else {}
    # `id` repeats `messageId` (contract 2.3); zaapId alone is a place in Z-API's queue, not a message.
    message_id = _id(ids.get("messageId")) or _id(ids.get("id"))
    queue_id = _id(ids.get("zaapId"))
    if message_id and not error:
        return AttemptReport(Outcome.ACCEPTED, message_id, queue_id, http_status)
    if not message_id and not queue_id:
        if halt_reason := gate_refusal(http_status, value):
            return AttemptReport(
                Outcome.NOT_SENT, http_status=http_status, detail=detail, halt_reason=halt_reason
            )
        if _is_no_route(value):
            return AttemptReport(Outcome.REJECTED, http_status=http_status, detail=detail)
        if ids.get("value") is False:
            # One source says: a send on a disconnected number (contract 2.3 [O]). Too little to send again
            # on, enough to stop the number until its state has been asked for.
            text = "the provider answered value: false"
            return AttemptReport(
                Outcome.UNKNOWN, http_status=http_status, detail=text, halt_reason="disconnected"
            )
    return AttemptReport(
        Outcome.UNKNOWN,
        message_id,
        queue_id,
        http_status,
        detail or f"HTTP {http_status} without a message id",
    )


def gate_refusal(http_status: int, value: Any) -> str | None:
    """The halt reason where an answer (parsed) refuses the account or the number rather than the request."""
    if http_status >= 500:
        return None
    texts = _error_texts(value)
    for wording, reason in _GATE_WORDINGS:
        if any(wording.search(text.strip()) for text in texts):
            return reason
    if http_status <= 400 and any(_NOT_CONNECTED.search(text) for text in texts):
        return "disconnected"
    # 401 and 403 come from the credential check, before any handler (contract 1.2; reliability.md 2, table).
    return "account_refused" if http_status in {401, 403} else None


def error_text(value: Any) -> str | None:
    """The text of `{"error": …}`, with `message` behind it where both are there; None where there is no
    error."""
    return ": ".join(_error_texts(value)) or None


def safe_detail(text: str, secrets: Iterable[str | None]) -> str:
    """At most 200 characters without a secret or a whole phone. Z-API echoes a wrong Client-Token back
    (contract 1.2), so what stands in that place goes whether we know it or not."""
    text = _ECHOED_TOKEN.sub(r"\1[redacted]\2", scrub(text, secrets))
    return mask_phones(clean_text(text))[:MAX_DETAIL]


def _error_texts(value: Any) -> list[str]:
    if not isinstance(value, dict) or not value.get("error"):
        return []
    parts = (value["error"], value.get("message"))
    return [part if isinstance(part, str) else json.dumps(part) for part in parts if part]


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _is_no_route(value: Any) -> bool:
    message = value.get("message") if isinstance(value, dict) else None
    return (
        isinstance(message, str) and bool(_NO_SUCH_ROUTE.match(message)) and value.get("error") == "NOT_FOUND"
    )
