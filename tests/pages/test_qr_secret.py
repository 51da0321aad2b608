"""S15: a code to scan opens a number. Who sees it, where it is kept, when it is dead, and what makes one."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from psycopg import sql

from shared import qr
from shared.connections import Connections
from shared.errors import RoletaError
from shared.identity import Verifier
from tests.edge.gateway import FUNCTIONS, NO_AUTHORITIES
from tests.pages.office import PASSWORD, Office, hire
from tests.pages.visitor import Visitor
from tests.waiting import eventually

pytestmark = pytest.mark.scoreboard("S15", tier="landing")

CLIENT = "Loja com entrada própria"
PHONE = "5511987654321"
AS_SCRIPT = {"Accept": "application/json"}
# Whoever may try; only the first sees the code.
PEOPLE = ("manager", "rival", "client", "nobody's", "stranger")
_TABLES = """
    select n.nspname as schema_name, c.relname as table_name
    from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and c.relkind in ('r', 'v', 'm')
    order by 1, 2
"""


@dataclass(frozen=True)
class Shown:
    """What a pairing shows: the code to scan, the one to type, and the picture of the first."""

    code: str
    to_type: str
    picture: str

    def is_in(self, text: str) -> bool:
        """Whether a text gives away any of the three, as it is or as the page writes it."""
        typed = f"{self.to_type[:4]}-{self.to_type[4:]}"
        return any(each in text for each in (self.code, self.to_type, typed, self.picture))


@pytest.fixture
def people(office: Office) -> Iterator[dict[str, Visitor]]:
    """One browser each, signed in as whom PEOPLE says."""
    hire(office.database_url, office.auth, "rival@outra.example", clients=["Loja Rival"], agency="Rival")
    client = office.auth.accounts.add("cliente@padaria.example", PASSWORD)
    office.auth.accounts.add("ninguem@exemplo.example", PASSWORD)
    office.db.rows(
        "insert into public.client_manager_links (client_user_id, manager_id, client_label)"
        " values (%(login)s, %(manager)s, %(label)s) returning 1",
        {"login": client.user_id, "manager": office.manager.user_id, "label": CLIENT},
    )
    office.manager.clients[CLIENT] = client.user_id
    emails = (office.manager.email, "rival@outra.example", client.email, "ninguem@exemplo.example", None)
    with ExitStack() as stack:
        found = {}
        for who, email in zip(PEOPLE, emails, strict=True):
            http = httpx.Client(base_url=office.address, verify=NO_AUTHORITIES, timeout=30)
            found[who] = Visitor(stack.enter_context(http))
            if email is not None:
                answer = found[who].post("/sign-in", {"email": email, "password": PASSWORD})
                assert answer.status_code == 303, who
        yield found


def begin(office: Office, manager: Visitor) -> Shown:
    """A pairing of the client's number, with both kinds of code."""
    manager.post(office.path(CLIENT, "connect"), {"phone": PHONE}, on="/agency", headers=AS_SCRIPT)
    return eventually(lambda: stored_code(office), what="a code")


def stored_code(office: Office, *, other_than: Shown | None = None) -> Shown | None:
    """The code that the pairing has now."""
    rows = office.db.rows("select qr_code, pairing_code from messaging.pairings where qr_code is not null")
    if not rows or (rows[0]["pairing_code"] is None and other_than is None):
        return None
    code = rows[0]["qr_code"]
    found = Shown(code, rows[0]["pairing_code"] or "no code to type", qr.picture(code))
    return None if other_than is not None and code == other_than.code else found


def places_of(office: Office, secret: str) -> list[str]:
    """Every table and view of the database with a row that has this text anywhere in it."""
    found = []
    for row in office.db.rows(_TABLES):
        name = sql.Identifier(row["schema_name"], row["table_name"])
        query = sql.SQL("select count(*) as rows from {} as t where strpos(t::text, %(secret)s) > 0")
        [counted] = office.db.rows(
            query.format(name).as_string(None),
            {"secret": secret},
        )
        found += [name.as_string(None)] * bool(counted["rows"])
    return found


def answers_of(office: Office, visitor: Visitor) -> dict[str, httpx.Response]:
    """Everything that somebody could ask for the client's code."""
    token = visitor.http.cookies.get("roleta_access")
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    csrf = visitor.token("/notice" if token else "/sign-in")
    client_id = str(office.manager.clients[CLIENT])
    path, act = office.path(CLIENT, "connect"), f"{FUNCTIONS}/evolution-whatsapp"
    return {
        "page": visitor.get(path),
        "poll": visitor.get(office.path(CLIENT, "connect.json")),
        "form": visitor.http.post(path, data={"csrf": csrf}, headers=AS_SCRIPT),
        "function": visitor.http.post(
            act, json={"action": "get-qrcode", "client_id": client_id}, headers=bearer
        ),
        "begin": visitor.http.post(
            act, json={"action": "create-instance", "client_id": client_id}, headers=bearer
        ),
    }


