"""Builders for the tests of erasures: the person everywhere, what must stay, what is being sent."""

import json
import uuid

from tests.database.keeping import LID, NAME, OTHER_FORM, PHONE, WORDS, Person, event, messages, somebody
from tests.database.world import World

EVERYTHING = f"{PHONE}|{OTHER_FORM}|{OTHER_FORM[2:]}|{LID.partition('@')[0]}|{NAME}|quimera|{WORDS}"
# Somebody else.
OTHER = "5531987659876"


def counts(world: World) -> dict[str, object]:
    """What reports count: messages by kind and number, attempts, events, history, people."""
    return {
        name: world.rows(f"select {what}, count(*) from {table} group by 1 order by 1")
        for name, what, table in (
            ("messages", "concat(purpose, instance_id, created_at)", "messaging.outbox"),
            ("attempts", "concat(message_id, outcome, provider_message_id)", "messaging.attempts"),
            ("events", "concat(instance_id, event_key, kind, received_at)", "messaging.inbound_events"),
            ("said", "role", "public.messages"),
            ("people", "user_id", "public.profiles"),
        )
    }


def everywhere(world: World) -> tuple[Person, dict[str, int]]:
    """The person in every table that may hold one, waiting and done, and another who must stay as he is."""
    person = somebody(world)
    event(world, person, "E1")
    event(world, person, "E2", p_phone=LID, p_lid=None, p_payload=json.dumps({"chatLid": LID}))
    event(
        world, person, "E3", p_phone="120363-group", p_lid=None, p_ignored_reason="group_message",
        p_payload=json.dumps({"phone": "120363-group", "participantPhone": OTHER_FORM, "text": WORDS}),
    )  # fmt: skip
    # Her turn was taken, and its answer waits.
    world.rows("select * from messaging.claim_turn('w', 600)")
    made = messages(world, person)
    agency = uuid.uuid4()
    world.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", agency)
    client = world.value(
        "insert into public.client_manager_links (manager_id) values (%s) returning client_user_id", agency
    )
    world.rows(
        "insert into public.whatsapp_report_settings (agency_id, client_id, phone_number, is_active)"
        " values (%s, %s, %s, true)",
        agency, client, PHONE,
    )  # fmt: skip
    world.rows(
        "insert into public.account_balance_alerts (agency_id, client_id, ad_account_id, recipient_phone)"
        " values (%s, %s, 'act_1', %s)",
        agency, client, OTHER_FORM,
    )  # fmt: skip
    world.value("select messaging.take_over(null, messaging.phone_key(%s), 600)", PHONE)
    world.rows(
        "insert into messaging.opt_outs (phone_key, word, opted_out_at, opted_in_at)"
        " values (messaging.phone_key(%s), %s, now(), now())",
        PHONE, WORDS,
    )  # fmt: skip
    return person, made


def in_flight(world: World, person: Person) -> int:
    """The attempt at a message to the person whose text goes into the app's history when it is accepted."""
    message = world.enqueue(
        person.number, purpose="welcome", phone=PHONE, profile_id=str(person.profile_id),
        content={"kind": "text", "text": WORDS},
    )  # fmt: skip
    return world.begun(message)


def report(world: World, phone: str) -> None:
    """An agency's client whose weekly report goes to this phone."""
    agency = uuid.uuid4()
    world.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", agency)
    world.rows(
        "insert into public.whatsapp_report_settings (agency_id, client_id, phone_number, is_active)"
        " select manager_id, client_user_id, %s, true from public.client_manager_links where manager_id = %s",
        phone, world.value(
            "insert into public.client_manager_links (manager_id) values (%s) returning manager_id", agency
        ),
    )  # fmt: skip
