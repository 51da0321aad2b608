"""Z-API's calls other than sends, against the simulator: device, account, queue, settings, webhooks,
numbers."""

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import clock
from shared.providers.base import Content, Outcome, ProviderError
from shared.providers.zapi import ZApiClient
from shared.providers.zapi_account import WEBHOOK_ACTIONS, WebhookKind
from tests.contract.adapters import PHONE


def _send(zapi: ZApiClient, text: str = "oi") -> Outcome:
    return zapi.send(PHONE, Content("text", text), deadline=clock.monotonic() + 5).outcome


def test_device_names_the_paired_phone(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """The paired phone is read from the provider, and follows a re-pairing."""
    number = simulator.instances()[0]
    assert number["phone"] == zapi.device().phone

    simulator.control("connect", instance_id=number["id"], phone="5551900000099")
    assert zapi.device().phone == "5551900000099"


def test_device_of_a_disconnected_number__refused(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Without a phone the error says that the number is disconnected, not that it is broken."""
    simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])

    with pytest.raises(ProviderError) as raised:
        zapi.device()
    assert raised.value.halt_reason == "disconnected"


def test_account_leaves_the_token_behind(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """/me returns the instance token; what we keep of it does not."""
    zapi.set_every_webhook("https://example.test/hook/secret-path")
    account = zapi.account()

    assert simulator.instances()[0]["token"] not in repr(vars(account))
    assert "secret-path" not in repr(account)
    assert account.webhooks["received"] == "https://example.test/hook/secret-path"
    assert (account.connected, account.payment_status, account.sends_own_messages) == (True, "PAID", True)
    assert account.due is not None


def test_queue_is_listed_page_by_page(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """All that waits at the provider is seen, once each and in order, whatever the page size."""
    number = simulator.instances()[0]
    simulator.control("disconnect", instance_id=number["id"])
    for index in range(65):
        assert _send(zapi, f"texto {index}") is Outcome.ACCEPTED
    entries = list(zapi.queue())

    assert [f"texto {index}" for index in range(65)] == [entry.text for entry in entries]
    assert len({entry.queue_id for entry in entries}) == 65
    assert all(entry.phone == PHONE and entry.created_at for entry in entries)
    assert PHONE not in repr(entries)


def test_queue_is_purged_whole_or_one_by_one(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """What was withdrawn does not go out at reconnection."""
    simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])
    for index in range(3):
        _send(zapi, f"texto {index}")
    zapi.purge_queued(list(zapi.queue())[1].queue_id)
    assert [entry.text for entry in zapi.queue()] == ["texto 0", "texto 2"]

    zapi.purge_queue()
    assert list(zapi.queue()) == []


def test_queueing_while_disconnected_is_turned_off(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Then a send on a disconnected number is not sent, halts the number, and nothing waits to fire later."""
    zapi.set_queueing_while_disconnected(False)
    simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])
    report = zapi.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)

    assert (report.outcome, report.halt_reason) == (Outcome.NOT_SENT, "disconnected")
    assert simulator.accepted() == []
    zapi.set_queueing_while_disconnected(True)
    assert _send(zapi) is Outcome.ACCEPTED


def test_queueing_off_with_the_other_answer(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Should Z-API answer `value: false` instead, we cannot tell, and the number stops all the same."""
    zapi.set_queueing_while_disconnected(False)
    simulator.control("options", disconnected_send="value_false")
    simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])
    report = zapi.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)

    assert (report.outcome, report.halt_reason) == (Outcome.UNKNOWN, "disconnected")


@pytest.mark.parametrize("kind", list(WEBHOOK_ACTIONS))
def test_each_webhook_is_set_alone(kind: WebhookKind, simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """One kind of event gets its address, the others keep theirs."""
    zapi.set_webhook(kind, "https://example.test/one")

    assert simulator.instances()[0]["webhooks"] == {kind: "https://example.test/one"}


def test_own_messages_are_turned_on_and_off(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Echoes of what leaves the number are a setting of their own."""
    zapi.set_notify_sent_by_me(True)
    assert simulator.instances()[0]["notify_sent_by_me"] is True
    zapi.set_notify_sent_by_me(False)
    assert simulator.instances()[0]["notify_sent_by_me"] is False


def test_a_webhook_without_tls__refused(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Z-API takes HTTPS only, and its refusal reaches the caller in words."""
    simulator.control("options", allow_http=False)

    with pytest.raises(ProviderError, match="HTTPS"):
        zapi.set_every_webhook("http://example.test/hook")
    assert simulator.instances()[0]["webhooks"] == {}


@pytest.mark.parametrize("shape", ["object", "array"])
def test_phone_exists_in_both_shapes(shape: str, simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """The documented array and the object that clients see give the same answer, canonical form included."""
    simulator.control("options", phone_exists_shape=shape)
    one = simulator.instances()[0]["id"]
    simulator.control("contact", instance_id=one, phone="5551987654321", registered_as="555187654321")
    simulator.control("contact", instance_id=one, phone="5551911111111", exists=False)
    found, missing = zapi.phone_exists("5551987654321"), zapi.phone_exists("5551911111111")

    assert (found.exists, found.phone) == (True, "555187654321")
    assert found.lid and found.lid.endswith("@lid")
    assert (missing.exists, missing.lid) == (False, None)


@pytest.mark.parametrize("no_client_token", ["400", "null", "403"])
@pytest.mark.parametrize("not_found", [404, 400])
def test_account_refusals_name_their_reason(
    no_client_token: str, not_found: int, simulator: SimulatorProcess, zapi: ZApiClient
) -> None:
    """Whichever wording and status the account is refused with, the reason is the same short word."""
    simulator.control("options", no_client_token=no_client_token, instance_not_found=not_found)
    one = simulator.instances()[0]
    reasons = []
    for instance_id, token, client_token in (
        (one["id"], one["token"], None),
        (one["id"], one["token"], "WrongAccountToken"),
        (one["id"], "WRONGINSTANCETOKEN", one["client_token"]),
        ("UNKNOWNINSTANCE", one["token"], one["client_token"]),
    ):
        client = ZApiClient(instance_id, token, client_token, base_url=simulator.base_url)
        report = client.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)
        assert report.outcome is Outcome.NOT_SENT
        assert client.state().account_refused == report.halt_reason
        reasons.append(report.halt_reason)
        client.close()

    assert reasons == ["client_token_refused"] * 2 + ["instance_not_found"] * 2
    assert simulator.accepted() == []


def test_a_lapsed_subscription_is_seen_in_sends_and_in_the_state(
    simulator: SimulatorProcess, zapi: ZApiClient
) -> None:
    """A lapse stops the number without blaming the message, and passes when it is paid."""
    one = simulator.instances()[0]["id"]
    simulator.control("lapse", instance_id=one)
    report = zapi.send(PHONE, Content("text", "oi"), deadline=clock.monotonic() + 5)

    assert (report.outcome, report.halt_reason) == (Outcome.NOT_SENT, "subscription_lapsed")
    assert zapi.state().account_refused == "subscription_lapsed"
    simulator.control("lapse", instance_id=one, lapsed=False)
    assert _send(zapi) is Outcome.ACCEPTED


def test_a_deleted_instance_is_not_found(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """An instance that is gone is an account matter too."""
    simulator.control("delete", instance_id=simulator.instances()[0]["id"])

    assert zapi.state().account_refused == "instance_not_found"
