"""stripe-webhook: what Stripe tells about purchases and subscriptions, each event once, in Stripe's order.

How an event is read stands in shared/payments, what it changes in migrations 0044-0046.
"""

from collections.abc import Iterable

from edge.functions import Answer, Call
from shared import payments, phones, profiles
from shared.errors import InvalidInput, SettingsError


def handle(call: Call) -> Answer:
    """A signed event -> {"received": true}, with "error" where a purchase names no phone to write to.

    400: no signature, or a wrong one; 500: a key is not set (functions 2.12). An event is stored in the
    transaction of its effects: what fails leaves nothing, and Stripe sends it again. A subscription is its
    buyer's, else the phone's in its metadata, else the known customer's; Stripe itself is never asked.
    """
    payments.verify(call.raw, call.headers.get("stripe-signature"), _signing_secret(call))
    event = payments.read(call.body)
    if event is None:
        return {"received": True}
    applied = profiles.apply_payment(
        call.db,
        event,
        phone=_first_phone(event.phones),
        checkout_url=call.settings.checkout_url,
        by="stripe-webhook",
        strategy=call.settings.allocation_strategy,
    )
    facts = {"event_id": event.event_id, "event_type": event.event_type, "outcome": applied.outcome}
    call.log.info(
        "stripe.event",
        **facts,
        is_new=applied.is_new,
        profile_id=applied.profile_id and str(applied.profile_id),
    )
    if applied.no_room:
        call.log.warning("stripe.no_room", **facts)
    if applied.outcome == "no_phone":
        # Somebody paid and cannot be written to: a person must look.
        call.log.error("stripe.no_phone", **facts)
        return {"received": True, "error": _what_is_wrong(event.phones)}
    return {"received": True}


def _signing_secret(call: Call) -> str:
    settings = call.settings
    needed = {
        "STRIPE_SECRET_KEY": settings.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing or settings.stripe_webhook_secret is None:
        call.log.error("stripe.not_set_up", missing=missing)
        raise SettingsError(f"{' and '.join(missing)} not set: stripe-webhook needs both")
    return settings.stripe_webhook_secret


def _first_phone(typed: Iterable[str]) -> str | None:
    """The first that is one: what a form's metadata holds may be worse than what Stripe asked for."""
    for each in typed:
        try:
            return phones.normalize(each)
        except InvalidInput:
            continue
    return None


def _what_is_wrong(typed: tuple[str, ...]) -> str:
    return "the phone of this purchase is no telephone number" if typed else "this purchase names no phone"
