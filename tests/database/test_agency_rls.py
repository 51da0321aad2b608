"""Who sees which row of the agencies' tables, under their own token: row security decides, table by table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from shared.db import AsPerson, Database
from shared.errors import Forbidden
from tests.agency import Agency, found_agency
from tests.identities import person_of

Connect = Callable[[], psycopg.Connection[tuple[Any, ...]]]

# Whose row it is: one for each agency, or one for each client of it.
BY_AGENCY = ("agency_settings", "oauth_connections")
BY_CLIENT = (
    "client_manager_links",
    "whatsapp_connections",
    "whatsapp_report_settings",
    "whatsapp_report_logs",
    "account_balance_alerts",
    "client_ad_accounts",
    "daily_metrics",
)
TABLES = (*BY_CLIENT, *BY_AGENCY)
# Nobody but the service.
HIDDEN = ("oauth_connections",)
# The agency's own affair, although it is about a client.
NOT_FOR_CLIENTS = ("account_balance_alerts", *BY_AGENCY)
FILL: dict[str, LiteralString] = {
    "whatsapp_report_settings": "(agency_id, client_id) values (%(agency)s, %(client)s)",
    "whatsapp_report_logs": "(agency_id, client_id, status) values (%(agency)s, %(client)s, 'success')",
    "account_balance_alerts": "(agency_id, client_id, ad_account_id)"
    " values (%(agency)s, %(client)s, %(client)s)",
    "client_ad_accounts": "(client_id, ad_account_id) values (%(client)s, 'act_1')",
    "daily_metrics": "(client_id, date) values (%(client)s, '2026-11-01')",
    "agency_settings": "(agency_id, agency_name) values (%(agency)s, 'Agência')",
    "oauth_connections": "(manager_id, provider, access_token) values (%(agency)s, 'meta_ads', 'a-token')",
}


@pytest.fixture
def agencies(db: Database) -> list[Agency]:
    """Two agencies with two clients each, a row of every table for each client, and for each agency."""
    founded = [found_agency(db) for _ in range(2)]
    for agency in founded:
        agency.as_manager.call("messaging.begin_connection", p_client_id=None)
        for client in agency.clients:
            agency.as_manager.call("messaging.begin_connection", p_client_id=client)
            _fill(db, BY_CLIENT, agency.manager, client)
        _fill(db, BY_AGENCY, agency.manager, None)
    return founded


def _fill(db: Database, tables: tuple[str, ...], agency: UUID, client: UUID | None) -> None:
    with db.transaction() as transaction:
        for table in tables:
            if table in FILL:
                statement: LiteralString = f"insert into public.{table} {FILL[table]}"
                transaction.rows(statement, {"agency": agency, "client": client})


def owners(theirs: AsPerson | Database, table: str) -> set[object]:
    """Whose rows are seen: of a table by client the clients (None: the agency's own), else the agencies."""
    column = {"client_manager_links": "client_user_id", "oauth_connections": "manager_id"}.get(table)
    column = column or ("agency_id" if table in BY_AGENCY else "client_id")
    query: LiteralString = f"select {column} as owner from public.{table}"
    return {row["owner"] for row in theirs.rows(query)}


@pytest.mark.parametrize("table", TABLES)
def test_the_service_sees_every_row(db: Database, agencies: list[Agency], table: str) -> None:
    """There is something to be hidden in every table, or the tests below would prove nothing."""
    expected: set[object] = set()
    for agency in agencies:
        expected |= {agency.manager} if table in BY_AGENCY else set(agency.clients)
    if table == "whatsapp_connections":
        expected |= {None}
    assert owners(db, table) == expected


@pytest.mark.parametrize("table", [each for each in TABLES if each not in HIDDEN])
def test_a_manager_sees_the_own_agency_s_rows_and_none_of_another(agencies: list[Agency], table: str) -> None:
    """All clients of theirs, the agency's own connection, nothing else."""
    for agency in agencies:
        expected: set[object] = {agency.manager} if table in BY_AGENCY else set(agency.clients)
        if table == "whatsapp_connections":
            expected |= {None}
        assert owners(agency.as_manager, table) == expected


@pytest.mark.parametrize("table", [each for each in TABLES if each not in HIDDEN])
def test_a_client_sees_its_own_rows_alone(db: Database, agencies: list[Agency], table: str) -> None:
    """Not its sisters' at the same agency, nor what is the agency's own affair."""
    for agency in agencies:
        for client in agency.clients:
            expected = set() if table in NOT_FOR_CLIENTS else {client}
            assert owners(db.as_person(person_of(client)), table) == expected


@pytest.mark.parametrize("table", [each for each in TABLES if each not in HIDDEN])
def test_somebody_else_who_signed_in_sees_nothing(db: Database, agencies: list[Agency], table: str) -> None:
    """Neither a stranger's id nor a manager without clients finds a row."""
    founded = found_agency(db, clients=0)
    for user_id in (uuid4(), founded.manager):
        assert owners(db.as_person(person_of(user_id)), table) == set()


@pytest.mark.parametrize("table", HIDDEN)
def test_tokens_of_ad_platforms_are_shown_to_nobody(db: Database, agencies: list[Agency], table: str) -> None:
    """Not even to the manager whose they are."""
    for user_id in (agencies[0].manager, agencies[0].clients[0], uuid4()):
        with pytest.raises(Forbidden):
            owners(db.as_person(person_of(user_id)), table)


@pytest.mark.parametrize("table", TABLES)
def test_anon_may_read_no_table(connect: Connect, agencies: list[Agency], table: str) -> None:
    """Whoever has only the page's key."""
    with as_anon(connect) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"select * from public.{table}".encode())


