"""Connecting without a browser: what the script is told, and what is refused, in Portuguese."""

from dataclasses import replace
from typing import Any

import httpx

from shared.db import Database
from tests.edge.gateway import NO_AUTHORITIES, serving
from tests.pages.office import Office
from tests.pages.visitor import Visitor
from tests.waiting import eventually

CLIENT = "Padaria Sol"
AS_SCRIPT = {"Accept": "application/json"}


def begin(office: Office, visitor: Visitor, label: str | None = CLIENT, **fields: str) -> httpx.Response:
    """What the dialog does first."""
    return visitor.post(office.path(label, "connect"), fields, on="/agency", headers=AS_SCRIPT)


def state(office: Office, visitor: Visitor, label: str | None = CLIENT) -> Any:
    """What the dialog asks."""
    return visitor.get(office.path(label, "connect.json")).json()


def test_the_script_gets_a_picture_and_when_it_ends(office: Office, visitor: Visitor) -> None:
    """A code drawn by us, the seconds it still works, and the words for its state."""
    begun = begin(office, visitor).json()
    shown = begun if begun["picture"] else eventually(lambda: _with_picture(state(office, visitor)), 10)

    assert shown["picture"].startswith("data:image/png;base64,")
    assert 0 < shown["expires_in_s"] <= 45
    assert (shown["state"], shown["under_way"]) == ("waiting_for_scan", True)
    assert "code" not in shown


def test_a_scan_is_told(office: Office, visitor: Visitor) -> None:
    """After the scan there is no code any more, and nothing left to wait for."""
    begin(office, visitor)
    office.scan(CLIENT)
    shown = eventually(lambda: (now := state(office, visitor))["state"] == "connected" and now, 15)

    assert (shown["text"], shown["picture"], shown["under_way"]) == ("Conectado", None, False)
    assert begin(office, visitor).json()["state"] == "connected"


def test_looking_where_nothing_was_begun__refused(office: Office, visitor: Visitor) -> None:
    """A poll without a pairing is a 404 with a sentence."""
    answer = visitor.get(office.path(CLIENT, "connect.json"))

    assert answer.status_code == 404
    assert "não existe" in answer.json()["error"]


def test_a_phone_that_is_none__refused(office: Office, visitor: Visitor) -> None:
    """Nothing is begun for a phone with a typing error."""
    answer = begin(office, visitor, phone="12345")

    assert answer.status_code == 400
    assert answer.json()["error"] == "Informe o telefone com DDD, como 11 98765-4321."
    assert office.evolution.instances() == []


def test_a_provider_that_refuses_is_told(office: Office, visitor: Visitor) -> None:
    """What Evolution cannot do is a 502 in Portuguese; asked again later, it goes on."""
    office.evolution.control("licence_503")
    refused = begin(office, visitor)
    office.evolution.control("licence_503", on=False)

    assert refused.status_code == 502
    assert "Evolution API" in refused.json()["error"]
    assert begin(office, visitor).status_code == 200


def test_a_server_without_evolution_says_what_to_set(office: Office, db: Database) -> None:
    """Without EVOLUTION_API_URL the button explains what the operator must do."""
    settings = replace(office.settings, evolution_url=None, evolution_key=None)
    with serving(db, settings, []) as http:
        visitor = Visitor(http)
        visitor.sign_in(office.manager)
        path = f"/clients/{office.manager.clients[CLIENT]}/connect"
        answer = visitor.post(path, on="/agency", headers=AS_SCRIPT)

    assert answer.status_code == 400
    assert "EVOLUTION_API_URL" in answer.json()["error"]


def test_without_a_script_the_page_loads_itself_anew(office: Office, visitor: Visitor) -> None:
    """While a scan may come, the plain page asks again by itself; afterwards it rests."""
    begun = visitor.post(office.path(CLIENT, "connect"), on="/agency")
    page = visitor.get(begun.headers["location"])
    assert page.headers["refresh"] == "3"

    office.scan(CLIENT)
    done = eventually(lambda: _settled(visitor.get(begun.headers["location"])), 15)
    assert "Conectado" in done.text


def test_a_stranger_sees_no_code(office: Office, visitor: Visitor) -> None:
    """A pairing's code is a credential: without the manager's session there is none."""
    begin(office, visitor)
    with httpx.Client(verify=NO_AUTHORITIES) as stranger:
        assert stranger.get(office.path(CLIENT, "connect.json")).status_code == 401
        assert stranger.get(office.path(CLIENT, "connect")).status_code == 303


def _with_picture(shown: Any) -> Any:
    return shown if shown["picture"] else None


def _settled(answer: httpx.Response) -> httpx.Response | None:
    return answer if "refresh" not in answer.headers else None
