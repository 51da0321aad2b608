"""Sends on the Evolution simulator: who gets them, what each state answers, receipts, media, faults, and the
log that tests judge by (evolution contract 5)."""

import base64
import io
from typing import Any

import httpx
import pytest
import segno

from shared import clock
from tests.contract.evolution_calls import EvolutionCalls

SOMEBODY = "5511999990001"


def _jid(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"]["remoteJid"])


def test_an_acceptance_is_in_the_log_before_it_is_answered(evolution: EvolutionCalls) -> None:
    """One line with instance, recipient, text and the id that was answered."""
    name = evolution.opened("a")
    message_id = evolution.text(name, SOMEBODY, "Olá, João").json()["key"]["id"]

    line = evolution.server.accepted()[0]
    assert (line["instance"], line["phone"], line["kind"]) == (name, SOMEBODY, "text")
    assert (line["text"], line["messageId"]) == ("Olá, João", message_id)
    assert line["remoteJid"] == f"{SOMEBODY}@s.whatsapp.net"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("551199990001", "5511999990001"),
        ("5551987654321", "555187654321"),
        ("5551967654321", "5551967654321"),
        ("5511987654321", "5511987654321"),
        ("5215512345678", "525512345678"),
        ("+55 (11) 99999-0001", SOMEBODY),
    ],
)
def test_the_jid_may_be_another_than_asked(asked: str, answered: str, evolution: EvolutionCalls) -> None:
    """Brazil's ninth digit comes and goes, Mexico's third goes."""
    assert _jid(evolution.text(evolution.opened("a"), asked)) == f"{answered}@s.whatsapp.net"


def test_a_number_is_registered_in_another_form(evolution: EvolutionCalls) -> None:
    """What the look-up gives back wins, and is remembered for both forms."""
    name = evolution.opened("a")
    evolution.control("registered_as", number="5511999990001", **{"as": "551199990001"})
    assert _jid(evolution.text(name, "5511999990001")) == "551199990001@s.whatsapp.net"
    evolution.control("registered_as", number="5511999990001", **{"as": "0"})
    assert _jid(evolution.text(name, "551199990001")) == "551199990001@s.whatsapp.net"


def test_not_on_whatsapp(evolution: EvolutionCalls) -> None:
    """The refusal names the JID; the known number is sent to for seven days whatever has become of it."""
    name = evolution.opened("a")
    assert evolution.text(name, "5511900000000").status_code == 201
    evolution.control("not_on_whatsapp", numbers=["5511900000000", "5511900000001"])
    assert evolution.text(name, "5511900000000").status_code == 201
    refusal = evolution.text(name, "5511900000001")
    jid = "5511900000001@s.whatsapp.net"
    assert refusal.json()["response"]["message"] == [{"jid": jid, "exists": False, "number": "5511900000001"}]

    evolution.control("options", number_cache_s=0)
    assert evolution.text(name, "5511900000000").status_code == 400
    assert len(evolution.server.accepted()) == 2


def test_the_cache_changes_the_error(evolution: EvolutionCalls) -> None:
    """Known and unknown number, in each state that cannot send."""
    evolution.text(evolution.opened("open"), SOMEBODY)
    evolution.create("never")
    evolution.connecting("pairing")
    evolution.opened("removed")
    evolution.control("device_removed", instance="removed")
    undefined = "Cannot read properties of undefined (reading '{}')"
    expected: dict[tuple[str, bool], tuple[int, Any]] = {
        ("never", True): (400, [f"TypeError: {undefined.format('sendMessage')}"]),
        ("never", False): (500, undefined.format("onWhatsApp")),
        ("pairing", True): (400, [f"TypeError: {undefined.format('id')}"]),
        ("pairing", False): (500, undefined.format("find")),
        ("removed", True): (400, ["Error: Connection Closed"]),
        ("removed", False): (500, "Connection Closed"),
    }

    for (name, known), (http_status, message) in expected.items():
        answer = evolution.text(name, SOMEBODY if known else "5511999990002")
        assert (answer.status_code, answer.json()["response"]["message"]) == (http_status, message)
    assert len(evolution.server.accepted()) == 1


