"""No message leaves through another tenant's number, from whichever door it comes (S17)."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.db import Calls, Database
from shared.errors import Forbidden, RoletaError
from tests.agency import Agency, found_agency
from tests.identities import person_of

pytestmark = pytest.mark.scoreboard("S17", tier="commit")

TEXT = {"kind": "text", "text": "Oi"}


def connected(agency: Agency, client: UUID | None) -> UUID:
    """The number of an agency or a client, open."""
    number: UUID = agency.as_manager.call_one("messaging.begin_connection", p_client_id=client)["instance_id"]
    agency.db.call("messaging.record_health", p_instance_id=number, p_connected=True)
    return number


def house_number(db: Database) -> UUID:
    """A number of the pool, which is the default one."""
    found = db.call_one(
        "messaging.add_instance",
        p_name="Aura",
        p_zapi_instance_id="A1",
        p_zapi_token="token",
        p_zapi_client_token="client",
        p_by="test",
    )
    number: UUID = found["add_instance"]
    return number


def profile_on(db: Database, number: UUID) -> UUID:
    """A person of the house whom some program bound to this number."""
    [row] = db.rows(
        "insert into public.profiles (user_id, name, phone, whatsapp_instance_id)"
        " values (gen_random_uuid(), 'Ana', '5511987654321', %(number)s) returning id",
        {"number": number},
    )
    profile: UUID = row["id"]
    return profile


def message_through(db: Database, **fields: object) -> dict[str, Any]:
    """What is stored of one message of the house."""
    wanted = {
        "purpose": "direct",
        "phone": "5511987654321",
        "content": TEXT,
        "dedupe_key": uuid4().hex,
        "enqueued_by": "test",
    } | fields
    [made] = db.call("messaging.enqueue_many", p_messages=[wanted])
    return db.rows(
        "select instance_id, agency_id from messaging.outbox where id = %(id)s", {"id": made["message_id"]}
    )[0]


@pytest.mark.parametrize("whose", ["agency", "client"])
def test_the_house_does_not_speak_through_an_agency_s_number(db: Database, whose: str) -> None:
    """Not even to a person whom a program bound to it, by id or by phone: the default number speaks."""
    house, agency = house_number(db), found_agency(db)
    foreign = connected(agency, None if whose == "agency" else agency.clients[0])
    profile = profile_on(db, foreign)
    for fields in ({"profile_id": str(profile)}, {}):
        assert message_through(db, **fields) == {"instance_id": house, "agency_id": None}


def test_the_roulette_draws_no_number_of_an_agency(db: Database) -> None:
    """Without a house number there is none, however many agencies have room."""
    agency = found_agency(db)
    for client in (None, *agency.clients):
        connected(agency, client)
    db.rows("update public.whatsapp_instances set max_users = 250, accepts_new = true returning 1")
    [row] = db.rows(
        "insert into public.profiles (user_id, name, phone)"
        " values (gen_random_uuid(), 'Ana', '5511987654321') returning id"
    )
    drawn = db.call_one("public.allocate_whatsapp_instance", p_profile_id=row["id"])
    assert drawn["allocate_whatsapp_instance"] is None


def test_people_enqueue_nothing_by_themselves(db: Database) -> None:
    """No token of a person reaches the outbox but through a function that knows the tenant: not for another's
    number, profile or client, and not for their own."""
    agency, other = found_agency(db), found_agency(db)
    own, foreign = connected(agency, None), connected(other, other.clients[0])
    house = profile_on(db, house_number(db))
    stranger = db.as_person(person_of(uuid4()))
    for theirs in (agency.as_manager, db.as_person(person_of(agency.clients[0])), stranger):
        for fields in (
            {"instance_id": str(foreign)},
            {"instance_id": str(own)},
            {"profile_id": str(house)},
            {"facts": {"client_id": str(other.clients[0])}},
        ):
            with pytest.raises(Forbidden):
                theirs.call("messaging.enqueue_many", p_messages=[{"purpose": "direct", **fields}])
    assert db.rows("select id from messaging.outbox") == []


def test_another_tenant_s_speaker_is_nobody_s(db: Database) -> None:
    """Of two agencies, each asking for the other's client gets its own number or none."""
    one, two = found_agency(db), found_agency(db)
    numbers = {agency.manager: connected(agency, None) for agency in (one, two)}
    for agency, other in ((one, two), (two, one)):
        connected(agency, agency.clients[0])
        spoken = db.call_one(
            "messaging.choose_speaker", p_agency_id=agency.manager, p_client_id=other.clients[0]
        )
        assert spoken["instance_id"] in (None, numbers[agency.manager])


def test_no_call_of_a_manager_reports_or_alerts_for_another_s_client(db: Database) -> None:
    """Report now, settings, deliveries, alerts, accounts: a foreign client and none get the same answer, and
    nothing is stored."""
    one, two = found_agency(db), found_agency(db)
    calls: list[tuple[str, dict[str, object]]] = [
        ("report_now", {}),
        ("save_report_settings", {"p_settings": {"frequency": "daily", "phone_number": "5511987650001"}}),
        ("save_balance_alerts", {"p_alerts": []}),
        ("begin_connection", {}),
        ("end_connection", {}),
        ("pairing_view", {}),
        ("remove_client", {}),
    ]
    for function, arguments in calls:
        answers = {
            answer_of(one.as_manager, function, client, arguments) for client in (two.clients[0], uuid4())
        }
        assert len(answers) == 1, function
    assert two.connection(two.clients[0]) is None
    assert db.rows("select id from public.whatsapp_report_settings") == []
    assert len(db.rows("select id from public.client_manager_links")) == 4


def answer_of(theirs: Calls, function: str, client: UUID, arguments: dict[str, object]) -> str:
    """What is said of one call, without the id that was asked with."""
    try:
        return repr(theirs.call(f"messaging.{function}", p_client_id=client, **arguments))
    except RoletaError as error:
        return f"{type(error).__name__}: {error}".replace(str(client), "ID")
