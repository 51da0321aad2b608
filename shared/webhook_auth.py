"""Whose webhook a request is. No provider signs (zapi contract 5.1, evolution contract 6): a secret of ours
in the path or in a header proves it.

Every refusal is the same Unauthorized after the same work: one look-up, and the same comparisons whether it
found a number or not.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from shared.db import Calls, Row
from shared.errors import RoletaError

# What is compared where no number was found: it equals nothing.
_NO_NUMBER: Row = {"zapi_instance_id": "", "zapi_token": "", "evolution_instance_name": ""}


class Unauthorized(RoletaError):
    """Unauthorized"""


@dataclass(frozen=True)
class WebhookInstance:
    """The number that an authentic event belongs to; `phone_number` as digits, None when not known."""

    instance_id: UUID
    name: str
    phone_number: str | None = field(repr=False)


@dataclass(frozen=True)
class WebhookConnection:
    """The number of an agency or a client that an authentic event belongs to."""

    instance_id: UUID
    name: str
    agency_id: UUID | None
    phone_number: str | None = field(repr=False)


def new_token() -> str:
    """A fresh secret for one number's webhook: 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What the database keeps of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def authenticate(
    db: Calls, *, path_token: str | None, header_token: str | None, claimed_instance: object
) -> WebhookInstance:
    """The number of a request, or Unauthorized.

    With a secret in the path: it names the number, the payload's instanceId must be that number's, and a
    z-api-token, which Z-API does not document, must be right where it comes. Without one: only the
    z-api-token of the number that the payload names.
    """
    claimed = claimed_instance if isinstance(claimed_instance, str) and "\x00" not in claimed_instance else ""
    if path_token is not None:
        rows = db.call("messaging.webhook_instance", p_token_hash=hash_token(path_token))
    else:
        rows = db.call("messaging.webhook_instance", p_zapi_instance_id=_encodable(claimed))
    is_proven_by_path = path_token is not None and header_token is None
    for row in rows or [_NO_NUMBER]:
        is_named = same_secret(row["zapi_instance_id"], claimed)
        has_token = _is_token_of(row, header_token or "")
        if is_named and (has_token or is_proven_by_path):
            return WebhookInstance(row["instance_id"], row["instance_name"], row["phone_number"])
    raise Unauthorized


def authenticate_connection(
    db: Calls, *, header_token: str | None, claimed_name: object
) -> WebhookConnection:
    """The number of Evolution API whose secret came in the header, or Unauthorized; the instance that the
    payload names must be that number's. The payload's own `apikey` proves nothing: it may be null.

    Evolution's own signature (`jwt_key`, contract 6) is not asked for: it covers neither body nor event, its
    key would stand at the provider beside this secret, and it is ten minutes old on late retries, which a
    refusal would lose. A token in Authorization is therefore not looked at, and proves nothing either.
    """
    claimed = claimed_name if isinstance(claimed_name, str) else ""
    rows = db.call("messaging.webhook_connection", p_token_hash=hash_token(header_token or ""))
    for row in rows or [_NO_NUMBER]:
        if same_secret(row["evolution_instance_name"], claimed) and header_token:
            return WebhookConnection(
                row["instance_id"], row["evolution_instance_name"], row["agency_id"], row["phone_number"]
            )
    raise Unauthorized


def same_secret(expected: str, given: str) -> bool:
    """Equality in a time that does not tell how much of `given` is right; an empty secret equals nothing."""
    one, other = (text.encode("utf-8", "surrogatepass") for text in (expected, given))
    return hmac.compare_digest(one, other) and bool(one)


def _is_token_of(row: Row, header_token: str) -> bool:
    return same_secret(row["zapi_token"] or "", header_token)


def _encodable(text: str) -> str:
    """Lone surrogates cannot travel to the database, and no instance id has them."""
    return text.encode("utf-8", "replace").decode()
