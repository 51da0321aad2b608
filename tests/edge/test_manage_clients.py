"""manage-clients over HTTP: the agency's page lists, renames and removes clients, and keeps their ad accounts
(functions 4.6). Logins are made in test_client_logins.py."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.local_auth import LocalAuth
from scripts.simulator.evolution.process import EvolutionSimulator
from shared import connections
from shared.connections import Connections
from shared.db import Database
from shared.errors import RoletaError
from shared.settings import Settings
from tests.agency import Agency, pair, provider_state, settings_for
from tests.edge.conftest import Logs
from tests.edge.gateway import serving
from tests.edge.office import Office, local_auth, open_office, settings_of
from tests.waiting import eventually


@pytest.fixture
def auth() -> Iterator[LocalAuth]:
    """The local sign-in."""
    with local_auth() as running:
        yield running


@pytest.fixture
def office(db: Database, auth: LocalAuth, logs: Logs) -> Iterator[Office]:
    """A gateway, and the manager of an agency with two clients."""
    with open_office(db, auth) as opened:
        yield opened
    assert logs.named("request.failed") == []


def test_list_has_the_agency_s_own_clients_with_their_accounts(office: Office) -> None:
    """By label, each with its e-mail and ad accounts; another agency's are not there."""
    made = office.create("Ana@Example.com", client_label="  Ana Lima  ").json()["client_id"]
    office.ask("save_accounts", client_id=made, accounts=[{"ad_account_id": "act_9", "account_name": "Loja"}])
    listed = office.ask("list").json()
    assert listed["success"] is True
    assert [each["client_label"] for each in listed["clients"]] == ["Ana Lima", "Cliente 1", "Cliente 2"]
    shown = listed["clients"][0]
    assert shown.pop("created_at")
    assert shown == {
        "client_id": made,
        "client_label": "Ana Lima",
        "email": "ana@example.com",
        "is_demo": False,
        "accounts": [{"ad_account_id": "act_9", "account_name": "Loja", "provider": "meta_ads"}],
    }
    assert office.as_another().labels() == ["Cliente 1"]


def test_update_changes_the_label(office: Office) -> None:
    """Trimmed."""
    client_id = str(office.agency.clients[1])
    assert office.ask("update", client_id=client_id, client_label=" Açaí ").json() == {"success": True}
    assert office.labels() == ["Açaí", "Cliente 1"]
    for label in ("", "   ", None, 5, "x" * 121):
        answer = office.ask("update", client_id=client_id, client_label=label)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("client_label: ")


@pytest.mark.scoreboard("S16", tier="commit")
@pytest.mark.parametrize("action", ["update", "delete", "save_accounts"])
def test_another_agency_s_client_is_like_none(office: Office, action: str) -> None:
    """The same answer to the letter for a foreign client and for one that never was: 403 for accounts, as
    the original, else 404."""
    other = office.as_another()
    answers = [
        office.ask(action, client_id=str(client_id), client_label="Meu", accounts=[])
        for client_id in (other.agency.clients[0], uuid.uuid4(), other.agency.manager)
    ]
    assert {each.status_code for each in answers} == {403 if action == "save_accounts" else 404}
    assert len({each.text for each in answers}) == 1
    assert other.labels() == ["Cliente 1"]


@pytest.mark.parametrize("action", ["update", "delete", "save_accounts"])
@pytest.mark.parametrize("client_id", [None, "", "abc", 7, ["x"], "11111111-2222"])
def test_an_id_that_is_none__400(office: Office, action: str, client_id: object) -> None:
    """Above all no action without a client falls on the agency itself."""
    answer = office.ask(action, client_id=client_id, client_label="x", accounts=[])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("client_id: ")
    assert office.labels() == ["Cliente 1", "Cliente 2"]


@pytest.mark.parametrize("action", [None, "", "drop", "LIST", 7, ["list"], {"list": 1}])
def test_an_action_that_is_none__400(office: Office, action: object) -> None:
    """The original's own words for it."""
    answer = office.ask(action)
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid action"})


