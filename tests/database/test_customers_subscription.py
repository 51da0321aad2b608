"""What becomes of a subscription: status and text in one transaction, once, and in Stripe's order."""

import uuid

import pytest

from tests.database.customers import PHONE, checkout, person, subscription, texts, with_status
from tests.database.sessions import all_at_once
from tests.database.world import Connect, World

MONTH = 30 * 24 * 60.0


@pytest.fixture
def ana(world: World) -> uuid.UUID:
    """A person who bought sub_1 at minute 0, and whose welcome is out of the way."""
    world.number()
    profile: uuid.UUID = checkout(world)["profile_id"]
    world.rows("select messaging.cancel('test', 'a test', false, p_enqueued_by => 'stripe-webhook')")
    world.rows("delete from messaging.history")
    world.rows("delete from messaging.outbox")
    return profile


def test_an_ended_subscription_is_a_farewell_from_the_persons_own_number(
    world: World, ana: uuid.UUID
) -> None:
    """Once: a second end says nothing more. The seat stays until the profile goes."""
    ended = subscription(world, "ended", 5)
    assert (ended["outcome"], ended["profile_id"], texts(world)) == ("farewell", ana, ["farewell"])
    profile = person(world)
    assert (profile["status"], profile["canceled_at"] is not None) == ("canceled", True)
    message = world.message(ended["message_id"])
    assert (message["purpose"], message["instance_id"]) == ("farewell", profile["whatsapp_instance_id"])
    assert subscription(world, "ended", 6)["outcome"] == "unchanged"
    assert texts(world) == ["farewell"]


def test_a_resumed_subscription_welcomes_back(world: World, ana: uuid.UUID) -> None:
    """Active again, no longer canceled; told once."""
    subscription(world, "ended", 5)
    assert subscription(world, "resumed", 6)["outcome"] == "welcome_back"
    assert (person(world)["status"], person(world)["canceled_at"]) == ("active", None)
    assert subscription(world, "resumed", 7)["outcome"] == "active"
    assert texts(world) == ["farewell", "welcome_back"]


def test_a_missing_payment_is_told_once_in_a_period(world: World, ana: uuid.UUID) -> None:
    """Stripe tries again for weeks and tells each time; the next month is another matter."""
    assert subscription(world, "unpaid", 5)["outcome"] == "payment"
    assert person(world)["status"] == "past_due"
    for minutes in (6, 60, 24 * 60.0, 20 * 24 * 60.0):
        assert subscription(world, "unpaid", minutes)["outcome"] == "payment_again"
    assert subscription(world, "unpaid", 5 + MONTH)["outcome"] == "payment"
    assert texts(world) == ["payment"] * 2


def test_a_payment_that_arrives_clears_everything_and_the_next_failure_is_told(
    world: World, ana: uuid.UUID
) -> None:
    """past_due -> active without a word; then a new failure is news."""
    subscription(world, "unpaid", 5)
    assert subscription(world, "active", 6)["outcome"] == "active"
    assert (person(world)["status"], person(world)["payment_failed_at"]) == ("active", None)
    assert subscription(world, "unpaid", 7)["outcome"] == "payment"
    assert texts(world) == ["payment"] * 2


@pytest.mark.parametrize(
    ("later", "earlier", "status"),
    [("ended", "active", "canceled"), ("active", "unpaid", "active"), ("resumed", "ended", "active")],
)
def test_an_older_event_changes_no_status_and_says_nothing(
    world: World, ana: uuid.UUID, later: str, earlier: str, status: str
) -> None:
    """Stripe promises no order; its own clock tells which came last."""
    subscription(world, later, 10)
    before = texts(world)
    assert subscription(world, earlier, 9)["outcome"] == "stale"
    assert (person(world)["status"], texts(world)) == (status, before)


def test_events_of_one_second_apply_in_the_order_in_which_they_come(world: World, ana: uuid.UUID) -> None:
    """Stripe's clock has whole seconds; a tie is no reason to drop one."""
    subscription(world, "unpaid", 5)
    assert subscription(world, "active", 5)["outcome"] == "active"


def test_the_old_subscription_of_somebody_with_a_new_one_ends_in_peace(world: World, ana: uuid.UUID) -> None:
    """No farewell to a person who pays for another plan, though Stripe speaks of the old one last."""
    checkout(world, 10, subscription_id="sub_2", plan="direcao")
    before = texts(world)
    for change, minutes in (("active", 11), ("unpaid", 12), ("ended", 13)):
        assert subscription(world, change, minutes)["outcome"] == "other_subscription", change
    assert (person(world)["status"], texts(world)) == ("active", before)
    # What decided nothing makes nothing late.
    assert subscription(world, "unpaid", 12, subscription_id="sub_2")["outcome"] == "payment"
    assert subscription(world, "ended", 14, subscription_id="sub_2")["outcome"] == "farewell"
    assert person(world)["payment_failed_at"] is None
    # Another one that begins again is the one that the person lives on.
    assert subscription(world, "resumed", 15)["outcome"] == "welcome_back"
    assert subscription(world, "ended", 16, subscription_id="sub_2")["outcome"] == "other_subscription"


