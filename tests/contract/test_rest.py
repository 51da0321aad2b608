"""What shared/db.py promises holds over PostgREST too, with no rights but service_role's."""

import datetime
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from shared.db import Database
from shared.errors import (
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    InvalidInput,
    NotFound,
    RoletaError,
    SettingsError,
    SetupMissing,
)
from shared.rest import RestDatabase
from shared.webhook_auth import Unauthorized
from tests.contract.postgrest_server import ANON_KEY, SERVICE_KEY, postgrest_server
from tests.identities import person_of

# One process alone pays for importing supabase: two seconds.
pytestmark = pytest.mark.xdist_group("rest")


@pytest.fixture
def rest(database_url: str) -> Iterator[RestDatabase]:
    """The adapter over a stand-in of PostgREST on this test's database."""
    with postgrest_server(database_url) as url:
        database = RestDatabase(url, SERVICE_KEY)
        yield database
        database.close()


def _add_number(rest: RestDatabase) -> UUID:
    added: UUID = rest.call_one(
        "messaging.add_instance",
        p_name="Aura #1",
        p_zapi_instance_id="number-1",
        p_zapi_token="token-of-number-1",
        p_zapi_client_token="client-token",
        p_by="test",
        p_webhook_token_hash=b"\x01" * 32,
    )["add_instance"]
    return added


def test_a_message_goes_its_whole_way_with_service_role_alone(rest: RestDatabase) -> None:
    """Sign-up, claim, begin, record, receipt and explanation need no right on any table."""
    instance = _add_number(rest)
    signed_up = rest.call_one(
        "messaging.sign_up",
        p_name="Ana",
        p_phone="5511900000001",
        p_email=None,
        p_welcome_text="Oi, Ana",
        p_enqueued_by="test",
    )
    [claimed] = rest.call("messaging.claim", p_worker="w", p_limit=5)
    begun = rest.call_one(
        "messaging.begin_attempt",
        p_message_id=claimed["message_id"],
        p_lease_token=claimed["lease_token"],
        p_worker="w",
    )
    rest.call(
        "messaging.record_attempt",
        p_attempt_id=begun["attempt_id"],
        p_outcome="accepted",
        p_provider_message_id="wa-1",
    )
    applied = rest.call_one(
        "messaging.apply_receipt",
        p_instance_id=instance,
        p_provider_message_id="wa-1",
        p_receipt="delivered",
        p_happened_at=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
    )["apply_receipt"]
    told = rest.call_one("messaging.explain", p_message_id=claimed["message_id"])["explain"]

    assert signed_up["message_id"] == claimed["message_id"] == applied
    assert begun["content"] == {"kind": "text", "text": "Oi, Ana"}
    assert told["dispatch_state"] == "accepted"
    assert told["delivery_state"] == "delivered"


def test_values_come_out_as_from_a_direct_connection(rest: RestDatabase, db: Database) -> None:
    """Ids, moments, numbers and bytes have the same types and values over both ways."""
    _add_number(rest)

    over_rest = rest.call("messaging.pool_overview")
    directly = db.call("messaging.pool_overview")

    assert over_rest[0]["instance_id"] == directly[0]["instance_id"]
    assert float(over_rest[0]["gap_min_s"]) == float(directly[0]["gap_min_s"])
    assert rest.call("messaging.webhook_instance", p_token_hash=b"\x01" * 32)[0]["instance_name"] == "Aura #1"
    assert rest.call("messaging.webhook_instance", p_token_hash=b"\x02" * 32) == []


