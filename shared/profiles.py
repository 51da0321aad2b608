"""The Python face of profiles: signing up, finding one, and what a payment changes.

Seat, status and text are SQL's, in one transaction (migrations 0013, 0044-0046).
"""

from dataclasses import dataclass, field
from uuid import UUID

from shared.db import Calls
from shared.errors import Conflict, TooMany
from shared.payments import Checkout, Subscription
from shared.texts_pt import account


@dataclass(frozen=True)
class SignUp:
    """What became of a sign-up. `no_room`: all numbers are full, the default one serves; `message_id` None:
    nothing was enqueued, because the profile existed or there is no number at all."""

    profile_id: UUID
    already_exists: bool
    instance_id: UUID | None
    no_room: bool
    message_id: int | None


@dataclass(frozen=True)
class Limits:
    """How many sign-ups an hour are taken of one phone, of one address, and of all strangers together (in
    percent of the free seats); 0: any number. `address` None: no stranger asks, only the phone counts."""

    address: str | None = field(default=None, repr=False)
    per_phone: int = 0
    per_address: int = 0
    seats_percent: int = 0


_TOO_MANY = {
    "phone": "this phone was signed up too often: try again later",
    "address": "too many sign-ups from this address: try again later",
    "seats": "too many people sign up just now: try again later",
}


def sign_up(
    db: Calls,
    *,
    name: str,
    phone: str,
    email: str | None,
    enqueued_by: str,
    strategy: str = "random",
    run_id: str | None = None,
    limits: Limits = Limits(),
) -> SignUp:
    """Profile, seat and welcome in one transaction; one profile per phone in any of its forms.

    TooMany beyond a limit: nothing was stored. Known phones count as well.
    """
    row = db.call_one(
        "messaging.sign_up_within_limits",
        p_name=name,
        p_phone=phone,
        p_email=email,
        p_welcome_text=account.welcome(name),
        p_enqueued_by=enqueued_by,
        p_strategy=strategy,
        p_run_id=run_id,
        p_address=limits.address,
        p_per_phone=limits.per_phone,
        p_per_address=limits.per_address,
        p_seat_percent=limits.seats_percent,
    )
    refused_by, retry_after_s = row.pop("refused_by"), row.pop("retry_after_s")
    if refused_by == "taken":
        raise Conflict("another profile already has something of this sign-up, such as its e-mail")
    if refused_by is not None:
        raise TooMany(_TOO_MANY[refused_by], retry_after_s=retry_after_s)
    return SignUp(**row)


def profile_of_user(db: Calls, user_id: UUID) -> UUID | None:
    """The profile of an app's user id; None when there is none."""
    found: UUID | None = db.call_one("messaging.profile_of_user", p_user_id=user_id)["profile_of_user"]
    return found


def profile_of_phone(db: Calls, phone: str) -> UUID | None:
    """The profile of a phone in any of its forms; None for a stranger."""
    found: UUID | None = db.call_one("messaging.find_profile", p_phone=phone)["find_profile"]
    return found


@dataclass(frozen=True)
class Contact:
    """How a person is called and where reached; None where the app does not know."""

    profile_id: UUID
    name: str | None = field(repr=False)
    phone: str | None = field(repr=False)


def contact(db: Calls, profile_id: UUID) -> Contact | None:
    """Name and phone of a profile; None for a strange id."""
    rows = db.call("messaging.contact", p_profile_id=profile_id)
    return Contact(**rows[0]) if rows else None


@dataclass(frozen=True)
class Applied:
    """What an event of Stripe came to (the outcomes are messaging.apply_checkout's and apply_subscription's).

    `is_new` False: it was handled before, and came to this then. `no_room`: active without a seat.
    """

    is_new: bool
    outcome: str
    profile_id: UUID | None
    message_id: int | None
    no_room: bool


def apply_payment(
    db: Calls,
    event: Checkout | Subscription,
    *,
    phone: str | None,
    checkout_url: str | None,
    by: str,
    strategy: str = "random",
) -> Applied:
    """A purchase: profile, seat and text in one transaction. A change of a subscription: status and text.

    `phone`: one of the event's phones, normalised. Asked again, it says what the event came to.
    """
    asked: dict[str, object] = {
        "p_event_id": event.event_id,
        "p_type": event.event_type,
        "p_created_at": event.created_at,
        "p_subscription_id": event.subscription_id,
        "p_customer_id": event.customer_id,
        "p_phone": phone,
        "p_enqueued_by": by,
        "p_strategy": strategy,
    }
    name = _known_name(db, event, phone)
    if isinstance(event, Subscription):
        texts = account.subscription(name, checkout_url)
        row = db.call_one("messaging.apply_subscription", **asked, p_change=event.change, p_texts=texts)
    else:
        row = db.call_one(
            "messaging.apply_checkout",
            **asked,
            p_checkout_id=event.checkout_id,
            p_payment=event.payment,
            p_name=event.name,
            p_email=event.email,
            p_plan=event.plan,
            p_texts=account.checkout(name or event.name, checkout_url),
        )
    return Applied(
        is_new=row["is_new"],
        outcome=row["outcome"],
        profile_id=row["profile_id"],
        message_id=row["message_id"],
        no_room=bool(row.get("no_room")),
    )


def _known_name(db: Calls, event: Checkout | Subscription, phone: str | None) -> str | None:
    """Only for the greeting: the transaction looks again whose subscription it is."""
    found: UUID | None = db.call_one(
        "messaging.stripe_profile",
        p_subscription_id=event.subscription_id,
        p_phone=phone,
        p_customer_id=event.customer_id,
    )["stripe_profile"]
    known = contact(db, found) if found is not None else None
    return known.name if known else None
