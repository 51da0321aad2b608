"""A purchase: profile, seat and text in one transaction, once, whoever the person was before."""

import psycopg
import pytest

from tests.database.customers import PHONE, checkout, person, subscription, texts, with_status
from tests.database.sessions import all_at_once
from tests.database.world import Connect, World


def test_bug_19_the_welcome_of_a_buyer_leaves_from_the_number_of_a_profile_that_exists(world: World) -> None:
    """The original wrote first, over the environment's number, and made the profile afterwards; and a
    profile that had no number stayed without."""
    default, own = world.number(seats=0), world.number()
    bought = checkout(world)
    message = world.message(bought["message_id"])
    assert (bought["is_new"], bought["outcome"], bought["no_room"]) == (True, "welcome", False)
    assert (message["instance_id"], message["profile_id"]) == (own, bought["profile_id"])
    assert (message["purpose"], message["phone"], message["enqueued_by"]) == (
        "welcome",
        PHONE,
        "stripe-webhook",
    )
    assert world.instance(own)["current_users"] == 1

    world.rows("update public.profiles set whatsapp_instance_id = null")
    again = checkout(world, 5)
    assert (again["outcome"], world.message(again["message_id"])["instance_id"]) == ("upgrade", own)
    assert world.instance(default)["current_users"] == 0


def test_a_new_buyer_is_active_under_the_plan_with_an_id_of_its_own(world: World) -> None:
    """What the original inserted, with the user_id that it forgot (functions 2.12)."""
    world.number()
    checkout(world, plan="direcao")
    ana = person(world)
    assert (ana["status"], ana["plan"], ana["name"]) == ("active", "direcao", "Ana")
    assert (ana["email"], ana["stripe_customer_id"]) == ("ana@example.com", "cus_1")
    assert ana["user_id"] is not None and ana["sessions_used_this_month"] == 0
    today = world.value("select messaging.local_date(messaging.clock())")
    assert ana["sessions_reset_date"] == today


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("trial", "upgrade"),
        ("active", "upgrade"),
        ("trial_expired", "upgrade"),
        ("past_due", "upgrade"),
        ("canceled", "welcome_back"),
        ("inactive", "welcome_back"),
        ("paused", "welcome_back"),
    ],
)
def test_who_was_there_before_is_told_apart(world: World, status: str, says: str) -> None:
    """Returning customers are welcomed back, the others are told of their plan; nobody is new twice."""
    world.number()
    profile = with_status(world, status, canceled_at="2025-01-01", payment_failed_at="2025-01-01")
    bought = checkout(world)
    assert (bought["outcome"], bought["profile_id"], texts(world)) == (says, profile, [says])
    ana = person(world)
    assert (ana["status"], ana["canceled_at"], ana["payment_failed_at"]) == ("active", None, None)


@pytest.mark.parametrize(
    ("plan", "asks"), [("essencial", False), ("direcao", True), ("transformacao", True), ("mensal", False)]
)
def test_plans_with_sessions_ask_for_days_and_times(world: World, plan: str, asks: bool) -> None:
    """And the profile remembers that the answer is missing; the built-in plans need no row."""
    world.number()
    checkout(world, plan=plan)
    assert texts(world) == ["welcome_sessions" if asks else "welcome"]
    assert person(world)["needs_schedule_setup"] is asks


def test_the_apps_own_table_of_plans_decides(world: World) -> None:
    """A plan that the app gave sessions has them, whatever it was sold with once."""
    world.number()
    world.rows(
        "insert into public.plan_configs (plan, sessions_per_month) values ('mensal', 2), ('direcao', 0)"
        " on conflict (plan) do update set sessions_per_month = excluded.sessions_per_month"
    )
    checkout(world, plan="mensal")
    checkout(world, 1, plan="direcao", subscription_id="sub_2")
    assert texts(world) == ["welcome_sessions", "upgrade"]


