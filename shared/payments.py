"""Stripe's webhook events: whether one is authentic, and what it says, as typed facts. No calls to Stripe.

What an event changes is SQL's (migrations 0044-0046); shared/profiles is its Python face.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from shared.errors import InvalidInput

Payment = Literal["paid", "unpaid", "failed"]
Change = Literal["ended", "resumed", "unpaid", "active"]

_CHECKOUTS = {
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
}
_CHANGES: dict[str, Change] = {
    "customer.subscription.deleted": "ended",
    "customer.subscription.resumed": "resumed",
    "invoice.payment_failed": "unpaid",
}
_UPDATED = "customer.subscription.updated"
# Statuses of a subscription that say whether it is paid; the others are on their way to one of them.
_STATUSES: dict[object, Change] = {
    "active": "active",
    "trialing": "active",
    "past_due": "unpaid",
    "unpaid": "unpaid",
}
# The year 2100: a later moment is no moment.
_LATEST_S = 4_102_444_800
_LONGEST_ID = 255


@dataclass(frozen=True)
class Checkout:
    """A purchase: who bought what, and whether it is paid. `phones` as they were typed, likeliest first."""

    event_id: str
    event_type: str
    created_at: datetime
    checkout_id: str | None
    subscription_id: str | None
    customer_id: str | None
    payment: Payment
    name: str | None = field(repr=False)
    phones: tuple[str, ...] = field(repr=False)
    email: str | None = field(repr=False)
    plan: str | None


@dataclass(frozen=True)
class Subscription:
    """What became of a subscription. `phones` only where its metadata, or the customer's, hold one."""

    event_id: str
    event_type: str
    created_at: datetime
    change: Change
    subscription_id: str | None
    customer_id: str | None
    phones: tuple[str, ...] = field(repr=False)


def verify(raw: bytes, signature: str | None, secret: str) -> None:
    """InvalidInput unless Stripe signed these very bytes with this secret, at most five minutes ago."""
    # Late: it costs a third of a second, and only this function of the gateway needs it.
    import stripe  # noqa: PLC0415

    if not signature:
        raise InvalidInput("the Stripe-Signature header is missing")
    try:
        stripe.WebhookSignature.verify_header(
            raw.decode(), signature, secret, tolerance=stripe.Webhook.DEFAULT_TOLERANCE
        )
    # A header that is not ASCII, or a body that is not UTF-8, makes the library fail rather than refuse.
    except (stripe.SignatureVerificationError, UnicodeError, TypeError):
        raise InvalidInput("the Stripe-Signature does not fit this body, or is too old") from None


def read(event: Mapping[str, Any]) -> Checkout | Subscription | None:
    """The facts of an event; None for a type, or a state, that changes nothing here.

    InvalidInput where an event that should be about a person is not even an event.
    """
    kind, body = event.get("type"), _mapping(_mapping(event.get("data")).get("object"))
    if isinstance(kind, str) and kind in _CHECKOUTS:
        # In mode "setup" a card is stored, and nothing is bought.
        return None if body.get("mode") == "setup" else _checkout(event, kind, body)
    change = _change(kind, body)
    return _subscription(event, str(kind), change, body) if change is not None else None


def _checkout(event: Mapping[str, Any], kind: str, body: Mapping[str, Any]) -> Checkout:
    said, details = _mapping(body.get("metadata")), _mapping(body.get("customer_details"))
    payment: Payment = "unpaid" if body.get("payment_status") == "unpaid" else "paid"
    if kind.endswith("async_payment_failed"):
        payment = "failed"
    return Checkout(
        event_id=_event_id(event),
        event_type=kind,
        created_at=_created_at(event),
        checkout_id=_id(body.get("id")),
        subscription_id=_id(body.get("subscription")),
        customer_id=_id(body.get("customer")),
        payment=payment,
        name=_text(said.get("name"), 120) or _text(details.get("name"), 120),
        phones=_phones(said, details),
        email=_text(said.get("email"), 254)
        or _text(details.get("email"), 254)
        or _text(body.get("customer_email"), 254),
        plan=_plan(said.get("plan")),
    )


def _change(kind: object, body: Mapping[str, Any]) -> Change | None:
    if not isinstance(kind, str):
        return None
    if kind == _UPDATED:
        status = body.get("status")
        return _STATUSES.get(status) if isinstance(status, str) else None
    if kind == "invoice.payment_failed" and _subscription_of_invoice(body) is None:
        # A single invoice is no plan.
        return None
    return _CHANGES.get(kind)


def _subscription(
    event: Mapping[str, Any], kind: str, change: Change, body: Mapping[str, Any]
) -> Subscription:
    invoice = kind.startswith("invoice.")
    customer = _mapping(body.get("customer"))  # an id, but where somebody had it expanded
    return Subscription(
        event_id=_event_id(event),
        event_type=kind,
        created_at=_created_at(event),
        change=change,
        subscription_id=_subscription_of_invoice(body) if invoice else _id(body.get("id")),
        customer_id=_id(body.get("customer")),
        phones=_phones(
            _mapping(body.get("metadata")),
            *(_mapping(each.get("metadata")) for each in _details_of_invoice(body)),
            _mapping(customer.get("metadata")),
            customer,
            {"phone": body.get("customer_phone")},
        ),
    )


def _details_of_invoice(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Where an invoice tells its subscription: since the API of March 2025 under "parent"."""
    yield _mapping(_mapping(body.get("parent")).get("subscription_details"))
    yield _mapping(body.get("subscription_details"))


def _subscription_of_invoice(body: Mapping[str, Any]) -> str | None:
    told = [_id(each.get("subscription")) for each in _details_of_invoice(body)]
    return next((each for each in [_id(body.get("subscription")), *told] if each is not None), None)


def _event_id(event: Mapping[str, Any]) -> str:
    found = _id(event.get("id"))
    if found is None:
        raise InvalidInput("the event has no id")
    return found


def _created_at(event: Mapping[str, Any]) -> datetime:
    seconds = event.get("created")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < _LATEST_S:
        raise InvalidInput("the event has no time: created must be seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: object) -> str | None:
    """An id of Stripe's, also of an object that stands there in full."""
    found = value.get("id") if isinstance(value, dict) else value
    if not isinstance(found, str) or not found.isascii() or not found.isprintable():
        return None
    return found if 0 < len(found) <= _LONGEST_ID else None


def _text(value: object, longest: int) -> str | None:
    """What a person typed: on one line, without what no text column takes, cut where it is endless."""
    if not isinstance(value, str):
        return None
    kept = "".join(each if unicodedata.category(each) not in ("Cc", "Cs") else " " for each in value)
    return " ".join(kept.split())[:longest].rstrip() or None


def _phones(*places: Mapping[str, Any]) -> tuple[str, ...]:
    found: Sequence[str | None] = [_text(place.get("phone"), 60) for place in places]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _plan(value: object) -> str | None:
    """A plan's key, however it was written: "Direção" is direcao."""
    text = unicodedata.normalize("NFKD", (_text(value, 60) or "").casefold())
    return "".join(each for each in text if not unicodedata.combining(each)) or None