def test_its_manager_alone_sees_a_code(office: Office, people: dict[str, Visitor]) -> None:
    """Page, poll, form and function, each asked by the manager, another agency's manager, the client, an
    account without an agency, and nobody: only the first is shown the code; no answer may be kept."""
    shown = begin(office, people["manager"])
    for who, visitor in people.items():
        for what, answer in answers_of(office, visitor).items():
            assert shown.is_in(answer.text) is (who == "manager"), (who, what)
            assert answer.headers.get("cache-control") == "no-store", (who, what)
            if who != "manager":
                assert answer.status_code in (303, 401, 403, 404), (who, what)
    for place in ("/agency", "/connections", "/agency/status.json", "/reports"):
        assert not shown.is_in(people["manager"].get(place).text), place


def test_the_database_shows_a_code_to_its_manager_alone(office: Office, people: dict[str, Visitor]) -> None:
    """By SQL under the same people's rights: the function answers the manager only, the table nobody."""
    shown = begin(office, people["manager"])
    client_id = office.manager.clients[CLIENT]
    verifier = Verifier(office.settings)
    try:
        for who in PEOPLE[:-1]:
            person = verifier.person(people[who].http.cookies["roleta_access"])
            theirs = office.db.as_person(person)
            seen = ""
            try:
                seen = str(theirs.call("messaging.pairing_view", p_client_id=client_id))
            except RoletaError as error:
                assert not shown.is_in(str(error))
            assert shown.is_in(seen) is (who == "manager"), who
            with pytest.raises(RoletaError):
                theirs.rows("select * from messaging.pairings")
    finally:
        verifier.close()


def test_a_code_is_in_its_one_row_and_in_no_log(
    office: Office,
    people: dict[str, Visitor],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While it can be scanned it stands in the pairing's row, where every gateway finds it, and nowhere else:
    not in the stored events, not in what any process logs at any level."""
    caplog.set_level(logging.DEBUG)
    shown = begin(office, people["manager"])
    eventually(lambda: answers_of(office, people["manager"])["poll"].status_code == 200)

    assert places_of(office, shown.code) == ['"messaging"."pairings"']
    assert places_of(office, shown.to_type) == ['"messaging"."pairings"']
    assert places_of(office, shown.picture.partition(",")[2]) == []
    out, err = capfd.readouterr()
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert "connect" in out + err, "the log of the gateway is not seen here"
    assert not shown.is_in("\n".join([out, err, *said]))


def test_a_code_is_dead_once_another_takes_its_place(office: Office, people: dict[str, Visitor]) -> None:
    """The provider's next code replaces it everywhere: no answer and no table has the old one."""
    first = begin(office, people["manager"])
    office.evolution.control("qr_turn", instance=office.instance_name(CLIENT))
    second = eventually(lambda: stored_code(office, other_than=first), 20, "another code")

    answers = answers_of(office, people["manager"])
    assert second.picture in answers["poll"].text
    assert not any(first.code in answer.text or first.picture in answer.text for answer in answers.values())
    assert places_of(office, first.code) == []


def test_a_code_is_dead_once_the_number_is_connected(office: Office, people: dict[str, Visitor]) -> None:
    """After the scan nobody is shown a code, and none is left in the database."""
    shown = begin(office, people["manager"])
    office.scan(CLIENT, PHONE)
    poll = office.path(CLIENT, "connect.json")
    eventually(lambda: people["manager"].get(poll).json()["state"] == "connected", 15)

    for what, answer in answers_of(office, people["manager"]).items():
        assert not shown.is_in(answer.text), what
    assert [places_of(office, each) for each in (shown.code, shown.to_type)] == [[], []]


def test_a_code_is_dead_once_nobody_looks_any_more(office: Office, people: dict[str, Visitor]) -> None:
    """Too old to be scanned it is not shown; once the pairing's time is over the duty removes it, and so does
    a disconnect at once."""
    shown = begin(office, people["manager"])
    office.evolution.control("webhooks", mode="lost")
    office.db.rows("update messaging.pairings set shown_at = shown_at - interval '46 seconds' returning 1")
    assert not shown.is_in(people["manager"].get(office.path(CLIENT, "connect.json")).text)

    office.db.rows("update messaging.pairings set limit_at = now() - interval '1 second' returning 1")
    with Connections(office.db, office.settings) as duty:
        assert duty.remove_leftovers() == 1
    assert places_of(office, shown.code) == []

    again = begin(office, people["manager"])
    people["manager"].post(office.path(CLIENT, "disconnect"), on="/agency")
    assert places_of(office, again.code) == []


def test_only_a_form_makes_a_code(office: Office, people: dict[str, Visitor]) -> None:
    """Looking begins no pairing, whoever looks, and neither does a form without its token: the provider has
    heard of no number."""
    for visitor in people.values():
        for page in ("connect", "connect.json"):
            assert visitor.get(office.path(CLIENT, page)).status_code in (200, 303, 401, 403, 404)
        for csrf in ("", "0" * 64):
            answer = visitor.http.post(office.path(CLIENT, "connect"), data={"csrf": csrf}, headers=AS_SCRIPT)
            assert answer.status_code == 403
        assert visitor.http.get(f"{FUNCTIONS}/evolution-whatsapp").status_code == 405

    assert office.evolution.instances() == []
    assert office.db.rows("select 1 from messaging.pairings") == []
