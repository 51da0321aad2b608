"""The simulator's webhooks: what follows an acceptance, in which order, how often, and in which wrapping."""

from typing import Any

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import clock
from shared.providers.base import Content, Outcome
from shared.providers.zapi import ZApiClient
from tests.contract.adapters import PHONE
from tests.contract.receiver import Receiver
from tests.waiting import eventually

WHOLE = ["DeliveryCallback", "SENT", "RECEIVED", "READ"]


@pytest.fixture
def number(simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver) -> str:
    """The first number, with all its events going to the receiver, echoes off."""
    zapi.set_every_webhook(receiver.url, notify_sent_by_me=False)
    found: str = simulator.instances()[0]["id"]
    return found


def _send(zapi: ZApiClient, text: str = "oi") -> str:
    report = zapi.send(PHONE, Content("text", text), deadline=clock.monotonic() + 5)
    assert report.outcome is Outcome.ACCEPTED
    return str(report.provider_message_id)


def _quiet(simulator: SimulatorProcess) -> None:
    eventually(lambda: simulator.control("counters")["background_tasks"] == 0)


@pytest.mark.usefixtures("number")
def test_an_acceptance_is_followed_to_the_reading(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """Delivery, SENT, RECEIVED, READ, each with the id that the send gave."""
    message_id = _send(zapi)
    posted = receiver.wait_for(4)

    assert receiver.names() == WHOLE
    assert [message_id] * 4 == [(one.payload.get("ids") or [one.payload["messageId"]])[0] for one in posted]
    assert {one.payload["instanceId"] for one in posted} == {simulator.instances()[0]["id"]}


@pytest.mark.usefixtures("number")
@pytest.mark.parametrize(
    ("mode", "expected"), [("twice", [name for name in WHOLE for _ in range(2)]), ("never", [])]
)
def test_receipts_twice_and_never(
    mode: str, expected: list[str], simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """Each event again, or none at all."""
    simulator.control("receipts", mode=mode)
    _send(zapi)
    _quiet(simulator)

    assert expected == receiver.names()


@pytest.mark.usefixtures("number")
def test_receipts_out_of_order(simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver) -> None:
    """All of them, some before those that they follow; the same seed gives the same order."""
    orders = []
    for _ in range(2):
        simulator.control("receipts", mode="out_of_order", seed=3)
        receiver.posted.clear()
        for index in range(5):
            _send(zapi)
            receiver.wait_for(4 * (index + 1))
        orders.append(receiver.names())

    assert orders[0] == orders[1]
    rounds = [orders[0][start : start + 4] for start in range(0, 20, 4)]
    assert all(sorted(one) == sorted(WHOLE) for one in rounds)
    assert any(one != WHOLE for one in rounds)


@pytest.mark.usefixtures("number")
def test_receipts_before_the_answer(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """All events of a message have been delivered when its caller gets the answer."""
    simulator.control("receipts", mode="before_answer")
    for index in range(10):
        _send(zapi)
        assert len(receiver.posted) == 4 * (index + 1)


@pytest.mark.usefixtures("number")
def test_receipts_end_where_told_and_get_lost(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """A contact who never reads, and a network that loses everything."""
    simulator.control("receipts", until="RECEIVED")
    _send(zapi)
    _quiet(simulator)
    assert WHOLE[:3] == receiver.names()

    simulator.control("receipts", loss_rate=1)
    _send(zapi)
    _quiet(simulator)
    assert len(receiver.posted) == 3


@pytest.mark.usefixtures("number")
def test_receipts_can_be_late(simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver) -> None:
    """Each event waits its delay."""
    simulator.control("receipts", delay_s=0.1)
    began = clock.monotonic()
    _send(zapi)
    receiver.wait_for(4)

    assert clock.monotonic() - began >= 0.4


@pytest.mark.usefixtures("number")
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_webhook_has_the_headers_of_z_api(
    wrapped: bool, simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """The instance token, the origin, a browser's name; compressed or not."""
    simulator.control("options", webhook_gzip=wrapped)
    _send(zapi)
    headers = receiver.wait_for(1)[0].headers

    assert simulator.instances()[0]["token"] == headers["z-api-token"]
    assert (headers["origin"], headers["server"]) == ("https://api.z-api.io", "Z-API")
    assert headers["user-agent"].startswith("Mozilla/")
    assert ("gzip" if wrapped else None) == headers.get("content-encoding")


@pytest.mark.usefixtures("number")
@pytest.mark.parametrize("choice", ["omitted", "wrong"])
def test_the_token_header_can_fail(
    choice: str, simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """The header is undocumented: it may be absent, and a stranger's may be wrong."""
    simulator.control("options", webhook_token=choice)
    _send(zapi)
    token = receiver.wait_for(1)[0].headers.get("z-api-token")

    assert token != simulator.instances()[0]["token"]
    assert (token is None) is (choice == "omitted")


@pytest.mark.usefixtures("number")
def test_what_leaves_the_number_comes_back(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """With echoes on, an own send comes back as fromMe and fromApi; a person at the phone only as fromMe."""
    zapi.set_notify_sent_by_me(True)
    message_id = _send(zapi, "eco")
    receiver.wait_for(5)
    number = simulator.instances()[0]["id"]
    simulator.control("by-hand", instance_id=number, phone=PHONE, text="à mão")
    receiver.wait_for(6)
    echoes = [one.payload for one in receiver.posted if one.name == "ReceivedCallback"]

    assert [(one["fromMe"], one["fromApi"]) for one in echoes] == [(True, True), (True, False)]
    assert [("eco", message_id), "à mão"] == [
        (echoes[0]["text"]["message"], echoes[0]["messageId"]),
        echoes[1]["text"]["message"],
    ]


def test_a_person_writes(simulator: SimulatorProcess, number: str, receiver: Receiver) -> None:
    """An inbound message arrives with its envelope; copies are the same message again."""
    told = simulator.control("inbound", instance_id=number, phone=PHONE, text="SAIR", copies=2)
    posted = receiver.wait_for(2)

    assert [told["messageId"]] * 2 == [one.payload["messageId"] for one in posted]
    assert (
        posted[0].payload["text"]["message"],
        posted[0].payload["phone"],
        posted[0].payload["fromMe"],
    ) == ("SAIR", PHONE, False)


@pytest.mark.parametrize(("choice", "arrives"), [("late", 1), ("lost", 0)])
def test_a_person_writes_to_a_disconnected_number(
    choice: str, arrives: int, simulator: SimulatorProcess, number: str, receiver: Receiver
) -> None:
    """Late, or never: which one is not documented."""
    simulator.control("options", inbound_offline=choice)
    simulator.control("disconnect", instance_id=number)
    simulator.control("inbound", instance_id=number, phone=PHONE)
    simulator.control("connect", instance_id=number)
    _quiet(simulator)

    assert receiver.names().count("ReceivedCallback") == arrives


def test_coming_and_going_is_told(simulator: SimulatorProcess, number: str, receiver: Receiver) -> None:
    """Disconnected, then connected with the phone that was paired; after an explicit disconnect, silence."""
    simulator.control("disconnect", instance_id=number)
    receiver.wait_for(1)
    simulator.control("connect", instance_id=number, phone="5551900000077")
    posted = receiver.wait_for(2)
    simulator.control("disconnect", instance_id=number, explicit=True)
    _quiet(simulator)

    assert receiver.names() == ["DisconnectedCallback", "ConnectedCallback"]
    assert posted[1].payload["phone"] == "5551900000077"


def _fails(simulator: SimulatorProcess, number: str, **how: Any) -> None:
    simulator.control("delivery-error", instance_id=number, **how)


def test_a_shadow_ban_shows_in_the_delivery_only(
    simulator: SimulatorProcess, number: str, zapi: ZApiClient, receiver: Receiver
) -> None:
    """The send is accepted, the state is connected, and only the webhook tells."""
    simulator.control("ban", instance_id=number, kind="shadow")
    _send(zapi)
    _quiet(simulator)

    assert zapi.state().connected is True
    assert receiver.names() == ["DeliveryCallback"]
    assert receiver.posted[0].payload["errorCode"] == "SHADOW_BAN"


def test_a_delivery_fails_as_planned(
    simulator: SimulatorProcess, number: str, zapi: ZApiClient, receiver: Receiver
) -> None:
    """A given text for a given person, as often as asked; a phone that does not exist fails by itself."""
    _fails(simulator, number, error="Timeout on send message", phone=PHONE)
    _send(zapi)
    receiver.wait_for(1)
    _send(zapi)
    receiver.wait_for(5)
    simulator.control("contact", instance_id=number, phone=PHONE, exists=False)
    _send(zapi)
    receiver.wait_for(6)
    errors = [one.payload.get("error") for one in receiver.posted if one.name == "DeliveryCallback"]

    assert errors == ["Timeout on send message", None, "Phone number does not exist"]


@pytest.mark.usefixtures("number")
def test_a_receiver_that_fails_loses_the_event(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """Without retries an event is posted once; with them, again until it is taken."""
    simulator.control("receipts", until="DELIVERY")
    receiver.answers = [500]
    _send(zapi)
    _quiet(simulator)
    assert len(receiver.posted) == 1

    simulator.control("options", webhook_retries=3, queue_speed=100)
    receiver.answers = [500, 503]
    _send(zapi)
    _quiet(simulator)
    assert len(receiver.posted) == 4
    assert simulator.control("counters")["webhooks"] == {"failed": 3, "posted": 1}


def test_a_receiver_that_is_away_harms_nothing(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Events for nobody are lost; the sends go on."""
    zapi.set_every_webhook("http://127.0.0.1:9/nobody")
    for _ in range(5):
        _send(zapi)
    _quiet(simulator)

    assert len(simulator.accepted()) == 5
    assert simulator.control("counters")["webhooks"].keys() == {"failed"}
