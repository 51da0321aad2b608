"""What goes wrong with the Evolution simulator as with the real one: an unreachable network, a silent peer,
races, rows that are not loaded (evolution contract 1, 7)."""

from concurrent.futures import ThreadPoolExecutor

from tests.contract.evolution_calls import EvolutionCalls, opened_quietly, said
from tests.contract.receiver import Receiver
from tests.waiting import eventually

CLOSING = {"status.instance", "logout.instance", "connection.update close"}


def test_an_unreachable_network(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """connecting without end and without a QR, even after a delete; when it is back, the QR comes."""
    evolution.control("unreachable", events_per_second=20)
    evolution.create("a", receiver.url)
    evolution.create("b", receiver.url)
    for name in ("a", "b"):
        assert evolution.ask("GET", f"/instance/connect/{name}").json() == {"count": 0}
    assert (evolution.state("a"), evolution.database_state("a")) == ("connecting", "close")
    assert evolution.ask("DELETE", "/instance/delete/a").status_code == 200
    evolution.until("a", None)
    receiver.posted.clear()
    eventually(lambda: [one.payload["instance"] for one in receiver.posted].count("a") >= 3)

    evolution.control("unreachable", on=False)
    eventually(lambda: evolution.ask("GET", "/instance/connect/b").json().get("code"))


def test_an_unreachable_network__2_4(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Before the first QR there is no reconnect at all."""
    evolution.control("server", profile="2.4.0")
    evolution.control("unreachable")
    evolution.create("a", receiver.url)
    assert evolution.ask("GET", "/instance/connect/a").json() == {"count": 0}
    evolution.quiet()

    assert evolution.state("a") == "close"
    assert said(receiver) == ["instance.create", "connection.update connecting"]


def test_the_loop_is_slow_unless_asked_for(evolution: EvolutionCalls) -> None:
    """One event a second by itself; more than was ever seen is refused."""
    assert evolution.control("unreachable") == {"events_per_second": 1.0}
    answer = evolution.http.post("/control/unreachable", json={"events_per_second": 1000})
    assert answer.status_code == 400


def test_a_silent_peer(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """A send hangs and is not sent; open at first, then connecting; open again when the peer speaks."""
    name = opened_quietly(evolution, receiver)
    assert evolution.text(name).status_code == 201
    evolution.quiet()
    receiver.posted.clear()
    evolution.control("server", speed=100)
    evolution.control("silent_peer", instance=name)
    assert evolution.state(name) == "open"
    answer = evolution.text(name)

    assert (answer.status_code, answer.json()["response"]["message"]) == (400, ["Error: Connection Closed"])
    assert (evolution.state(name), evolution.database_state(name)) == ("connecting", "open")
    evolution.control("silent_peer", instance=name, on=False)
    evolution.until(name, "open")
    evolution.quiet()
    assert said(receiver) == ["connection.update connecting", "connection.update open"]
    assert len(evolution.server.accepted()) == 1


def test_creates_of_one_name_at_once_destroy_the_winner(evolution: EvolutionCalls) -> None:
    """One 201, the others 400 or 403; afterwards the row is there and nothing is loaded."""
    evolution.control("options", database_s=0.2)
    body = {"instanceName": "race", "integration": "WHATSAPP-BAILEYS"}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: evolution.ask("POST", "/instance/create", body), range(3)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 201
    assert set(codes[1:]) <= {400, 403}
    assert 400 in codes
    assert evolution.state("race") is None
    assert evolution.ask("GET", "/instance/fetchInstances?instanceName=race").status_code == 404
    assert evolution.ask("DELETE", "/instance/delete/race").status_code == 200
    evolution.until("race", None)


def test_connects_at_once_open_several_sockets(evolution: EvolutionCalls, receiver: Receiver) -> None:
    """Each shows codes of its own; the one that the server forgot lives on after a delete."""
    evolution.control("options", database_s=0.2, qr_life_s=1e6)
    evolution.create("a", receiver.url)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: evolution.ask("GET", "/instance/connect/a"), range(2)))

    assert evolution.control("instances")[0]["count"] == 2
    assert evolution.control("counters")["sockets"] == 2
    evolution.ask("DELETE", "/instance/delete/a")
    evolution.until("a", None)
    assert evolution.control("counters")["sockets"] == 1
    evolution.control("restart_server")
    eventually(lambda: evolution.control("counters")["sockets"] == 0)


def test_a_row_that_is_not_loaded(evolution: EvolutionCalls) -> None:
    """The key `state` is missing; restart and connect fail under 200; the name is taken."""
    evolution.create("a")
    evolution.control("missing_state", instance="a")

    failed = {"error": True, "message": "[object Object]"}
    assert evolution.ask("GET", "/instance/connectionState/a").json() == {"instance": {"instanceName": "a"}}
    assert evolution.ask("POST", "/instance/restart/a").json() == failed
    assert evolution.ask("GET", "/instance/connect/a").json() == failed
    body = {"instanceName": "a", "integration": "WHATSAPP-BAILEYS"}
    assert evolution.ask("POST", "/instance/create", body).status_code == 403