def test_save_accounts_keeps_these_and_no_others(office: Office) -> None:
    """What is not in the list goes, what is there is renamed, twice the same changes nothing."""
    client_id = str(office.agency.clients[0])
    first = [{"ad_account_id": "act_1", "account_name": "Um"}, {"ad_account_id": "act_2"}]
    assert office.ask("save_accounts", client_id=client_id, accounts=first).json() == {
        "success": True,
        "saved": 2,
    }
    second = [
        {"ad_account_id": "act_2", "account_name": " Dois "},
        {"ad_account_id": "g-3", "provider": "google_ads"},
    ]
    for _ in range(2):
        assert office.ask("save_accounts", client_id=client_id, accounts=second).json()["saved"] == 2
    [shown] = [each for each in office.ask("list").json()["clients"] if each["client_id"] == client_id]
    assert sorted(shown["accounts"], key=lambda each: str(each["ad_account_id"])) == [
        {"ad_account_id": "act_2", "account_name": "Dois", "provider": "meta_ads"},
        {"ad_account_id": "g-3", "account_name": None, "provider": "google_ads"},
    ]
    assert office.ask("save_accounts", client_id=client_id, accounts=[]).json()["saved"] == 0


@pytest.mark.parametrize(
    "accounts",
    [
        None,
        "act_1",
        {"ad_account_id": "act_1"},
        ["act_1"],
        [{}],
        [{"ad_account_id": 7}],
        [{"ad_account_id": "  "}],
        [{"ad_account_id": "act 1; drop"}],
        [{"ad_account_id": "act_1", "account_name": 7}],
        [{"ad_account_id": "act_1", "provider": "tiktok"}],
        [{"ad_account_id": "act_1"}, {"ad_account_id": " act_1"}],
        [{"ad_account_id": f"act_{n}"} for n in range(201)],
    ],
    ids=lambda given: str(given)[:40],
)
def test_accounts_that_cannot_be_saved__400_and_nothing_changed(office: Office, accounts: object) -> None:
    """The field is named; the accounts that were there stay."""
    client_id = str(office.agency.clients[0])
    office.ask("save_accounts", client_id=client_id, accounts=[{"ad_account_id": "act_7"}])
    answer = office.ask("save_accounts", client_id=client_id, accounts=accounts)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("accounts: ")
    shown = {each["client_id"]: each["accounts"] for each in office.ask("list").json()["clients"]}
    assert [each["ad_account_id"] for each in shown[client_id]] == ["act_7"]


LEFT_BEHIND = """
    select
        (select count(*) from public.client_manager_links where client_user_id = %(client)s) as links,
        (select count(*) from public.whatsapp_connections where client_id = %(client)s) as connections,
        (select count(*) from public.whatsapp_report_settings where client_id = %(client)s) as settings,
        (select count(*) from public.account_balance_alerts where client_id = %(client)s) as alerts,
        (select count(*) from public.client_ad_accounts where client_id = %(client)s) as accounts,
        (select count(*) from public.whatsapp_report_logs where client_id = %(client)s) as logs
"""


def furnish(agency: Agency, client: uuid.UUID) -> None:
    """Everything that hangs on a client, and a line of its history."""
    given = {"agency": agency.manager, "client": client, "account": f"act_{client.hex[:8]}"}
    for statement in (
        "insert into public.whatsapp_report_settings (agency_id, client_id) values (%(agency)s, %(client)s)",
        "insert into public.client_ad_accounts (client_id, ad_account_id) values (%(client)s, %(account)s)",
        "insert into public.account_balance_alerts (agency_id, client_id, ad_account_id)"
        " values (%(agency)s, %(client)s, %(account)s)",
        "insert into public.whatsapp_report_logs (agency_id, client_id, status)"
        " values (%(agency)s, %(client)s, 'success')",
    ):
        agency.db.rows(statement, given)


def left(agency: Agency, client: uuid.UUID) -> dict[str, int]:
    """What is still there of a client."""
    return agency.db.rows(LEFT_BEHIND, {"client": client})[0]


GONE = {"links": 0, "connections": 0, "settings": 0, "alerts": 0, "accounts": 0, "logs": 1}
WHOLE = {"links": 1, "connections": 1, "settings": 1, "alerts": 1, "accounts": 1, "logs": 1}


