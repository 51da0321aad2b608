"""Events as Stripe posts them, signed as Stripe signs them (its documentation: "Verify webhook signatures").

In our own shapes: only the fields that we read, and a few that must not matter.
"""

import hashlib
import hmac
import json
import time
import uuid
from typing import Any

import httpx

from tests.edge.gateway import FUNCTIONS, PERSON

SECRET = "whsec_" + "s" * 32
CREATED = 1_790_000_000
PATH = f"{FUNCTIONS}/stripe-webhook"


def event(kind: str, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event around an object."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": kind,
        "created": CREATED,
        "livemode": False,
        "data": {"object": body},
    } | changes


def checkout(kind: str = "completed", **changes: Any) -> dict[str, Any]:
    """checkout.session.<kind>, paid; the changes are of the session."""
    session: dict[str, Any] = {
        "id": f"cs_{uuid.uuid4().hex}",
        "object": "checkout.session",
        "mode": "subscription",
        "payment_status": "paid",
        "customer": "cus_1",
        "subscription": "sub_1",
        "customer_details": {"name": "Ana Lima", "email": "ana@example.com", "phone": f"+{PERSON}"},
        "metadata": {"plan": "essencial"},
    }
    return event(f"checkout.session.{kind}", session | changes)


def subscription(kind: str, status: str = "active", minutes: float = 1, **changes: Any) -> dict[str, Any]:
    """customer.subscription.<kind>, some minutes after the purchase."""
    body = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": status, "metadata": {}}
    return event(f"customer.subscription.{kind}", body | changes, created=CREATED + int(minutes * 60))


def unpaid_invoice(minutes: float = 1, **changes: Any) -> dict[str, Any]:
    """invoice.payment_failed, as the API tells it since March 2025."""
    body = {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_1",
        "parent": {"subscription_details": {"subscription": "sub_1", "metadata": {}}},
    }
    return event("invoice.payment_failed", body | changes, created=CREATED + int(minutes * 60))


def signature(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """The Stripe-Signature header of these bytes."""
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={mac},v0=ignored"


def deliver(client: httpx.Client, told: Any) -> httpx.Response:
    """One signed POST."""
    body = json.dumps(told).encode()
    return client.post(PATH, content=body, headers={"stripe-signature": signature(body)})
