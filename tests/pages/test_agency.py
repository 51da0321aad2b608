"""/agency and /connections: what they say of each number, and that each button acts on exactly one."""

import html
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from edge.pages.cards import card_of, counters
from tests.pages.office import AGENCY, Office
from tests.pages.visitor import Visitor
from tests.waiting import eventually

Connect = Callable[[], psycopg.Connection[tuple[Any, ...]]]
ROW = {
    "client_id": "c",
    "client_label": "Padaria Sol",
    "client_email": None,
    "status": "none",
    "pairing_state": None,
    "phone_number": None,
    "connected_at": None,
    "first_connected_at": None,
    "last_disconnected_at": None,
    "halted_reason": None,
    "waiting": 0,
    "speaks_for": None,
}


def titles(text: str) -> list[str]:
    """The names of the cards that are shown, in order."""
    return [html.unescape(each) for each in re.findall(r'<h[23] id="name-[^"]*">([^<]*)<', text)]


@pytest.mark.parametrize(
    ("changes", "badge", "verb"),
    [
        ({}, "Sem número", "Conectar WhatsApp"),
        ({"status": "pending", "pairing_state": "connecting"}, "Aguardando leitura", "Mostrar código"),
        ({"status": "pending", "pairing_state": "waiting_for_scan"}, "Aguardando leitura", "Mostrar código"),
        ({"status": "pending", "pairing_state": "expired"}, "Sem número", "Conectar WhatsApp"),
        ({"status": "connected", "first_connected_at": 1, "connected_at": 1}, "Conectado", "Reconectar"),
        ({"status": "disconnected", "first_connected_at": 1}, "Desconectado", "Reconectar"),
        (
            {"status": "disconnected", "first_connected_at": 1, "pairing_state": "waiting_for_scan"},
            "Aguardando leitura",
            "Mostrar código",
        ),
    ],
)
def test_a_state_in_words(changes: dict[str, Any], badge: str, verb: str) -> None:
    """Four words for a number, and what its button does; a pairing that nobody finished counts as none."""
    card = card_of(ROW | changes, lambda moment: "hoje" if moment else "")

    assert (card.badge.text, card.verb) == (badge, verb)


@pytest.mark.parametrize(
    ("client_id", "speaks_for", "voice"),
    [
        ("c", "client", "Número do cliente"),
        ("c", "agency", "Número da agência, até o cliente conectar o dele"),
        ("c", None, "Ninguém: falta conectar um número"),
        (None, "agency", "Número da agência"),
        (None, None, "Ninguém: falta conectar este número"),
    ],
)
def test_who_speaks_and_why(client_id: str | None, speaks_for: str | None, voice: str) -> None:
    """The client's own number, or the agency's with the reason, or nobody."""
    row = ROW | {"client_id": client_id, "speaks_for": speaks_for}

    assert card_of(row, lambda _: "").voice == voice


def test_the_counters_add_up() -> None:
    """Connected, disconnected (a pairing under way included) and without a number are all clients."""
    rows = [
        ROW,
        ROW | {"status": "connected", "first_connected_at": 1},
        ROW | {"status": "disconnected", "first_connected_at": 1},
        ROW | {"status": "pending", "pairing_state": "connecting"},
    ]

    assert counters([card_of(row, lambda _: "") for row in rows]) == {
        "clients": 4,
        "connected": 1,
        "disconnected": 2,
        "without": 1,
    }


def test_the_clients_are_shown_by_name(office: Office, visitor: Visitor) -> None:
    """Every client once, in alphabetical order, without the agency's own number."""
    shown = titles(visitor.get("/agency").text)

    assert sorted(shown) == sorted(office.manager.clients)
    assert shown[0] == "Academia Vértice"


SEARCHES: tuple[tuple[str, list[str] | int], ...] = (
    ("padaria", ["Padaria Sol"]),
    ("PETSHOP", ["Pet Shop Amigo"]),
    ("%", []),
    ("_", []),
    ("'; drop table x; --", []),
    ("<script>", []),
    (" ", 8),
)


