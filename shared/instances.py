"""Numbers (instances): the typed face of the SQL that lists them and changes them (migrations 0003 and 0014).

What a provider says about a number is asked elsewhere; nothing here knows a provider.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from shared.credentials import OF_INSTANCE, CredentialsUnusable, KeyRing, of_instance
from shared.db import Calls, Database, Row
from shared.errors import Conflict, NotFound

InstanceStatus = Literal["active", "paused", "banned", "disconnected"]
LINK_BATCH = 1000
IMPORT_TRIES = 5


@dataclass(frozen=True)
class Instance:
    """One number without its credentials. `instance_status` is what the table calls status."""

    instance_id: UUID
    name: str
    provider: str
    instance_status: InstanceStatus
    phone_number: str | None = field(repr=False)
    zapi_instance_id: str | None = field(repr=False)
    agency_id: UUID | None
    in_pool: bool
    is_default: bool
    accepts_new: bool
    halted_reason: str | None
    people: int
    seats: int
    has_webhook: bool
    last_health_check: datetime | None


@dataclass(frozen=True)
class Credentials:
    """The three secrets of a Z-API number, in plain text: they are in no repr."""

    zapi_instance_id: str = field(repr=False)
    zapi_token: str = field(repr=False)
    zapi_client_token: str = field(repr=False)

    def as_row(self) -> Row:
        """The same under the names of the columns, as a provider's client wants them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def stored(self, ring: KeyRing, instance_id: UUID) -> Row:
        """The two that are secret, sealed for this number; plain ones from an empty ring."""
        row = self.as_row()
        return {
            column: ring.seal(row[column], of_instance(instance_id, column)) if ring else row[column]
            for column in OF_INSTANCE
        }


@dataclass(frozen=True)
class Pace:
    """The gap columns of a sender, in seconds: between paced messages, and what an answer may push."""

    gap_min_s: float = 25.0
    gap_max_s: float = 45.0
    reply_gap_s: float = 5.0
    reply_push_max_s: float = 120.0

    def divided(self, speed: float) -> "Pace":
        """The same pace, `speed` times as fast."""
        return Pace(*(getattr(self, each.name) / speed for each in fields(self)))


@dataclass(frozen=True)
class Imported:
    """What import_environment did: made the number, renewed its token, or neither."""

    instance_id: UUID
    created: bool
    updated: bool
    is_default: bool


def every(db: Database) -> list[Instance]:
    """All numbers, the default first, then by name."""
    return [
        Instance(**row)
        for row in db.rows(
            """
            select
                i.id as instance_id, i.name, i.provider, i.status as instance_status, i.phone_number,
                i.zapi_instance_id, i.agency_id, i.in_pool, i.is_default, i.accepts_new, i.halted_reason,
                i.current_users as people, i.max_users as seats,
                i.webhook_token_hash is not null as has_webhook, i.last_health_check
            from public.whatsapp_instances as i
            order by i.is_default desc, i.name, i.id
            """
        )
    ]


def find(db: Database, name_or_id: str) -> Instance:
    """The number of this name or id. NotFound names some that exist; Conflict where two share it."""
    there = every(db)
    wanted = name_or_id.strip()
    found = [each for each in there if wanted == each.name or wanted.lower() == str(each.instance_id)]
    # Capitals and blanks are easily mistyped, as long as only one number can be meant.
    found = found or [each for each in there if wanted.casefold() == each.name.casefold()]
    if len(found) > 1:
        raise Conflict(f"several numbers are called {wanted!r}: give the id of one (roleta instance list)")
    if not found:
        known = ", ".join(each.name for each in there[:10]) or "there is none yet: roleta instance add NAME"
        raise NotFound(f"there is no number called {wanted!r}; known: {known}")
    return found[0]


def credentials(db: Database, instance_id: UUID, ring: KeyRing | None = None) -> Credentials:
    """The secrets of a Z-API number, opened; NotFound where it has none, CredentialsUnusable where `ring`
    lacks their key."""
    rows = db.rows(
        """
        select i.id as instance_id, i.zapi_instance_id, i.zapi_token, i.zapi_client_token
        from public.whatsapp_instances as i
        where i.id = %(instance_id)s and i.zapi_instance_id is not null and i.zapi_token is not null
        """,
        {"instance_id": instance_id},
    )
    if not rows:
        raise NotFound("this number has no Z-API credentials")
    opened = (ring or KeyRing()).open_instance(rows[0])
    return Credentials(**{each.name: opened[each.name] or "" for each in fields(Credentials)})


