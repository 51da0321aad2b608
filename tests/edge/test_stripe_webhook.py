"""stripe-webhook over HTTP: who is believed, what each event comes to, what is answered."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.db import Database
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.gateway import PERSON, SETTINGS, Number, add_number, serving, sign_up, stored
from tests.edge.stripe_events import (
    CREATED,
    PATH,
    SECRET,
    checkout,
    deliver,
    event,
    signature,
    subscription,
    unpaid_invoice,
)

CONFIGURED = replace(
    SETTINGS,
    stripe_secret_key="sk_test_" + "k" * 24,
    stripe_webhook_secret=SECRET,
    checkout_url="https://example.com/plans",
)
RECEIVED = {"received": True}


@pytest.fixture
def client(db: Database, logs: Logs) -> Iterator[httpx.Client]:
    """A client of a gateway that knows the keys of Stripe; no request may end as an internal error."""
    with serving(db, CONFIGURED) as client:
        yield client
    assert logs.named("request.failed") == []


def texts(db: Database) -> list[tuple[str, str]]:
    """Purpose and text of what was enqueued, oldest first."""
    query = "select purpose, content ->> 'text' as text from messaging.outbox order by id"
    return [(row["purpose"], row["text"]) for row in db.rows(query)]


def profile(db: Database) -> dict[str, Any]:
    """The only profile."""
    [row] = db.rows("select * from public.profiles")
    return row


def test_a_purchase_makes_a_customer_and_welcomes_from_its_own_number(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """200 {"received": true}; name, phone, e-mail of the details, since the metadata has none."""
    answer = deliver(client, checkout())
    assert (answer.status_code, answer.json()) == (200, RECEIVED)
    ana = profile(db)
    assert (ana["phone"], ana["name"], ana["email"]) == (PERSON, "Ana Lima", "ana@example.com")
    assert (ana["status"], ana["plan"], ana["stripe_customer_id"]) == ("active", "essencial", "cus_1")
    assert ana["whatsapp_instance_id"] == number.instance_id
    [(purpose, text)] = texts(db)
    assert purpose == "welcome" and "Ana" in text and "SAIR" in text


def test_what_the_metadata_says_goes_before_what_was_typed_at_the_counter(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Name, phone, e-mail and plan, in any spelling; a phone that is none gives way to the next."""
    said = {"name": "Bia", "phone": "(11) 98765-0002", "email": "bia@example.com", "plan": " Direção "}
    deliver(client, checkout(metadata=said))
    bia = profile(db)
    assert (bia["name"], bia["phone"], bia["email"]) == ("Bia", "5511987650002", "bia@example.com")
    assert (bia["plan"], bia["needs_schedule_setup"]) == ("direcao", True)
    assert "dias da semana e horários" in texts(db)[0][1]
    deliver(client, checkout(metadata={"phone": "ask me"}, subscription="sub_2", customer="cus_2"))
    assert {row["phone"] for row in db.rows("select phone from public.profiles")} == {"5511987650002", PERSON}


def test_a_person_on_trial_is_upgraded_and_one_who_left_is_welcomed_back(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """One profile through a trial, a purchase, an end and another purchase."""
    sign_up(client)
    deliver(client, checkout())
    deliver(client, subscription("deleted", "canceled", 1))
    assert (profile(db)["status"], profile(db)["canceled_at"].timestamp()) == ("canceled", CREATED + 60)
    deliver(client, checkout(subscription="sub_2") | {"created": CREATED + 120})
    assert profile(db)["status"] == "active"
    assert [purpose for purpose, _ in texts(db)] == ["welcome", "upgrade", "farewell", "welcome_back"]
    assert all("Ana" in text for _, text in texts(db))


def test_a_subscription_that_goes_unpaid_is_told_with_a_way_to_mend_it(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The invoice, its second try, and the subscription's own event are one message; paid, it is over."""
    deliver(client, checkout())
    for told in (unpaid_invoice(1), unpaid_invoice(60), subscription("updated", "past_due", 61)):
        assert deliver(client, told).json() == RECEIVED
    assert (profile(db)["status"], profile(db)["payment_failed_at"].timestamp()) == ("past_due", CREATED + 60)
    deliver(client, subscription("updated", "active", 90))
    assert (profile(db)["status"], profile(db)["payment_failed_at"]) == ("active", None)
    [_, (purpose, text)] = texts(db)
    assert purpose == "payment" and "https://example.com/plans" in text


def test_a_resumed_subscription_is_welcomed_back_by_name(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """The name is the profile's: the event has none."""
    deliver(client, checkout())
    deliver(client, subscription("deleted", "canceled", 1))
    deliver(client, subscription("resumed", "active", 2))
    assert texts(db)[-1][0] == "welcome_back" and "Ana" in texts(db)[-1][1]
    assert profile(db)["status"] == "active"


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"phone": PERSON}},
        {"customer": {"id": "cus_9", "metadata": {"phone": f"+{PERSON}"}}},
        {"customer": {"id": "cus_9", "phone": "11987650001"}},
        {"customer": "cus_1"},
        {"customer": {"id": "cus_1", "deleted": True}},
    ],
)
def test_whose_subscription_it_is_is_found_without_asking_stripe(
    client: httpx.Client, db: Database, number: Number, body: dict[str, Any]
) -> None:
    """By the metadata of subscription or customer, else by the customer whom we know."""
    sign_up(client)
    db.rows("update public.profiles set status = 'active', stripe_customer_id = 'cus_1'")
    deliver(client, subscription("deleted", "canceled", id="sub_9", **{"customer": None} | body))
    assert profile(db)["status"] == "canceled"


