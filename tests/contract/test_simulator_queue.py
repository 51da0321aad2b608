"""The simulated provider's own queue: holds while disconnected, fires at reconnection, and can be emptied
before."""

import json

import httpx
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import clock
from shared.providers.base import Content, Outcome
from shared.providers.zapi import ZApiClient
from tests.contract.adapters import PHONE
from tests.contract.receiver import Receiver
from tests.waiting import eventually


def _send(zapi: ZApiClient, text: str = "oi") -> Outcome:
    return zapi.send(PHONE, Content("text", text), deadline=clock.monotonic() + 5).outcome


def _number(simulator: SimulatorProcess) -> str:
    found: str = simulator.instances()[0]["id"]
    return found


def test_a_disconnected_number_accepts_and_holds(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """Z-API's trap: 200 and ids while nothing leaves; at reconnection everything fires by itself, in
    order."""
    zapi.set_webhook("delivery", receiver.url)
    simulator.control("disconnect", instance_id=_number(simulator))
    for index in range(3):
        assert _send(zapi, f"texto {index}") is Outcome.ACCEPTED
    held = [entry.message_id for entry in zapi.queue()]
    assert (len(held), receiver.posted) == (3, [])

    simulator.control("connect", instance_id=_number(simulator))
    assert sorted(map(str, held)) == sorted(one.payload["messageId"] for one in receiver.wait_for(3))
    assert list(zapi.queue()) == []


@pytest.mark.parametrize("over_cap", ["400", "delivery_error"])
def test_a_disconnected_number_holds_a_thousand(
    over_cap: str, simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """The thousand and first is refused, or accepted and failed by webhook; the contract leaves open
    which."""
    zapi.set_webhook("delivery", receiver.url)
    simulator.control("options", over_cap=over_cap)
    simulator.control("disconnect", instance_id=_number(simulator))
    assert {_send(zapi) for _ in range(1000)} == {Outcome.ACCEPTED}
    last = _send(zapi)

    assert simulator.control("counters")["queued"] == 1000
    if over_cap == "400":
        assert (last, len(simulator.accepted())) == (Outcome.REJECTED, 1000)
    else:
        assert last is Outcome.ACCEPTED
        assert "to queue" in receiver.wait_for(1)[0].payload["error"]


def test_a_purged_message_can_be_reported(
    simulator: SimulatorProcess, zapi: ZApiClient, receiver: Receiver
) -> None:
    """What a purge says of the messages it drops is open: silence, or a failed delivery."""
    zapi.set_webhook("delivery", receiver.url)
    simulator.control("disconnect", instance_id=_number(simulator))
    _send(zapi)
    zapi.purge_queue()
    simulator.control("options", purge="delivery_error")
    _send(zapi)
    zapi.purge_queue()

    (posted,) = receiver.wait_for(1)
    assert simulator.accepted()[1]["messageId"] == posted.payload["messageId"]


def test_the_queue_drains_at_the_asked_delay(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Without a fixed interval a message waits its delayMessage, which `queue_speed` divides."""
    simulator.control("options", queue_interval_s=None, queue_speed=10)
    began = clock.monotonic()
    for _ in range(3):
        _send(zapi)
    eventually(lambda: simulator.control("counters")["queued"] == 0)

    assert clock.monotonic() - began >= 0.3


def test_the_listing_is_in_pascal_case(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """The raw page is as documented: PascalCase entries, default page 20, at most 30."""
    one = simulator.instances()[0]
    simulator.control("disconnect", instance_id=one["id"])
    for _ in range(31):
        _send(zapi)
    url = f"{simulator.base_url}/instances/{one['id']}/token/{one['token']}/queue"
    headers = {"Client-Token": one["client_token"]}
    pages = [
        httpx.post(url, json=body, headers=headers, trust_env=False).json() for body in ({}, {"pageSize": 99})
    ]

    assert [len(page["messages"]) for page in pages] == [20, 30]
    assert all(page["hasMore"] for page in pages)
    names = "_id ZaapId MessageId Phone Message InstanceId DelayMessage DelayTyping Created CreatedAt"
    assert [*names.split(), "Beta", "IsTrial"] == list(pages[0]["messages"][0])
    assert json.dumps(pages[0])


def test_a_stale_state_says_connected(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """/status may lie for a while: then it says connected although nothing leaves."""
    simulator.control("stale-status", instance_id=_number(simulator))
    simulator.control("disconnect", instance_id=_number(simulator))

    assert zapi.state().connected is True
    simulator.control("stale-status", instance_id=_number(simulator), stale=False)
    assert zapi.state().connected is False


def test_a_banned_number_does_not_come_back(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """A full ban logs the number out, and it cannot be paired until it is lifted."""
    simulator.control("ban", instance_id=_number(simulator))
    assert zapi.state().connected is False
    with pytest.raises(RuntimeError, match="banned"):
        simulator.control("connect", instance_id=_number(simulator))

    simulator.control("ban", instance_id=_number(simulator), kind=None)
    simulator.control("connect", instance_id=_number(simulator))
    assert zapi.state().connected is True


def test_pairing_codes_only_while_disconnected(simulator: SimulatorProcess) -> None:
    """A connected number shows no code; a disconnected one a PNG in JSON, and a phone code in either
    shape."""
    one = simulator.instances()[0]
    headers = {"Client-Token": one["client_token"]}

    def get(action: str) -> dict[str, object]:
        url = f"{simulator.base_url}/instances/{one['id']}/token/{one['token']}/{action}"
        found: dict[str, object] = httpx.get(url, headers=headers, trust_env=False).json()
        return found

    assert get("qr-code/image") == {"connected": True}
    simulator.control("disconnect", instance_id=one["id"])
    assert str(get("qr-code/image")["value"]).startswith("data:image/png;base64,iVBORw0KGgo")
    assert str(get("qr-code")["value"]).startswith("2@")
    assert list(get("phone-code/5551999990000")) == ["value"]
    simulator.control("options", phone_code_shape="code")
    assert list(get("phone-code/5551999990000")) == ["code"]