def test_somebody_with_an_appointment_is_not_asked_for_times(world: World) -> None:
    """Only who has no session to come is asked."""
    world.number()
    profile = with_status(world, "active")
    world.rows(
        "insert into public.sessions (user_id, scheduled_at)"
        " select user_id, messaging.clock() + interval '1 day' from public.profiles where id = %s",
        profile,
    )
    checkout(world, plan="direcao")
    assert (texts(world), person(world)["needs_schedule_setup"]) == (["upgrade"], False)


def test_what_the_person_is_called_and_pays_for_is_kept_where_the_purchase_does_not_say(world: World) -> None:
    """A purchase without name and plan overwrites neither."""
    world.number()
    with_status(world, "trial", plan="direcao")
    checkout(world, name=None, plan=None, email=None)
    ana = person(world)
    assert (ana["name"], ana["plan"]) == ("Ana", "direcao")


def test_an_unpaid_purchase_changes_nothing_until_it_is_paid(world: World) -> None:
    """A payment slip is no payment; its own event later is."""
    world.number()
    waiting = checkout(world, payment="unpaid", checkout_id="cs_1")
    assert (waiting["outcome"], waiting["profile_id"], waiting["message_id"]) == ("unpaid", None, None)
    assert world.value("select count(*) from public.profiles") == 0
    paid = checkout(world, 60, checkout_id="cs_1", type="checkout.session.async_payment_succeeded")
    assert paid["outcome"] == "welcome"


def test_a_payment_that_failed_is_told_and_takes_nothing_away(world: World) -> None:
    """To a stranger over the default number, to somebody active without touching the status."""
    world.number()
    stranger = checkout(world, payment="failed")
    assert (stranger["outcome"], stranger["profile_id"]) == ("payment_refused", None)
    with_status(world, "active")
    checkout(world, 5, payment="failed")
    assert texts(world) == ["payment_refused"] * 2
    assert person(world)["status"] == "active"


def test_both_events_of_one_paid_checkout_are_one_purchase(world: World) -> None:
    """`completed` and `async_payment_succeeded` of one checkout: one text."""
    world.number()
    checkout(world, checkout_id="cs_1")
    second = checkout(world, 1, checkout_id="cs_1")
    assert (second["is_new"], second["outcome"], texts(world)) == (True, "repeated", ["welcome"])


def test_one_event_from_8_threads_is_one_purchase(world: World, connect: Connect) -> None:
    """Stripe delivers at least once; every delivery hears the same."""
    for _ in range(3):
        world.number()
    answers = all_at_once(
        [connect() for _ in range(8)], lambda w, _: checkout(w, event_id="evt_1", checkout_id="cs_1")
    )
    assert sum(row["is_new"] for row in answers) == 1
    assert {(row["outcome"], row["profile_id"]) for row in answers} == {("welcome", person(world)["id"])}
    assert texts(world) == ["welcome"]
    assert world.value("select sum(current_users) from public.whatsapp_instances") == 1