def test_an_unpaid_purchase_waits_for_its_money(client: httpx.Client, db: Database, number: Number) -> None:
    """Only async_payment_succeeded activates it; async_payment_failed says so, and activates nobody."""
    for kind, status in (("completed", "unpaid"), ("async_payment_failed", "unpaid")):
        assert deliver(client, checkout(kind, id="cs_1", payment_status=status)).json() == RECEIVED
    assert stored(db)["profiles"] == 0 and [purpose for purpose, _ in texts(db)] == ["payment"]
    deliver(client, checkout("async_payment_succeeded", id="cs_1"))
    assert profile(db)["status"] == "active"


def test_no_phone_or_a_bad_one_is_200_with_an_error_and_somebody_must_look(
    client: httpx.Client, db: Database, number: Number, logs: Logs
) -> None:
    """As the original answered: Stripe's trying again would mend nothing."""
    nobody = {"name": "Ana", "phone": None}
    for details, says in ((nobody, "names no phone"), (nobody | {"phone": "12345"}, "no telephone number")):
        answer = deliver(client, checkout(customer_details=details))
        assert (answer.status_code, answer.json()["received"]) == (200, True)
        assert says in answer.json()["error"]
    assert (stored(db)["profiles"], stored(db)["messages"]) == (0, 0)
    assert len(logs.named("stripe.no_phone")) == 2 and "12345" not in logs.text


def test_a_foreign_buyer_is_welcome(client: httpx.Client, db: Database, number: Number) -> None:
    """Ten to fifteen digits of any country, as at the other door."""
    deliver(client, checkout(customer_details={"phone": "+351 912 345 678"}))
    assert (profile(db)["phone"], texts(db)[0][1].startswith("Oi!")) == ("351912345678", True)


def test_without_room_the_customer_is_active_and_the_log_says_so(
    client: httpx.Client, db: Database, logs: Logs
) -> None:
    """Who paid is never turned away; the default number speaks."""
    add_number(db, seats=0)
    assert deliver(client, checkout()).json() == RECEIVED
    assert (profile(db)["status"], profile(db)["whatsapp_instance_id"]) == ("active", None)
    assert len(logs.named("stripe.no_room")) == 1 and len(texts(db)) == 1


@pytest.mark.parametrize(
    "told",
    [
        event("customer.created", {"id": "cus_1", "phone": PERSON}),
        event("invoice.payment_failed", {"id": "in_1", "customer": "cus_1"}),
        subscription("updated", "incomplete"),
        subscription("updated", "canceled"),
        subscription("created", "active"),
        checkout(mode="setup"),
        checkout("expired"),
        {"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found"},
    ],
)
def test_what_changes_nothing_is_received_and_forgotten(
    client: httpx.Client, db: Database, number: Number, told: dict[str, Any]
) -> None:
    """200, so that Stripe does not send it again; nothing stored."""
    assert deliver(client, told).json() == RECEIVED
    assert db.rows("select * from messaging.stripe_events") == []
    assert (stored(db)["profiles"], stored(db)["messages"]) == (0, 0)


@pytest.mark.scoreboard("S3", tier="landing")
def test_a_delivery_repeated_or_at_once_from_8_threads_happens_once(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """Every delivery is received, one has effects."""
    told = checkout()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: deliver(client, told), range(8)))
    answers.append(deliver(client, told))
    assert [(each.status_code, each.json()) for each in answers] == [(200, RECEIVED)] * 9
    counts = stored(db)
    assert (counts["profiles"], counts["seats_taken"], counts["messages"]) == (1, 1, 1)