def add(
    db: Database,
    name: str,
    secrets: Credentials,
    *,
    by: str,
    ring: KeyRing | None = None,
    phone_number: str | None = None,
    seats: int = 250,
    webhook_token_hash: bytes | None = None,
) -> UUID:
    """A new number of the house, in the pool and active; the first one becomes the default. Its secrets are
    sealed where `ring` has a key."""
    instance_id = uuid4()
    db.call(
        "messaging.add_instance",
        p_name=name,
        p_zapi_instance_id=secrets.zapi_instance_id,
        p_by=by,
        p_phone_number=phone_number,
        p_max_users=seats,
        p_webhook_token_hash=webhook_token_hash,
        p_instance_id=instance_id,
        **_as_arguments(secrets.stored(ring or KeyRing(), instance_id)),
    )
    return instance_id


def import_environment(
    db: Database, secrets: Credentials, *, by: str, ring: KeyRing | None = None
) -> Imported:
    """The number of the ZAPI_* variables as a row (decisions.md A3): made, renewed, or as it was.

    Sealed where `ring` has a key; what stands there and says the same stays as it stands. CredentialsUnusable
    where it is sealed and there is no ring: it must not become plain by an oversight.
    """
    ring = ring or KeyRing()
    for tries_left in reversed(range(IMPORT_TRIES)):
        there = db.rows(
            """
            select i.id as instance_id, i.zapi_token, i.zapi_client_token
            from public.whatsapp_instances as i
            where i.provider = 'zapi' and i.zapi_instance_id = %(zapi_instance_id)s
            order by i.created_at
            limit 1
            """,
            {"zapi_instance_id": secrets.zapi_instance_id},
        )
        instance_id = there[0]["instance_id"] if there else uuid4()
        is_same = bool(there) and _says_the_same(there[0], secrets, ring)
        stored = dict.fromkeys(OF_INSTANCE) if is_same else secrets.stored(ring, instance_id)
        try:
            return Imported(
                **db.call_one(
                    "messaging.import_env_instance",
                    p_zapi_instance_id=secrets.zapi_instance_id,
                    p_by=by,
                    p_instance_id=instance_id,
                    **_as_arguments(stored),
                )
            )
        except Conflict:  # somebody else made or removed it since we looked
            if not tries_left:
                raise
    raise Conflict("this number is being made and removed at the same time: try again")


def _says_the_same(row: Row, secrets: Credentials, ring: KeyRing) -> bool:
    """Whether the row holds these secrets. Where its keys are lost, ours are the better ones."""
    try:
        opened = ring.open_instance(row)
    except CredentialsUnusable:
        if not ring:
            raise
        return False
    return all(opened[column] == secrets.as_row()[column] for column in OF_INSTANCE)


def _as_arguments(stored: Row) -> Row:
    return {f"p_{column}": value for column, value in stored.items()}


def link_profiles(db: Database, instance_id: UUID, limit: int = LINK_BATCH) -> int:
    """Binds up to `limit` profiles without a number, whatever the seats; how many. Repeat until 0."""
    linked: int = db.call_one("messaging.link_profiles", p_instance_id=instance_id, p_limit=limit)[
        "link_profiles"
    ]
    return linked


def set_instance_status(
    db: Database, instance_id: UUID, wanted: InstanceStatus, *, by: str, why: str | None = None
) -> str:
    """Answers what it was before. `active` also lifts what halted the number. Felt by the next claim."""
    return str(
        db.call_one(
            "messaging.set_instance_status", p_instance_id=instance_id, p_status=wanted, p_by=by, p_why=why
        )["set_instance_status"]
    )


def set_accepts_new(
    db: Database, instance_id: UUID, accepts_new: bool, *, by: str, why: str | None = None
) -> None:
    """Whether new people may be given this number; its own stay."""
    db.call(
        "messaging.set_accepts_new", p_instance_id=instance_id, p_accepts_new=accepts_new, p_by=by, p_why=why
    )