def test_the_search_without_a_script(visitor: Visitor) -> None:
    """?q= looks into names and e-mails, takes nothing as a pattern, and the counters stay whole."""
    for search, found in SEARCHES:
        answer = visitor.get("/agency", params={"q": search})

        assert answer.status_code == 200
        shown = titles(answer.text)
        assert (len(shown) if isinstance(found, int) else shown) == found, search
        assert '<dd data-counter="clients">8</dd>' in answer.text
        assert "<script>" not in answer.text


def test_the_status_is_sent_again_only_when_it_has_changed(office: Office, visitor: Visitor) -> None:
    """A poll with the version that it has costs an empty answer; a connection begun is news."""
    first = visitor.get("/agency/status.json").json()

    assert len(first["cards"]) == 9
    assert first["cards"][0]["name"] == AGENCY
    assert visitor.get(f"/agency/status.json?version={first['version']}").status_code == 204
    client_id = office.manager.clients["Padaria Sol"]
    visitor.post(f"/clients/{client_id}/connect", on="/agency")
    news = visitor.get(f"/agency/status.json?version={first['version']}").json()
    assert [card["key"] for card in news["cards"] if card["state"] == "pending"] == [str(client_id)]
    assert news["counters"]["disconnected"] == 1


def test_no_credential_is_on_any_page(office: Office, visitor: Visitor) -> None:
    """Neither keys nor the names that Evolution uses are shown; codes only where a pairing is asked for."""
    visitor.post(f"/clients/{office.manager.clients['Padaria Sol']}/connect", on="/agency")
    [instance] = eventually(lambda: [e for e in office.evolution.instances() if e["code"]], 10)

    for path in ("/agency", "/connections", "/reports", "/agency/status.json"):
        text = visitor.get(path).text
        for secret in (office.settings.evolution_key, instance["token"], instance["code"], "data:image/png"):
            assert str(secret) not in text


def connected(office: Office, visitor: Visitor, *labels: str | None) -> None:
    """Numbers that are open."""
    for label in labels:
        visitor.post(office.path(label, "connect"), on="/agency")
        office.scan(label)
    polls = [office.path(label, "connect.json") for label in labels]
    eventually(lambda: all(visitor.get(poll).json()["state"] == "connected" for poll in polls), 15)


@pytest.mark.parametrize("ended", [None, "Padaria Sol"])
def test_bug_27_disconnecting_ends_exactly_one(office: Office, visitor: Visitor, ended: str | None) -> None:
    """The agency's button ends the agency's number and no client's, and the other way round."""
    everyone = (None, "Padaria Sol", "Pet Shop Amigo")
    connected(office, visitor, *everyone)

    path = office.path(ended, "disconnect")
    assert "desconectar" in visitor.get(path).text.lower()
    answer = visitor.post(path, {"back": "/connections"})
    assert answer.headers["location"] == "/connections?notice=disconnected"

    cards = visitor.get("/agency/status.json").json()["cards"]
    keys = {None: "agency"} | {label: str(client_id) for label, client_id in office.manager.clients.items()}
    states = {label: next(c["state"] for c in cards if c["key"] == keys[label]) for label in everyone}
    assert states == {label: "none" if label == ended else "connected" for label in everyone}
    assert len(office.evolution.instances()) == 2


def test_disconnecting_twice_says_so(office: Office, visitor: Visitor) -> None:
    """Whoever comes second reads that there was nothing; the way back is never another site."""
    answer = visitor.post(office.path("Padaria Sol", "disconnect"), {"back": "https://evil.example"})

    assert answer.headers["location"] == "/agency?notice=nothing"


def test_the_notices_stand_where_numbers_are_connected(visitor: Visitor) -> None:
    """Evolution's licence asks for a notice to administrators; WhatsApp's terms stand beside it; every page's
    foot leads there."""
    for path in ("/connections", "/notice"):
        text = visitor.get(path).text
        assert "Este produto usa a Evolution API" in text
        assert "Apache License 2.0 com condições adicionais" in text
        assert "termos do WhatsApp proíbem" in text
    assert 'href="/notice"' in visitor.get("/sign-in", follow_redirects=True).text