def test_a_function_without_an_answer_answers_none(rest: RestDatabase) -> None:
    """A void function's row is its name and None."""
    instance = _add_number(rest)

    answer = rest.call(
        "messaging.set_gaps", p_instance_id=instance, p_gap_min_s=1, p_gap_max_s=2.5, p_by="test"
    )

    assert answer == [{"set_gaps": None}]


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("messaging.claim", {"p_worker": ""}, InvalidInput),
        ("messaging.explain", {"p_message_id": 404}, NotFound),
        ("messaging.explain", {"p_message_id": "no number"}, InvalidInput),
        ("messaging.no_such_function", {}, SetupMissing),
        # An internal function: service_role may not execute it.
        ("messaging.wake", {"p_instance_id": str(uuid4())}, SetupMissing),
    ],
)
def test_errors_have_the_same_classes(
    rest: RestDatabase, function: str, arguments: dict[str, object], error: type[RoletaError]
) -> None:
    """What SQL raises becomes the class that a direct connection gives."""
    with pytest.raises(error):
        rest.call(function, **arguments)


def test_no_error_carries_a_value_of_a_row(rest: RestDatabase) -> None:
    """A refused row's values, which PostgREST puts into its details, stay out of our errors."""
    _add_number(rest)

    with pytest.raises((Conflict, InvalidInput, RoletaError)) as refused:
        rest.call(
            "messaging.add_instance",
            p_name="Aura #2",
            p_zapi_instance_id="number-2",
            p_zapi_token="canary-token-0123456789",
            p_zapi_client_token=None,
            p_by="test",
        )

    assert "canary" not in str(refused.value)


def test_a_gateway_that_is_away_is_unavailable() -> None:
    """No answer is DatabaseUnavailable, so that callers retry or wait."""
    with postgrest_server("postgresql://127.0.0.1:1/none?connect_timeout=1") as url:
        behind_nothing = RestDatabase(url, SERVICE_KEY)
        with pytest.raises(DatabaseUnavailable):
            behind_nothing.call("messaging.ready_in_s")
    with pytest.raises(DatabaseUnavailable):
        behind_nothing.call("messaging.ready_in_s")
    behind_nothing.close()


def test_a_wrong_key_is_refused(database_url: str) -> None:
    """Without the service key nothing can be called."""
    with postgrest_server(database_url) as url:
        stranger = RestDatabase(url, "another-key")
        with pytest.raises(RoletaError):
            stranger.call("messaging.ready_in_s")
        stranger.close()


def test_a_person_s_calls_go_under_their_own_token(database_url: str, db: Database) -> None:
    """The person's token as bearer, the anon key beside it: the database sees the person, not the service."""
    manager, client = person_of(uuid4()), person_of(uuid4())
    _make_manager(db, manager.user_id)
    tokens = {manager.token: manager.claims, client.token: client.claims}
    with postgrest_server(database_url, tokens) as url:
        rest = RestDatabase(url, SERVICE_KEY, anon_key=ANON_KEY)
        theirs = rest.as_person(manager)
        assert theirs.call_one("messaging.require_manager") == {"require_manager": str(manager.user_id)}
        with pytest.raises(Forbidden, match="only a manager"):
            theirs.as_person(client).call("messaging.require_manager")
        # What only the service may call.
        with pytest.raises(Forbidden):
            theirs.call("messaging.ready_in_s")
        # The service is what it was.
        assert rest.call("messaging.ready_in_s")
        with pytest.raises(SetupMissing):
            rest.call("messaging.require_manager")
        rest.close()


def test_a_token_that_postgrest_refuses__unauthorized(database_url: str) -> None:
    """Such as one that ended between our check and its own: the person signs in again."""
    with postgrest_server(database_url) as url:
        rest = RestDatabase(url, SERVICE_KEY, anon_key=ANON_KEY)
        with pytest.raises(Unauthorized):
            rest.as_person(person_of(uuid4())).call("messaging.require_manager")
        rest.close()


def test_people_need_the_anon_key() -> None:
    """Supabase's gateway asks for it; the message names the variable."""
    rest = RestDatabase("http://127.0.0.1:1", SERVICE_KEY)
    with pytest.raises(SettingsError, match="SUPABASE_ANON_KEY"):
        rest.as_person(person_of(uuid4()))
    rest.close()


def _make_manager(db: Database, user_id: UUID) -> None:
    with db.transaction() as transaction:
        transaction.rows(
            "insert into public.user_roles (user_id, role) values (%(user)s, 'manager')", {"user": user_id}
        )
