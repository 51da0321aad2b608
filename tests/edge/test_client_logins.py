"""manage-clients makes logins: one for each client, found again where it was made and not linked."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from scripts.local_auth import LocalAuth
from shared.db import Database
from shared.errors import DatabaseUnavailable
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.office import PASSWORD, Office, local_auth, open_office


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


def test_create_makes_a_login_with_the_role_of_a_client_and_links_it(office: Office) -> None:
    """The client may sign in at once, sees no agency, and is the manager's."""
    answer = office.create(client_label="Padaria")
    assert answer.status_code == 200
    client_id = answer.json()["client_id"]
    assert answer.json() == {"success": True, "client_id": client_id, "login": "created"}
    token = office.auth.accounts.sign_in("cliente@example.com", PASSWORD)
    assert token["user"]["id"] == client_id
    assert office.agency.db.rows(
        "select role::text from public.user_roles where user_id = %(client)s", {"client": client_id}
    ) == [{"role": "client"}]
    assert replace(office, token=token["access_token"]).ask("list").status_code == 403
    assert "Padaria" in office.labels()


def test_a_client_without_a_label_is_called_by_its_e_mail(office: Office) -> None:
    """A card needs a name."""
    office.create("loja.do.ze@example.com")
    assert "loja.do.ze" in office.labels()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"email": "a@example.com"},
        {"password": PASSWORD},
        {"email": "", "password": PASSWORD},
        {"email": "  ", "password": PASSWORD},
        {"email": "a@example.com", "password": ""},
        {"email": None, "password": None},
    ],
    ids=str,
)
def test_create_wants_e_mail_and_password(office: Office, fields: dict[str, Any]) -> None:
    """The original's own answer."""
    answer = office.ask("create", **fields)
    assert (answer.status_code, answer.json()) == (400, {"error": "email and password required"})


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "@"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": 7}, "email"),
        ({"password": ["x"]}, "password"),
        ({"password": "short"}, "password"),
        ({"client_label": {"a": 1}}, "client_label"),
        ({"client_label": "x" * 121}, "client_label"),
    ],
    ids=str,
)
def test_create_names_the_field_that_is_wrong(office: Office, fields: dict[str, Any], names: str) -> None:
    """400, the field first; neither a login nor a client is made."""
    answer = office.create(**fields)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{names}: ")
    assert office.auth.accounts.matching("cliente@") == []
    assert office.labels() == ["Cliente 1", "Cliente 2"]


def test_an_e_mail_is_one_client(office: Office) -> None:
    """Twice by the same agency, or by another, or a manager's own: 409, and nothing changes hands."""
    first = office.create().json()["client_id"]
    again = office.create("CLIENTE@example.com", client_label="Outra")
    assert (again.status_code, again.json()) == (409, {"error": "there is a client with this e-mail already"})
    another = office.as_another()
    for email in ("cliente@example.com", f"{office.agency.manager}@example.com"):
        refused = another.create(email)
        assert refused.status_code == 409
        assert "has a login already" in refused.json()["error"]
    assert another.labels() == ["Cliente 1"]
    assert office.create(f"{office.agency.manager}@example.com").status_code == 409
    assert [each["client_id"] for each in office.ask("list").json()["clients"]].count(first) == 1


def test_a_login_that_was_not_linked_is_found_again(
    office: Office, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    """The database goes away in between: the page is told what was made, and the same form sent again ends
    it with the same login."""
    real = Database.call
    away = threading.Event()
    away.set()

    def call(self: Database, function: str, /, **arguments: object) -> list[dict[str, Any]]:
        if function == "messaging.add_client" and away.is_set():
            raise DatabaseUnavailable("the connection was lost")
        return real(self, function, **arguments)

    monkeypatch.setattr(Database, "call", call)
    pending = office.create(client_label="Padaria")
    assert pending.status_code == 503
    assert "the login was made" in pending.json()["error"]
    assert pending.headers["Retry-After"]
    [account] = office.auth.accounts.matching("cliente@example.com")
    assert office.labels() == ["Cliente 1", "Cliente 2"]
    away.clear()
    done = office.create(client_label="Padaria", password="another password")
    assert done.json() == {"success": True, "client_id": str(account.user_id), "login": "existing"}
    assert "Padaria" in office.labels()
    assert PASSWORD not in logs.text


def test_two_creates_at_once_are_one_client(office: Office) -> None:
    """One is answered with success, the others with what became of it."""
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: office.create(client_label="Padaria").status_code, range(4)))
    assert sorted(answers) == [200, 409, 409, 409]
    assert office.labels().count("Padaria") == 1


def test_create_while_the_sign_in_service_is_away__try_again(db: Database, auth: LocalAuth) -> None:
    """503, and nothing was made."""
    with open_office(db, auth) as office:
        assert office.labels() == ["Cliente 1", "Cliente 2"]  # and now the keys are known
        auth.close()
        answer = office.create()
        assert answer.status_code == 503
        assert office.labels() == ["Cliente 1", "Cliente 2"]


def test_create_without_a_service_key__says_what_to_set(db: Database, auth: LocalAuth) -> None:
    """The variable, never a value."""
    with open_office(db, auth, Settings(auth_url=auth.url)) as office:
        answer = office.create()
    assert answer.status_code == 500
    assert "SUPABASE_SERVICE_ROLE_KEY" in answer.json()["error"]


def test_a_removed_client_comes_back_as_the_same_login(office: Office) -> None:
    """The login stays a login: added again by its agency it is the same client, with nothing of before."""
    client_id = office.create().json()["client_id"]
    office.ask("save_accounts", client_id=client_id, accounts=[{"ad_account_id": "act_1"}])
    office.ask("delete", client_id=client_id)
    again = office.create()
    assert again.json() == {"success": True, "client_id": client_id, "login": "existing"}
    [shown] = [each for each in office.ask("list").json()["clients"] if each["client_id"] == client_id]
    assert shown["accounts"] == []