def test_a_delay_is_inside_the_answer(evolution: EvolutionCalls) -> None:
    """The caller waits it out, and a look-up that hangs hangs for the scaled minute."""
    evolution.opened("a")
    evolution.connecting("b")
    evolution.control("server", speed=100)
    for name, body, least in (("a", {"delay": 20_000}, 0.2), ("b", {"number": "5511999990002"}, 0.6)):
        began = clock.monotonic()
        evolution.text(name, **body)
        assert least <= clock.monotonic() - began


def test_the_fixed_waits(evolution: EvolutionCalls) -> None:
    """Five seconds for a create with QR, two for a connect, none for a connect that goes on."""
    evolution.control("server", speed=20)
    began = clock.monotonic()
    evolution.create("a", qrcode=True)
    created = clock.monotonic()
    evolution.create("b")
    evolution.ask("GET", "/instance/connect/b")
    connected = clock.monotonic()

    assert created - began >= 5 / 20
    assert connected - created >= 2 / 20


def test_a_qr_is_a_picture_of_its_code(evolution: EvolutionCalls) -> None:
    """Four comma-separated parts, and a PNG that holds just them."""
    shown = evolution.connecting("a")

    assert list(shown) == ["pairingCode", "code", "base64", "count"]
    assert len(shown["code"].split(",")) == 4
    picture = base64.b64decode(shown["base64"].removeprefix("data:image/png;base64,"))
    same = io.BytesIO()
    segno.make_qr(shown["code"], error="m").save(same, kind="png", scale=4, border=4)
    assert picture == same.getvalue()


@pytest.mark.parametrize(("profile", "taken"), [("2.3.6", False), ("2.3.7", False), ("2.4.0", True)])
def test_a_message_id_of_ones_own(profile: str, taken: bool, evolution: EvolutionCalls) -> None:
    """Only 2.4 takes it."""
    evolution.control("server", profile=profile)
    answer = evolution.text(evolution.opened("a"), messageId="3EB0MINE")

    assert (answer.json()["key"]["id"] == "3EB0MINE") is taken


@pytest.mark.parametrize(
    ("fault", "ambiguous", "accepted"),
    [
        ("error_before_accept", True, False),
        ("accept_then_500", True, True),
        ("accept_then_close", True, True),
        ("accept_then_reset", True, True),
        ("accept_then_hang", True, True),
        ("hang", True, False),
        ("close", True, False),
        ("reset", True, False),
        ("truncated", True, True),
        ("garbage", True, True),
        ("slow", False, True),
        ("429", False, False),
    ],
)
def test_planned_faults(fault: str, ambiguous: bool, accepted: bool, evolution: EvolutionCalls) -> None:
    """Each kind goes wrong as it says, is in the log, and was an acceptance or not as the log says."""
    name = evolution.opened("a")
    evolution.control("faults", upcoming=[fault], hang_s=0.05, slow_s=0.05)
    try:
        http_status = evolution.text(name).status_code
    except httpx.HTTPError:
        http_status = 0

    answers = {"error_before_accept": 500, "accept_then_500": 500, "429": 429, "slow": 201}
    assert http_status == answers.get(fault, 0)
    line = evolution.server.faults()[0]
    assert (line["kind"], line["ambiguous"], line["accepted"]) == (fault, ambiguous, accepted)
    assert len(evolution.server.accepted()) == accepted
    assert evolution.text(name).status_code == 201


def test_groups(evolution: EvolutionCalls) -> None:
    """An unknown group is an object turned to text; after the control call it is known."""
    evolution.opened("a")
    group = "120363000000000009@g.us"
    assert evolution.text("a", group).json()["response"]["message"] == ["[object Object]"]
    evolution.control("groups", jids=[group])
    assert _jid(evolution.text("a", group)) == group
