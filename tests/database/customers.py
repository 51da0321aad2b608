"""Events of Stripe for the tests of migrations 0044-0046: one purchase, one change of a subscription.

What such an event looks like on the wire is in tests/edge/stripe_events.py.
"""

import json
import uuid

from tests.database.world import Row, World

PHONE = "5511987650001"
KINDS = ("welcome", "upgrade", "welcome_back")
TEXTS = {f"{kind}{more}": f"{kind}{more}" for kind in KINDS for more in ("", "_sessions")} | {
    name: name for name in ("payment_refused", "farewell", "payment")
}
START = "2025-06-10 12:00:00-03"


def _moment(world: World, minutes: float) -> object:
    return world.value("select %s::timestamptz + make_interval(secs => %s)", START, minutes * 60)


def checkout(world: World, minutes: float = 0, **changes: object) -> Row:
    """A paid purchase of Ana's, a checkout and an event of its own unless the changes say otherwise."""
    asked: dict[str, object] = {
        "p_event_id": f"evt_{uuid.uuid4().hex}",
        "p_type": "checkout.session.completed",
        "p_created_at": _moment(world, minutes),
        "p_checkout_id": f"cs_{uuid.uuid4().hex}",
        "p_subscription_id": "sub_1",
        "p_customer_id": "cus_1",
        "p_payment": "paid",
        "p_name": "Ana",
        "p_phone": PHONE,
        "p_email": "ana@example.com",
        "p_plan": "essencial",
    } | {f"p_{name}": value for name, value in changes.items()}
    return _applied(world, "apply_checkout", asked)


def subscription(world: World, change: str, minutes: float = 0, **changes: object) -> Row:
    """A change of Ana's subscription, in an event of its own unless the changes say otherwise."""
    asked: dict[str, object] = {
        "p_event_id": f"evt_{uuid.uuid4().hex}",
        "p_type": {"ended": "customer.subscription.deleted"}.get(change, "customer.subscription.updated"),
        "p_created_at": _moment(world, minutes),
        "p_change": change,
        "p_subscription_id": "sub_1",
        "p_customer_id": "cus_1",
        "p_phone": None,
    } | {f"p_{name}": value for name, value in changes.items()}
    return _applied(world, "apply_subscription", asked)


def _applied(world: World, function: str, asked: dict[str, object]) -> Row:
    asked |= {"p_texts": json.dumps(TEXTS), "p_enqueued_by": "stripe-webhook"}
    named = ", ".join(f"{name} => %s" for name in asked)
    return world.rows(f"select * from messaging.{function}({named})", *asked.values())[0]


def person(world: World) -> Row:
    """Ana's profile."""
    return world.rows("select * from public.profiles where messaging.phone_key(phone) = "
                      "messaging.phone_key(%s)", PHONE)[0]  # fmt: skip


def texts(world: World) -> list[str]:
    """What was enqueued, oldest first."""
    return [
        r["text"] for r in world.rows("select content ->> 'text' as text from messaging.outbox order by id")
    ]


def with_status(world: World, status: str | None, **columns: object) -> uuid.UUID:
    """Ana as the app knows her, in this status."""
    profile = world.profile(PHONE)
    for name, value in ({"status": status} | columns).items():
        world.rows(f"update public.profiles set {name} = %s where id = %s", value, profile)
    return profile
