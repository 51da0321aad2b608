"""Whose webhook a request is. No provider signs (zapi contract 5.1, evolution contract 6): a secret of ours
in the path or in a header proves it.

Every refusal is the same Unauthorized after the same work: one look-up, one credential opened, and the same
comparisons whether it found a number or not.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from shared import log
from shared.credentials import OF_INSTANCE, CredentialsUnusable, KeyRing, of_instance
from shared.db import Calls, Row
from shared.errors import RoletaError

# What is compared where no number was found: it equals nothing.
_NO_CONNECTION: Row = {"evolution_instance_name": ""}


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
    db: Calls,
    *,
    path_token: str | None,
    header_token: str | None,
    claimed_instance: object,
    ring: KeyRing | None = None,
) -> WebhookInstance:
    """The number of a request, or Unauthorized.

    With a secret in the path: it names the number, the payload's instanceId must be that number's, and a
    z-api-token, which Z-API does not document, must be right where it comes. Without one: only the
    z-api-token of the number that the payload names. `ring` opens the tokens that are sealed.
    """
    ring = ring or KeyRing()
    claimed = claimed_instance if isinstance(claimed_instance, str) and "\x00" not in claimed_instance else ""
    if path_token is not None:
        rows = db.call("messaging.webhook_instance", p_token_hash=hash_token(path_token))
    else:
        rows = db.call("messaging.webhook_instance", p_zapi_instance_id=_encodable(claimed))
    is_proven_by_path = path_token is not None and header_token is None
    # The secret in the path proves the number by itself: a token that we lost the key of loses no event.
    unopened = header_token or "" if path_token is not None else ""
    for row in rows or [_no_number(ring)]:
        is_named = same_secret(row["zapi_instance_id"], claimed)
        has_token = _is_token_of(row, header_token or "", ring, unopened=unopened)
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
    for row in rows or [_NO_CONNECTION]:
        if same_secret(row["evolution_instance_name"], claimed) and header_token:
            return WebhookConnection(
                row["instance_id"], row["evolution_instance_name"], row["agency_id"], row["phone_number"]
            )
    raise Unauthorized


def same_secret(expected: str, given: str) -> bool:
    """Equality in a time that does not tell how much of `given` is right; an empty secret equals nothing."""
    one, other = (text.encode("utf-8", "surrogatepass") for text in (expected, given))
    return hmac.compare_digest(one, other) and bool(one)


def _no_number(ring: KeyRing) -> Row:
    """What is opened and compared in the place of a number that is not there."""
    stored, place = ring.decoy
    return {
        "instance_id": place.row,
        "instance_name": "",
        "zapi_instance_id": "",
        OF_INSTANCE[0]: stored,
    }


def _is_token_of(row: Row, header_token: str, ring: KeyRing, *, unopened: str = "") -> bool:
    """`unopened`: what is compared where the number's own token cannot be opened; empty: nothing is equal."""
    place = of_instance(row["instance_id"], OF_INSTANCE[0])
    try:
        token = ring.open(row["zapi_token"] or "", place)
    except CredentialsUnusable as problem:
        log.get().error("webhook.credentials_unusable", instance=row["instance_name"], why=str(problem))
        token = unopened
    return same_secret(token, header_token)


def _encodable(text: str) -> str:
    """Lone surrogates cannot travel to the database, and no instance id has them."""
    return text.encode("utf-8", "replace").decode()
