"""Purchases over an adopted project: an enum of session states, statuses that may be null, a phone twice."""

import psycopg
import pytest

from scripts.migrate import apply_all, rollback
from shared.errors import WouldDiscardData
from tests.database.customers import checkout, subscription
from tests.database.world import World
from tests.migration.projects import project, silent


def test_purchases_and_ends_work_in_a_project_that_was_there_before(each_server_url: str) -> None:
    """Of both rows of one phone the active one is the customer, and keeps its number; who had none, or no
    status, is served too, and an appointment of the app's own enum counts."""
    with project(each_server_url, plain_owner=True, adopted=True) as found:
        apply_all(found.url, silent)
        with psycopg.connect(found.url, autocommit=True) as connection:
            world = World(connection)
            known = world.rows("select id, whatsapp_instance_id from public.profiles where name = 'Ana'")[0]
            world.rows(
                "insert into public.sessions (user_id, scheduled_at)"
                " select user_id, now() + interval '1 day' from public.profiles where name = 'Ana'"
            )
            bought = checkout(world, phone="551187654321", plan="transformacao", email=None)
            assert (bought["outcome"], bought["profile_id"]) == ("upgrade", known["id"])
            assert bought["instance_id"] == known["whatsapp_instance_id"]
            assert world.message(bought["message_id"])["content"]["text"] == "upgrade"

            left = checkout(world, 1, phone="5521912345678", subscription_id="sub_2", customer_id="cus_2")
            assert left["outcome"] == "welcome_back"
            without = checkout(world, 2, phone="14155550123", subscription_id="sub_3", customer_id="cus_3")
            assert (without["outcome"], without["instance_id"] is not None) == ("upgrade", True)

            world.rows(
                "update public.profiles set status = null, stripe_customer_id = 'cus_5' where name is null"
            )
            ended = subscription(world, "ended", 3, subscription_id="sub_5", customer_id="cus_5")
            assert (ended["outcome"], ended["message_id"]) == ("farewell", None)
            assert subscription(world, "unpaid", 4, subscription_id="sub_2")["outcome"] == "payment"
            assert world.findings() == set()


def test_a_rollback_takes_the_events_and_leaves_the_people(server_url: str) -> None:
    """What was bought stays in the app's tables; the purposes are as they were, with their messages."""
    with project(server_url) as found:
        apply_all(found.url, silent)
        with psycopg.connect(found.url, autocommit=True) as connection:
            world = World(connection)
            world.number()
            checkout(world)
            subscription(world, "ended", 1)
        with pytest.raises(WouldDiscardData, match="stripe_events holds 2 rows"):
            rollback(found.url, "0043.meditations", say=silent)
        rollback(found.url, "0043.meditations", discard_data=True, say=silent)
        with psycopg.connect(found.url, autocommit=True) as connection:
            world = World(connection)
            assert world.value("select status from public.profiles") == "canceled"
            assert world.value("select to_regclass('messaging.stripe_events')") is None
            assert world.value("select still_due from messaging.purposes where purpose = 'farewell'") is None
        apply_all(found.url, silent)