@pytest.mark.parametrize("table", TABLES)
def test_nobody_writes_a_table_past_our_functions(
    db: Database, connect: Connect, agencies: list[Agency], table: str
) -> None:
    """A manager's or a client's token neither adds, changes nor removes a row, not even of their own."""
    agency = agencies[0]
    [column] = [
        row["name"]
        for row in db.rows(
            "select attname::text as name from pg_attribute"
            " where attrelid = %(table)s::regclass and attnum = 1",
            {"table": f"public.{table}"},
        )
    ]
    for user_id in (agency.manager, agency.clients[0]):
        theirs = db.as_person(person_of(user_id))
        for change in ("insert into {} default values", "update {} set {} = {}", "delete from {}"):
            names = [sql.Identifier("public", table), sql.Identifier(column), sql.Identifier(column)]
            statement: LiteralString = sql.SQL(change).format(*names[: change.count("{}")]).as_string(None)
            with pytest.raises(Forbidden):
                theirs.rows(statement)


@pytest.mark.parametrize(
    "table",
    [f"public.{name}" for name in ("whatsapp_instances", "user_roles", "profiles")]
    + [f"messaging.{name}" for name in ("pairings", "outbox", "senders", "opt_outs")],
)
def test_people_read_none_of_our_own_tables(db: Database, agencies: list[Agency], table: str) -> None:
    """Credentials, codes to scan and messages are shown by functions that look who asks."""
    for user_id in (agencies[0].manager, agencies[0].clients[0]):
        theirs = db.as_person(person_of(user_id))
        statement: LiteralString = f"select * from {table}"
        try:
            seen = theirs.rows(statement)
        except Forbidden:
            continue
        assert seen == []


def test_a_manager_who_was_one_sees_rows_and_does_nothing(db: Database, agencies: list[Agency]) -> None:
    """Without the role no function acts any more, for what is still linked to them."""
    agency = agencies[0]
    with db.transaction() as transaction:
        transaction.rows("delete from public.user_roles where user_id = %(user)s", {"user": agency.manager})
    for function in ("list_clients", "agency_connections", "require_manager"):
        with pytest.raises(Forbidden):
            agency.as_manager.call(f"messaging.{function}")
    with pytest.raises(Forbidden):
        agency.as_manager.call("messaging.remove_client", p_client_id=agency.clients[0])


def test_a_manager_s_functions_act_on_nobody_else_s_client(agencies: list[Agency]) -> None:
    """Bug 23: for a foreign client the very answer of one that never was."""
    mine, other = agencies
    for function, arguments in (
        ("begin_connection", {}),
        ("own_connection", {}),
        ("pairing_view", {}),
        ("end_connection", {}),
        ("rename_client", {"p_client_label": "Meu"}),
        ("remove_client", {}),
        ("save_accounts", {"p_accounts": [{"ad_account_id": "act_9"}]}),
    ):
        said = set()
        for client in (other.clients[0], uuid4()):
            with pytest.raises(Exception, match="client") as refused:
                mine.as_manager.call(f"messaging.{function}", p_client_id=client, **arguments)
            said.add((type(refused.value), str(refused.value)))
        assert len(said) == 1, function


@contextmanager
def as_anon(connect: Connect) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A session with the rights of the page's key alone."""
    connection = connect()
    connection.execute("set role anon")
    yield connection