def test_a_trial_and_purchases_of_one_phone_at_once_are_one_person(world: World, connect: Connect) -> None:
    """Both doors make one profile; no deadlock among them."""
    for _ in range(3):
        world.number()
    forms = (PHONE, "551187650001")
    all_at_once(
        [connect() for _ in range(8)],
        lambda w, n: w.sign_up(forms[n // 2 % 2]) if n % 2 else checkout(w, phone=forms[n // 2 % 2]),
    )
    assert world.value("select count(*) from public.profiles") == 1
    assert world.value("select sum(current_users) from public.whatsapp_instances") == 1
    assert person(world)["status"] == "active"


def test_a_phone_that_the_app_may_hold_twice_is_still_one_person(world: World, connect: Connect) -> None:
    """Where an adopted table could have no unique index, both forms at once wait for each other."""
    world.number()
    world.rows("drop index public.profiles_phone_canonical")
    forms = (PHONE, "551187650001")
    all_at_once([connect() for _ in range(8)], lambda w, n: checkout(w, phone=forms[n % 2]))
    assert world.value("select count(*) from public.profiles") == 1


def test_without_a_phone_a_known_customer_is_still_found_and_a_stranger_may_be_sent_again(
    world: World,
) -> None:
    """What found nobody is not held to be done: the same event, sent again by hand, is handled."""
    world.number()
    lost = checkout(world, event_id="evt_1", phone=None)
    assert (lost["outcome"], lost["is_new"]) == ("no_phone", True)
    with_status(world, "canceled", stripe_customer_id="cus_1")
    found = checkout(world, event_id="evt_1", phone=None)
    assert (found["outcome"], found["is_new"], texts(world)) == ("welcome_back", True, ["welcome_back"])


def test_a_full_pool_turns_no_buyer_away(world: World) -> None:
    """No room: the default number speaks, and the answer says so. No number at all: the profile stands."""
    bought = checkout(world)
    assert (bought["outcome"], bought["no_room"], bought["message_id"]) == ("welcome", True, None)
    default = world.number(seats=0)
    again = checkout(world, 1, phone="5511987650002", subscription_id="sub_2")
    assert (again["no_room"], world.message(again["message_id"])["instance_id"]) == (True, default)


def test_an_email_that_the_app_lets_stand_once_keeps_nobody_out(world: World) -> None:
    """A second phone with it becomes a profile without it: who paid is not turned away."""
    world.number()
    world.rows("alter table public.profiles add unique (email)")
    checkout(world, phone="5511987650002")
    assert checkout(world, 1, subscription_id="sub_2")["outcome"] == "welcome"
    assert person(world)["email"] is None
    with_email = checkout(world, 2, phone="5511987650003", email="b@example.com", subscription_id="sub_3")
    known = checkout(world, 3, phone="5511987650003", email="ana@example.com", subscription_id="sub_3")
    assert known["profile_id"] == with_email["profile_id"] and known["outcome"] == "upgrade"


def test_a_late_purchase_does_not_undo_what_came_after_it(world: World) -> None:
    """The end of a subscription that arrives before its beginning ends it; another's end does not."""
    world.number()
    with_status(world, "active", stripe_customer_id="cus_1")
    subscription(world, "ended", 10, subscription_id="sub_old")
    late = checkout(world, 5, subscription_id="sub_old")
    assert (late["outcome"], person(world)["status"]) == ("ended", "canceled")
    new = checkout(world, 6, subscription_id="sub_new")
    assert (new["outcome"], person(world)["status"]) == ("welcome_back", "active")


def test_a_purchase_that_comes_after_the_news_that_it_is_active_still_counts(world: World) -> None:
    """Stripe tells both within a second, in any order: plan and text are the purchase's."""
    world.number()
    with_status(world, "past_due", stripe_customer_id="cus_1")
    assert subscription(world, "active", 10)["outcome"] == "active"
    assert checkout(world, 5, plan="direcao")["outcome"] == "upgrade"
    assert person(world)["plan"] == "direcao"


def test_a_purchase_older_than_a_missing_payment_is_late(world: World) -> None:
    """The same subscription, unpaid since: the purchase no longer says that it is paid."""
    world.number()
    with_status(world, "active", stripe_customer_id="cus_1")
    subscription(world, "unpaid", 10)
    assert checkout(world, 5)["outcome"] == "stale"
    assert person(world)["status"] == "past_due"


@pytest.mark.parametrize(("name", "value"), [("event_id", ""), ("event_id", None), ("payment", "maybe")])
def test_what_is_no_event_is_refused_and_leaves_nothing(world: World, name: str, value: str | None) -> None:
    """WP003, and nothing stored: Stripe may send it again."""
    world.number()
    with pytest.raises(psycopg.Error) as refused:
        checkout(world, 0, **{name: value})
    assert refused.value.sqlstate == "WP003"
    assert world.value("select count(*) from messaging.stripe_events") == 0