def set_seats(db: Database, instance_id: UUID, seats: int, *, by: str) -> int:
    """Answers the people on it now; fewer seats than people moves nobody."""
    people: int = db.call_one("messaging.set_seats", p_instance_id=instance_id, p_max_users=seats, p_by=by)[
        "set_seats"
    ]
    return people


def set_gaps(db: Database, instance_id: UUID, gap_min_s: float, gap_max_s: float, *, by: str) -> None:
    """Seconds between two paced messages, from the next attempt on; those already promised hold."""
    db.call(
        "messaging.set_gaps", p_instance_id=instance_id, p_gap_min_s=gap_min_s, p_gap_max_s=gap_max_s, p_by=by
    )


def set_pace(db: Database, instance_id: UUID, pace: Pace, *, by: str) -> None:
    """set_gaps with the two columns for answers as well."""
    db.call(
        "messaging.set_gaps",
        p_instance_id=instance_id,
        p_by=by,
        **{f"p_{each.name}": getattr(pace, each.name) for each in fields(pace)},
    )


def set_default(db: Database, instance_id: UUID, *, by: str) -> None:
    """The one number that serves profiles without their own. Moves nobody."""
    db.call("messaging.set_default_instance", p_instance_id=instance_id, p_by=by)


def webhook_token_hash(db: Database, instance_id: UUID) -> bytes | None:
    """The sha256 of the secret in this number's webhook address now."""
    rows = db.rows(
        "select i.webhook_token_hash from public.whatsapp_instances as i where i.id = %(instance_id)s",
        {"instance_id": instance_id},
    )
    return bytes(rows[0]["webhook_token_hash"]) if rows and rows[0]["webhook_token_hash"] else None


def begin_webhook_rotation(db: Calls, instance_id: UUID, token_hash: bytes, *, by: str) -> None:
    """This secret is accepted from now on. Before the provider hears of it: so no event comes with a secret
    that we refuse, wherever this is killed and whatever the provider answers."""
    db.call("messaging.begin_webhook_rotation", p_instance_id=instance_id, p_token_hash=token_hash, p_by=by)


def end_webhook_rotation(db: Calls, instance_id: UUID, token_hash: bytes, *, by: str) -> bool:
    """The provider said that it uses this secret: it is the present one. False where another rotation ended
    meanwhile, so that nobody knows which one the provider took last; all are accepted then."""
    ended = db.call_one(
        "messaging.end_webhook_rotation", p_instance_id=instance_id, p_token_hash=token_hash, p_by=by
    )
    return bool(ended["end_webhook_rotation"])


def revoke_previous_webhook(db: Database, instance_id: UUID, *, by: str) -> bool:
    """From now on all secrets but the present one are refused; False where there was none. Conflict while the
    provider has not confirmed the last rotation: it may be using any of them."""
    found = db.call_one("messaging.revoke_previous_webhook_token", p_instance_id=instance_id, p_by=by)
    return bool(found["revoke_previous_webhook_token"])


def evolution_name(db: Database, instance_id: UUID) -> str:
    """What Evolution API calls this number; NotFound where it has no name there."""
    rows = db.rows(
        """
        select i.evolution_instance_name from public.whatsapp_instances as i
        where i.id = %(instance_id)s and i.evolution_instance_name is not null
        """,
        {"instance_id": instance_id},
    )
    if not rows:
        raise NotFound("this number has no instance at Evolution API")
    return str(rows[0]["evolution_instance_name"])


def set_phone_number(db: Database, instance_id: UUID, phone_number: str | None, *, by: str) -> None:
    """The phone that answers on this number, as the provider reports it."""
    db.call("messaging.set_phone_number", p_instance_id=instance_id, p_phone_number=phone_number, p_by=by)


def record_health(
    db: Database, instance_id: UUID, connected: bool | None, refusal: str | None = None, *, by: str
) -> str:
    """What the provider said of the number (None: could not tell); answers its status after that."""
    return str(
        db.call_one(
            "messaging.record_health",
            p_instance_id=instance_id,
            p_connected=connected,
            p_refusal=refusal,
            p_by=by,
        )["record_health"]
    )