def test_what_fails_stores_nothing_so_that_stripe_sends_it_again(
    db: Database, number: Number, logs: Logs
) -> None:
    """500 while a table is broken, and the very same event works afterwards."""
    told = checkout()
    with serving(db, CONFIGURED) as client:
        db.rows("alter table messaging.outbox add constraint broken check (purpose <> 'welcome')")
        failed = deliver(client, told)
        assert (failed.status_code, failed.json()["error"]) == (500, "Internal error")
        assert (stored(db)["profiles"], stored(db)["seats_taken"]) == (0, 0)
        db.rows("alter table messaging.outbox drop constraint broken")
        assert deliver(client, told).json() == RECEIVED
    assert stored(db)["messages"] == 1 and SECRET not in logs.text


BODY = json.dumps(checkout()).encode()
BAD_SIGNATURES: dict[str, dict[str, str]] = {
    "none": {},
    "empty": {"stripe-signature": ""},
    "words": {"stripe-signature": "let me in"},
    "not ASCII": {"stripe-signature": "t=1,v1=\u00e9"},
    "no time": {"stripe-signature": signature(BODY).partition(",")[2]},
    "another secret": {"stripe-signature": signature(BODY, "whsec_other")},
    "another body": {"stripe-signature": signature(BODY + b" ")},
    "another time": {"stripe-signature": f"t=1,{signature(BODY).partition(',')[2]}"},
    "too old": {"stripe-signature": signature(BODY, at=time.time() - 400)},
    "the old scheme only": {"stripe-signature": signature(BODY).replace("v1=", "v0=")},
    "a service key": {"authorization": f"Bearer {SETTINGS.service_role_key}"},
}


@pytest.mark.scoreboard("S3", tier="commit")
@pytest.mark.parametrize("name", BAD_SIGNATURES)
def test_only_stripe_is_believed(client: httpx.Client, db: Database, number: Number, name: str) -> None:
    """400 without a good signature of these very bytes; nothing stored, the secret in no answer."""
    before = stored(db)
    headers = [(key.encode(), value.encode("latin-1")) for key, value in BAD_SIGNATURES[name].items()]
    answer = client.post(PATH, content=BODY, headers=headers)
    assert answer.status_code == 400 and "Stripe-Signature" in answer.json()["error"]
    assert stored(db) == before and SECRET not in answer.text


@pytest.mark.scoreboard("S3", tier="commit")
@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(CONFIGURED, stripe_secret_key=None),
        replace(CONFIGURED, stripe_webhook_secret=None),
        replace(CONFIGURED, stripe_webhook_secret=None, stripe_secret_key=None),
    ],
)
def test_missing_keys_are_named_with_500(db: Database, number: Number, settings: Settings) -> None:
    """Stripe goes on trying until they are set, and an unset secret opens to nothing."""
    with serving(db, settings) as client:
        for header in (signature(BODY), signature(BODY, "None"), signature(BODY, "")):
            answer = client.post(PATH, content=BODY, headers={"stripe-signature": header})
            assert answer.status_code == 500 and "STRIPE_" in answer.json()["error"]
            assert "k" * 24 not in answer.text and SECRET not in answer.text
    assert stored(db)["profiles"] == 0


def test_signed_or_not_it_has_no_path_with_a_secret(client: httpx.Client) -> None:
    """{webhook_token} is for the numbers' webhooks; this one is known by its signature alone."""
    assert client.post(f"{PATH}/abc", content=BODY).status_code == 404


@pytest.mark.scoreboard("S3", tier="commit")
def test_one_good_signature_among_several_is_enough(
    client: httpx.Client, db: Database, number: Number
) -> None:
    """While its secret is rotated Stripe signs with both (stripe-python's own rule); a v0 beside them is
    nothing."""
    good = signature(BODY)
    moment, _, v1 = good.partition(",")
    header = f"{moment},v1={'0' * 64},{v1},v0={'0' * 64}"
    answer = client.post(PATH, content=BODY, headers={"stripe-signature": header})
    assert answer.status_code == 200 and stored(db)["messages"] == 1


@pytest.mark.scoreboard("S3", tier="commit")
@pytest.mark.parametrize(("age_s", "status"), [(0, 200), (280, 200), (320, 400), (86_400, 400)])
def test_a_signature_is_good_for_five_minutes(
    client: httpx.Client, db: Database, number: Number, *, age_s: int, status: int
) -> None:
    """Stripe's own tolerance, 300 s: whoever kept a delivery cannot send it again later."""
    header = signature(BODY, at=time.time() - age_s)
    assert client.post(PATH, content=BODY, headers={"stripe-signature": header}).status_code == status
    assert stored(db)["messages"] == (1 if status == 200 else 0)