def test_whose_it_is_stands_in_the_purchase_then_in_the_phone_then_in_the_customer(world: World) -> None:
    """The buyer's profile, whatever phone it has now; else the metadata's phone; else the known customer."""
    world.number()
    buyer = checkout(world)["profile_id"]
    world.rows("update public.profiles set phone = '5511987650009' where id = %s", buyer)
    other = world.profile("5511987650002")
    customer = world.profile("5511987650003")
    world.rows("update public.profiles set stripe_customer_id = 'cus_3' where id = %s", customer)
    found = [
        subscription(world, "unpaid", 5, phone="5511987650002")["profile_id"],
        subscription(world, "unpaid", 5, subscription_id="sub_2", phone="551187650002")["profile_id"],
        subscription(world, "unpaid", 5, subscription_id="sub_3", customer_id="cus_3")["profile_id"],
    ]
    assert found == [buyer, other, customer]
    # From here on the phone's owner is a customer whom we know.
    assert world.value("select stripe_customer_id from public.profiles where id = %s", other) == "cus_1"


def test_nobody_we_know_is_no_error_and_may_be_sent_again(world: World) -> None:
    """A subscription of a stranger changes nothing; once the person is known, the same event is handled."""
    world.number()
    lost = subscription(world, "ended", event_id="evt_1", phone=PHONE)
    assert (lost["outcome"], lost["message_id"]) == ("unknown_person", None)
    with_status(world, "active")
    assert subscription(world, "ended", event_id="evt_1", phone=PHONE)["outcome"] == "farewell"
    again = subscription(world, "ended", event_id="evt_1", phone=PHONE)
    assert (again["is_new"], again["outcome"]) == (False, "farewell")


@pytest.mark.parametrize("status", ["trial", "canceled", "inactive", "trial_expired", None])
def test_a_refused_card_takes_nothing_from_somebody_who_does_not_subscribe(
    world: World, status: str | None
) -> None:
    """A first payment that fails at the counter makes no trial past due, and brings nobody back."""
    world.number()
    world.rows("alter table public.profiles alter status drop not null")
    with_status(world, status, stripe_customer_id="cus_1")
    assert subscription(world, "unpaid")["outcome"] == "not_subscribed"
    assert (person(world)["status"], texts(world)) == (status, [])


def test_one_end_from_8_threads_is_one_farewell(world: World, connect: Connect, ana: uuid.UUID) -> None:
    """Deliveries at once, of one event and of eight: one text."""
    subscription(world, "unpaid", 1)
    all_at_once(
        [connect() for _ in range(8)],
        lambda w, n: subscription(w, "ended", 5, event_id="evt_1" if n % 2 else f"evt_e{n}"),
    )
    assert texts(world) == ["payment", "farewell"]


def test_who_never_had_a_number_gets_one_with_the_first_text(world: World) -> None:
    """A person of before the pool is written to from a number of the pool, not from the default one."""
    world.number(seats=0)
    own = world.number()
    with_status(world, "active", stripe_customer_id="cus_1")
    assert world.message(subscription(world, "ended")["message_id"])["instance_id"] == own


def test_a_profile_without_a_phone_changes_its_status_in_silence(world: World) -> None:
    """Nowhere to write to is no reason to keep an ended plan alive."""
    world.number()
    profile = with_status(world, "active", stripe_customer_id="cus_1")
    world.rows("update public.profiles set phone = null where id = %s", profile)
    ended = subscription(world, "ended")
    assert (ended["outcome"], ended["message_id"]) == ("farewell", None)
    assert world.value("select status from public.profiles where id = %s", profile) == "canceled"


@pytest.mark.parametrize(
    ("first", "then", "why"),
    [("unpaid", "active", "the payment is no longer missing"), ("ended", "resumed", "the person is back")],
)
def test_a_text_that_is_overtaken_before_its_turn_is_withdrawn(
    world: World, ana: uuid.UUID, first: str, then: str, why: str
) -> None:
    """Claimed, then the subject changes, then begun: nothing goes."""
    message = subscription(world, first, 5)["message_id"]
    claimed = next(row for row in world.claim() if row.message_id == message)
    subscription(world, then, 6)
    assert (world.begin(claimed)["refusal"], world.state(message)) == (why, "withdrawn")


@pytest.mark.parametrize("change", ["unpaid", "ended"])
def test_a_text_that_is_still_true_goes_and_stands_in_the_history(
    world: World, ana: uuid.UUID, change: str
) -> None:
    """What was accepted is what the person was told."""
    message = subscription(world, change, 5)["message_id"]
    world.record(world.begun(message))
    said = world.value("select content from public.messages where role = 'assistant'")
    assert said == world.message(message)["content"]["text"]


def test_a_refused_purchase_is_told_whatever_became_of_its_buyer(world: World) -> None:
    """The text about a purchase that failed asks for no past_due: nobody is."""
    world.number()
    message = checkout(world, payment="failed")["message_id"]
    world.record(world.begun(message))
    assert world.state(message) == "accepted"