def test_bug_31_removing_a_client_leaves_nothing_of_it_but_history(office: Office) -> None:
    """Connection, report settings, alerts and ad accounts go with the link; the log stays; the agency's other
    clients are as they were. Then it is gone: 404."""
    agency = office.agency
    removed, kept = agency.clients
    for client in agency.clients:
        agency.as_manager.call("messaging.begin_connection", p_client_id=client)
        furnish(agency, client)
    assert office.ask("delete", client_id=str(removed)).json() == {"success": True}
    assert left(agency, removed) == GONE
    assert left(agency, kept) == WHOLE
    assert office.labels() == ["Cliente 2"]
    assert office.ask("delete", client_id=str(removed)).status_code == 404


def test_bug_31_a_removal_is_whole_or_not_at_all(office: Office, db: Database) -> None:
    """Where one of its parts cannot go, none has gone."""
    agency = office.agency
    client = agency.clients[0]
    agency.as_manager.call("messaging.begin_connection", p_client_id=client)
    furnish(agency, client)
    db.rows(
        "create table public.invoices ("
        "client_id uuid references public.client_manager_links (client_user_id))"
    )
    db.rows("insert into public.invoices values (%(client)s)", {"client": client})
    # Asked of the database: the answer over HTTP is an internal error, and logged as one.
    with pytest.raises(RoletaError, match="23503"):
        agency.as_manager.call("messaging.remove_client", p_client_id=client)
    assert left(agency, client) == WHOLE


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[EvolutionSimulator]:
    """An Evolution API server."""
    with EvolutionSimulator(
        log=tmp_path / "evolution.jsonl", key="global-key-of-the-test", speed=20
    ) as running:
        yield running


@pytest.fixture
def paired(
    db: Database, auth: LocalAuth, simulator: EvolutionSimulator, logs: Logs
) -> Iterator[tuple[Office, Settings]]:
    """A gateway whose agency's first client has an open number."""
    theirs = settings_for(simulator, 1)
    settings = replace(
        settings_of(auth), evolution_url=theirs.evolution_url, evolution_key=theirs.evolution_key
    )
    with open_office(db, auth, settings) as opened:
        pair(opened.agency, simulator, settings, opened.agency.clients[0])
        yield opened, settings
    assert logs.named("request.failed") == []


def test_bug_31_the_number_is_removed_at_the_provider_too(
    paired: tuple[Office, Settings], simulator: EvolutionSimulator
) -> None:
    """Logged out and deleted there; what waited on it is withdrawn; the number's row stays, silent."""
    office, _ = paired
    client = office.agency.clients[0]
    name, number = office.agency.name(client), office.agency.connection(client)
    assert number is not None
    assert office.ask("delete", client_id=str(client)).json() == {"success": True}
    assert provider_state(simulator, name) is None
    assert office.agency.db.rows(
        "select status from public.whatsapp_instances where id = %(id)s", {"id": number["instance_id"]}
    ) == [{"status": "disconnected"}]


def test_bug_31_a_provider_that_is_away_does_not_stop_the_removal(
    paired: tuple[Office, Settings],
    simulator: EvolutionSimulator,
    db: Database,
    logs: Logs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client is gone at once; the duty removes the number there when the provider is back."""
    office, settings = paired
    client = office.agency.clients[0]
    name = office.agency.name(client)
    away = replace(settings, evolution_url="http://127.0.0.1:1")
    monkeypatch.setattr(connections, "ENDING_WAIT_S", 0.2)
    with serving(db, away) as http:
        answer = replace(office, http=http).ask("delete", client_id=str(client))
    assert answer.json() == {"success": True}
    assert left(office.agency, client)["links"] == 0
    assert provider_state(simulator, name) == "open"
    assert logs.named("left to the duty")

    def removed() -> bool:
        with Connections(db, settings) as duty:
            duty.remove_leftovers()
        return provider_state(simulator, name) is None

    db.rows("update messaging.pairings set asked_at = null, lifecycle_until = null")
    eventually(removed, what="the number removed at the provider")
