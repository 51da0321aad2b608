"""The Evolution simulator's state machine (evolution contract 7): memory, database and webhooks, which say
different things on purpose."""

import pytest

from tests.contract.evolution_calls import OWN_PHONE, EvolutionCalls, opened_quietly, said
from tests.contract.receiver import Receiver
from tests.waiting import eventually

CLOSING = {"status.instance", "logout.instance", "connection.update close"}


def test_create_connect_turn_scan(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """close, connecting, connecting, open; the database follows at the first QR; counts go up."""
    evolution.create("a", receiver.url)
    assert (evolution.state("a"), evolution.database_state("a")) == ("close", "close")

    assert evolution.ask("GET", "/instance/connect/a").json()["count"] == 1
    assert (evolution.state("a"), evolution.database_state("a")) == ("connecting", "connecting")

    evolution.control("qr_turn", instance="a")
    assert evolution.ask("GET", "/instance/connect/a").json()["count"] == 2

    evolution.scan("a")
    assert evolution.database_state("a") == "open"
    assert evolution.listed("a")["ownerJid"] == f"{OWN_PHONE}@s.whatsapp.net"
    evolution.quiet()
    assert said(receiver) == [
        "instance.create",
        "connection.update connecting",
        "qrcode.updated",
        "qrcode.updated",
        "connection.update connecting",
        "connection.update open",
    ]


def test_connect_answers_pending_while_the_code_is_slow(evolution: EvolutionCalls) -> None:
    """`{"count":0}` under 200 until the QR is there; then the QR, at once."""
    evolution.control("slow_qr", seconds=100)
    evolution.create("a")
    assert evolution.ask("GET", "/instance/connect/a").json() == {"count": 0}
    assert evolution.ask("GET", "/instance/connect/a").json() == {"count": 0}
    eventually(lambda: evolution.ask("GET", "/instance/connect/a").json().get("code"))


def test_a_number_gives_a_pairing_code(evolution: EvolutionCalls) -> None:
    """Eight characters beside the QR; ignored where the instance is connecting already."""
    evolution.create("a")
    first = evolution.ask("GET", f"/instance/connect/a?number={OWN_PHONE}").json()
    assert len(first["pairingCode"]) == 8
    evolution.connecting("b")
    assert evolution.ask("GET", f"/instance/connect/b?number={OWN_PHONE}").json()["pairingCode"] is None


@pytest.mark.parametrize("control", ["drop", "replaced"])
def test_a_lost_socket_posts_no_close(control: str, evolution: EvolutionCalls, receiver: Receiver) -> None:
    """connecting, then open; the database says open all the time."""
    name = opened_quietly(evolution, receiver)
    evolution.control(control, instance=name, seconds=100)
    assert (evolution.state(name), evolution.database_state(name)) == ("connecting", "open")
    evolution.until(name, "open")
    evolution.quiet()

    assert said(receiver) == ["connection.update connecting", "connection.update open"]


@pytest.mark.parametrize(
    ("control", "fields", "code"),
    [
        ("device_removed", {}, 401),
        ("ban", {}, 403),
        ("close", {"code": 402}, 402),
        ("close", {"code": 406}, 406),
    ],
)
def test_final_reasons_close_both(
    control: str, fields: dict[str, int], code: int, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """Three events tell it, and the reason stays in the row, even after the next scan."""
    name = opened_quietly(evolution, receiver)
    evolution.control(control, instance=name, **fields)
    evolution.quiet()

    assert set(said(receiver)) == CLOSING
    assert (evolution.state(name), evolution.database_state(name)) == ("close", "close")
    row = evolution.listed(name)
    assert (row["disconnectionReasonCode"], row["ownerJid"]) == (code, f"{OWN_PHONE}@s.whatsapp.net")

    evolution.ask("GET", f"/instance/connect/{name}")
    evolution.scan(name, "5511977776666")
    assert evolution.listed(name)["disconnectionReasonCode"] == code


def test_a_banned_phone_never_opens_again(evolution: EvolutionCalls) -> None:
    """Scanning once more ends with 403 once more."""
    evolution.opened("a")
    evolution.control("ban", instance="a")
    evolution.ask("GET", "/instance/connect/a")
    evolution.control("scan", instance="a", phone=OWN_PHONE)
    evolution.until("a", "close")

    assert evolution.listed("a")["disconnectionReasonCode"] == 403


@pytest.mark.parametrize("profile", ["2.3.6", "2.3.7", "2.4.0"])
def test_logout_from_open(profile: str, evolution: EvolutionCalls, receiver: Receiver) -> None:
    """The same three events; 2.3.6 answers before it took place. Again: 400, or 200 in 2.4."""
    evolution.control("server", profile=profile)
    name = opened_quietly(evolution, receiver)
    evolution.control("options", logout_s=100)
    assert evolution.ask("DELETE", f"/instance/logout/{name}").status_code == 200
    assert evolution.state(name) == ("open" if profile == "2.3.6" else "close")
    evolution.until(name, "close")
    evolution.quiet()
    assert said(receiver) == ["logout.instance", "connection.update close", "status.instance"]

    again = evolution.ask("DELETE", f"/instance/logout/{name}")
    assert again.status_code == (200 if profile == "2.4.0" else 400)
    if profile == "2.4.0":
        assert again.json()["response"]["message"] == "Instance was already disconnected"


def test_a_logout_that_answers_500_took_place(evolution: EvolutionCalls) -> None:
    """As 2.3.7 was seen to do."""
    evolution.opened("a")
    evolution.control("options", logout_answers_500=True)
    assert evolution.ask("DELETE", "/instance/logout/a").status_code == 500
    assert evolution.state("a") == "close"


def test_the_limit_of_codes(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """At 30 pairing is refused: memory close, database connecting, no logout; a connect begins at 1."""
    evolution.connecting("a", receiver.url)
    evolution.control("qr_turn", instance="a", times=29)
    assert evolution.control("instances")[0]["count"] == 30
    evolution.control("qr_turn", instance="a")
    evolution.quiet()

    assert (evolution.state("a"), evolution.database_state("a")) == ("close", "connecting")
    assert "connection.update refused" in said(receiver)
    assert not CLOSING & set(said(receiver))
    assert evolution.ask("GET", "/instance/connect/a").json()["count"] == 1


@pytest.mark.parametrize(("profile", "final"), [("2.3.6", False), ("2.3.7", False), ("2.4.0", True)])
def test_the_end_of_a_set_of_codes(
    profile: str, final: bool, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """Six codes, then a new socket with the next six; in 2.4 the end (408)."""
    evolution.control("server", profile=profile)
    evolution.create("a", receiver.url)
    evolution.control("options", qr_life_s=1.0)
    evolution.ask("GET", "/instance/connect/a")
    if final:
        evolution.until("a", "close")
        evolution.quiet()
        assert set(said(receiver)) >= CLOSING
        assert said(receiver).count("qrcode.updated") == 6
        assert evolution.listed("a")["disconnectionReasonCode"] == 408
    else:
        eventually(lambda: said(receiver).count("qrcode.updated") > 6)
        assert said(receiver).count("connection.update connecting") > 1


def test_counts_outlive_a_logout(evolution: EvolutionCalls) -> None:
    """The count is of the server process, not of the pairing; a restart of the server begins anew."""
    evolution.opened("a")
    evolution.ask("DELETE", "/instance/logout/a")
    assert evolution.ask("GET", "/instance/connect/a").json()["count"] == 2
    evolution.control("restart_server")
    eventually(lambda: evolution.ask("GET", "/instance/connect/a").json()["count"] == 1)


def test_delete_is_done_after_its_answer(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """A second delete also says SUCCESS, a create meets 403, until the rows are gone."""
    name = opened_quietly(evolution, receiver)
    evolution.control("options", delete_lag_s=1)
    for _ in range(2):
        assert evolution.ask("DELETE", f"/instance/delete/{name}").json()["status"] == "SUCCESS"
    body = {"instanceName": name, "integration": "WHATSAPP-BAILEYS"}
    assert evolution.ask("POST", "/instance/create", body).status_code == 403
    evolution.until(name, None)
    evolution.quiet()

    assert said(receiver)[:5] == [
        "logout.instance",
        "connection.update close",
        "status.instance",
        "instance.delete",
        "remove.instance",
    ]
    assert evolution.ask("DELETE", f"/instance/delete/{name}").status_code == 404
    assert evolution.ask("POST", "/instance/create", body).status_code == 201


@pytest.mark.parametrize(
    ("profile", "closed_ones"), [("2.3.6", "connecting"), ("2.3.7", "close"), ("2.4.0", "close")]
)
def test_a_restart_of_the_server(
    profile: str, closed_ones: str, evolution: EvolutionCalls, receiver: Receiver
) -> None:
    """Open and connecting rows come back by themselves; closed ones in 2.3.6 only."""
    evolution.control("server", profile=profile)
    name = opened_quietly(evolution, receiver)
    evolution.create("closed")
    evolution.control("options", reconnect_s=100)
    evolution.control("restart_server")
    assert evolution.state(name) == "connecting"
    assert evolution.state("closed") == closed_ones
    evolution.until(name, "open")
    evolution.quiet()

    assert said(receiver) == ["connection.update connecting", "connection.update open"]
    assert evolution.text(name).status_code == 201


@pytest.mark.parametrize("profile", ["2.3.6", "2.3.7", "2.4.0"])
def test_restarting_an_instance(profile: str, evolution: EvolutionCalls, receiver: Receiver) -> None:
    """The answer is of before; the old QR comes back and a new one follows."""
    evolution.control("server", profile=profile)
    name = opened_quietly(evolution, receiver)
    assert evolution.ask("POST", f"/instance/restart/{name}").json()["instance"]["state"] == "open"
    evolution.until(name, "open")
    evolution.quiet()
    assert said(receiver) == ["connection.update connecting", "connection.update open"]

    old = evolution.connecting("b")
    assert evolution.ask("POST", "/instance/restart/b").json() == old
    eventually(lambda: evolution.ask("GET", "/instance/connect/b").json()["count"] == old["count"] + 1)


def test_a_scan_needs_a_code(evolution: EvolutionCalls) -> None:
    """The control call says what to do first."""
    evolution.create("a")
    answer = evolution.http.post("/control/scan", json={"instance": "a", "phone": OWN_PHONE})

    assert answer.status_code == 400
    assert "no QR is shown" in answer.json()["error"]
