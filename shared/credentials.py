"""Credentials as they stand in the database: sealed with AES-256-GCM by the keys of the environment's ring.

A sealed one is `enc:v1:<key id>:<base64url of nonce and ciphertext>` and opens only in the place it was
sealed for: copied to another row or column it is as good as forged. What was never sealed comes back as is.
"""

import base64
import binascii
import functools
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import clock
from shared.errors import RoletaError, SettingsError

if TYPE_CHECKING:
    from shared.settings import Settings

VARIABLE = "ROLETA_CREDENTIALS_KEYS"
PREFIX = "enc:v1:"
KEY_BYTES = 32
INSTANCES, OAUTH = "public.whatsapp_instances", "public.oauth_connections"
# What of a number is secret; its zapi_instance_id is looked up by, and stays readable.
OF_INSTANCE = ("zapi_token", "zapi_client_token")

_NONCE_BYTES = 12
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SEALED = re.compile(r"enc:v1:(?P<key_id>[A-Za-z0-9_-]{1,32}):(?P<body>[A-Za-z0-9_-]+)")


class CredentialsUnusable(RoletaError, ValueError):
    """A credential cannot be opened."""


@dataclass(frozen=True)
class Place:
    """Where a credential stands. `row` is what the row is known by before it is written: a number's id, or
    the agency and the platform of a connection to an ad platform."""

    table: str
    column: str
    row: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of {self.row}"


def of_instance(instance_id: object, column: str) -> Place:
    """Where a number's credential stands. We choose the id of a number, so it is known before the row is."""
    return Place(INSTANCES, column, str(instance_id))


def of_oauth(agency_id: object, provider: str, column: str = "access_token") -> Place:
    """Where an agency's token of an ad platform stands."""
    return Place(OAUTH, column, f"{agency_id}/{provider}")


@dataclass(frozen=True)
class KeyRing:
    """Keys by their ids: the first one seals, all of them open. Empty, it seals nothing and opens only what
    is plain. Equal rings are one object; threads may share it."""

    keys: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    @staticmethod
    def from_settings(settings: "Settings") -> "KeyRing":
        """The ring of ROLETA_CREDENTIALS_KEYS; empty where it is not set."""
        return parse(settings.credentials_keys)

    def __bool__(self) -> bool:
        return bool(self.keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids, the sealing one first."""
        return tuple(key_id for key_id, _ in self.keys)

    @staticmethod
    def is_sealed(stored: str) -> bool:
        """Whether this claims to be sealed."""
        return stored.startswith(PREFIX)

    def seal(self, plain: str, place: Place) -> str:
        """`plain` for this place. SettingsError from an empty ring: who may write plain ones does not ask."""
        if not self.keys:
            raise SettingsError(
                f"{VARIABLE} is not set, so a credential would stand readable in the database: make a key "
                "with `roleta credentials new-key` and set it for every gateway, worker and command"
            )
        key_id, key = self.keys[0]
        nonce = os.urandom(_NONCE_BYTES)
        body = nonce + AESGCM(key).encrypt(nonce, plain.encode(), _bound_to(key_id, place))
        return f"{PREFIX}{key_id}:{base64.urlsafe_b64encode(body).decode().rstrip('=')}"

    def open(self, stored: str, place: Place) -> str:
        """The credential that stands in this place. CredentialsUnusable names the key, never a value."""
        if not self.is_sealed(stored):
            return stored
        parts = _SEALED.fullmatch(stored)
        if parts is None:
            raise CredentialsUnusable(f"{place} is sealed in a form that is not ours: write it anew")
        key_id = parts["key_id"]
        key = dict(self.keys).get(key_id)
        if key is None:
            raise CredentialsUnusable(
                f"{place} is sealed with key {key_id}, which {VARIABLE} does not have: add it there"
            )
        try:
            body = base64.urlsafe_b64decode(parts["body"] + "=" * (-len(parts["body"]) % 4))
            return (
                AESGCM(key)
                .decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _bound_to(key_id, place))
                .decode()
            )
        except (InvalidTag, ValueError):
            raise CredentialsUnusable(
                f"{place} does not open with key {key_id}: it was changed, or belongs to another row, or "
                f"{VARIABLE} has another key under this id"
            ) from None

    def open_instance(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of a number (with its instance_id), its credentials opened."""
        opened = {
            column: self.open(row[column], of_instance(row["instance_id"], column))
            for column in OF_INSTANCE
            if row.get(column)
        }
        return {**row, **opened}

    @functools.cached_property
    def decoy(self) -> tuple[str, Place]:
        """Something that takes as long to open as a real one, for who must not show that there is none."""
        place = of_instance("no number", OF_INSTANCE[0])
        plain = secrets.token_urlsafe(24)
        return (self.seal(plain, place) if self.keys else plain), place


@functools.lru_cache(maxsize=16)
def parse(text: str | None) -> KeyRing:
    """ "id:key,id:key" as a ring; SettingsError says what is wrong with which entry, never its key."""
    entries = [entry.strip() for entry in (text or "").split(",") if entry.strip()]
    ring = KeyRing(tuple(_entry(entry, place) for place, entry in enumerate(entries, 1)))
    if len(set(ring.key_ids)) < len(entries):
        raise SettingsError(f"{VARIABLE} has two keys of one id: each key needs an id of its own")
    if len({key for _, key in ring.keys}) < len(entries):
        raise SettingsError(f"{VARIABLE} has one key under two ids: it would only look rotated")
    return ring


def new_entry() -> str:
    """A fresh entry for ROLETA_CREDENTIALS_KEYS; its id tells the day it was made."""
    key_id = f"{clock.now():%Y-%m-%d}-{secrets.token_hex(2)}"
    return f"{key_id}:{base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def secrets_in(text: str | None) -> Iterable[str]:
    """The keys of the variable as they are written there: what no log may show."""
    entries = (entry.strip() for entry in (text or "").split(","))
    return (key for key in (entry.partition(":")[2].strip() for entry in entries) if key)


def _entry(entry: str, place: int) -> tuple[str, bytes]:
    key_id, colon, encoded = entry.partition(":")
    if not colon or not _KEY_ID.fullmatch(key_id.strip()):
        raise SettingsError(
            f"{VARIABLE}: entry {place} must be ID:KEY, its id of letters, digits, - and _, at most 32: "
            "`roleta credentials new-key` prints one"
        )
    # Both alphabets of base64, with or without its padding.
    bare = encoded.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(f"{VARIABLE}: the key of entry {place} must be {KEY_BYTES} bytes in base64")
    return key_id.strip(), key


def _bound_to(key_id: str, place: Place) -> bytes:
    return "\0".join((PREFIX, key_id, place.table, place.column, place.row)).encode()
