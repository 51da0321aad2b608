"""The Evolution client through the life of a number, against the simulator in each profile: create, pair,
send, lose, log out, delete; and what its webhooks say of it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared import clock
from shared.providers.base import AttemptReport, Content, Outcome, ProviderError
from shared.providers.evolution import EvolutionClient
from shared.providers.evolution_answers import NameTaken, Open, Pending, Qr
from shared.providers.evolution_events import (
    ConnectionChange,
    Message,
    QrLimit,
    QrShown,
    Removed,
    parse_event,
)
from tests.contract.evolution_calls import GLOBAL_KEY, OWN_PHONE, EvolutionCalls
from tests.contract.receiver import Receiver
from tests.waiting import eventually

NAME = "adscape_c_0123456789abcdef"
# Of an area whose numbers keep their ninth digit (contract 5, number handling).
PERSON = "5511987654321"
Fact = type[Any]


@pytest.fixture(params=["2.3.6", "2.3.7", "2.4.0"])
def profiled(request: pytest.FixtureRequest, evolution: EvolutionCalls) -> EvolutionCalls:
    """The simulator as each version in turn."""
    evolution.control("server", profile=request.param)
    return evolution


def client_of(evolution: EvolutionCalls, http: httpx.Client, key: str = GLOBAL_KEY) -> EvolutionClient:
    """The client for one instance of the simulator."""
    return EvolutionClient(
        NAME, key, base_url=evolution.server.base_url, http=http, timeout_s=5.0, call_timeout_s=5.0
    )


def paired(evolution: EvolutionCalls, http: httpx.Client) -> EvolutionClient:
    """The same with a phone that has scanned its code."""
    client = client_of(evolution, http)
    client.create()
    eventually(lambda: isinstance(client.connect(), Qr), what="a QR code")
    evolution.scan(NAME)
    return client


def send(client: EvolutionClient, text: str = "oi") -> AttemptReport:
    """One text."""
    return client.send(PERSON, Content("text", text), deadline=clock.monotonic() + 5)


def test_a_number_lives_through_everything(profiled: EvolutionCalls, http: httpx.Client) -> None:
    """In each version: not there, created, scanned, sending, logged out, shown a code again, deleted."""
    client = client_of(profiled, http)
    assert (client.state().connected, client.state().exists) == (False, False)
    assert client.create().instance_id
    assert (client.state().connected, client.state().detail) == (False, "close")

    code = eventually(lambda: found if isinstance(found := client.connect(), Qr) else None, what="a code")
    assert code.code.count(",") == 3
    profiled.scan(NAME)
    assert client.state().connected is True
    assert client.connect() == Open()
    report = send(client)
    assert (report.outcome, bool(report.provider_message_id)) == (Outcome.ACCEPTED, True)

    client.logout()
    eventually(lambda: client.state().detail == "close", what="closed")
    client.logout()
    eventually(lambda: isinstance(client.connect(), Qr), what="another code")
    client.delete()
    assert client.state().exists is False
    client.delete()
    assert [line["text"] for line in profiled.server.accepted()] == ["oi"]


def test_the_version_is_read(profiled: EvolutionCalls, http: httpx.Client) -> None:
    """Each profile's version is known."""
    version = client_of(profiled, http).version()

    assert version.text.startswith(version.profile)


def test_a_second_create_leaves_the_first_alone(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """NameTaken, and the open instance stays open."""
    client = paired(evolution, http)
    with pytest.raises(NameTaken):
        client.create()

    assert client.state().connected is True


@pytest.mark.parametrize("place", ["winner", "loser"])
def test_a_create_that_raced_is_not_believed(
    place: str, evolution: EvolutionCalls, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Winner or loser, an instance that the race destroyed is an error, and the name can be used again."""
    monkeypatch.setattr("shared.providers.evolution.CREATED_WITHIN_S", 0.5)
    evolution.control("create_race", instance=NAME, **{"as": place})
    client = client_of(evolution, http)
    with pytest.raises(ProviderError):
        client.create()

    client.delete()
    assert client.create().instance_id


def test_a_pairing_code_comes_with_the_number(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """Asked with the phone's number, the code to type comes beside the one to scan."""
    client = client_of(evolution, http)
    client.create()
    code = eventually(lambda: found if isinstance(found := client.connect(OWN_PHONE), Qr) else None)

    assert code.pairing_code is not None
    assert len(code.pairing_code) == 8
    assert code.pairing_code not in repr(code)


def test_a_slow_code_is_pending(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """No code yet is neither an error nor a code."""
    evolution.control("slow_qr", seconds=10_000)
    client = client_of(evolution, http)
    client.create()

    assert client.connect() == Pending()


@pytest.mark.parametrize(
    ("ending", "connected"), [("device_removed", False), ("ban", False), ("missing_state", None)]
)
def test_what_ends_a_number_shows_in_its_state(
    ending: str, connected: bool | None, evolution: EvolutionCalls, http: httpx.Client
) -> None:
    """Removed or banned is not connected; an instance out of the server's memory is one we cannot tell."""
    client = paired(evolution, http)
    evolution.control(ending, instance=NAME)

    eventually(lambda: client.state().connected is connected, what=f"connected {connected}")
    assert client.state().exists is True


def test_a_send_on_a_removed_number_stops_it(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """Whether it was sent cannot be told by the words; that the number must be asked for can."""
    client = paired(evolution, http)
    evolution.control("device_removed", instance=NAME)
    report = send(client)

    assert (report.outcome, report.halt_reason) == (Outcome.UNKNOWN, "disconnected")
    assert evolution.server.accepted() == []


def test_a_send_on_a_deleted_instance_is_not_sent(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """The server does not know the instance: nothing can have left, and the number is not connected."""
    report = send(client_of(evolution, http))

    assert (report.outcome, report.halt_reason) == (Outcome.NOT_SENT, "disconnected")


def test_a_wrong_key_is_the_accounts(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """A key that was changed at the server burns no message."""
    paired(evolution, http)
    stranger = client_of(evolution, http, key="another-key")
    report = send(stranger)

    assert (report.outcome, report.halt_reason) == (Outcome.NOT_SENT, "account_refused")
    assert stranger.state().account_refused == "account_refused"


def test_a_licence_gate_is_the_accounts(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """503 before the activation is a refusal with its own reason, not a fault of the message."""
    client = paired(evolution, http)
    evolution.control("licence_503")
    report = send(client)

    assert (report.outcome, report.halt_reason) == (Outcome.NOT_SENT, "license_required")
    assert client.state().account_refused == "license_required"


def test_a_number_that_is_not_on_whatsapp__refused(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """The look-up comes before the send: a definite refusal, without the phone in its detail."""
    client = paired(evolution, http)
    evolution.control("not_on_whatsapp", numbers=[PERSON])
    report = send(client)

    assert (report.outcome, report.detail) == (Outcome.REJECTED, "the number is not on WhatsApp")


def test_a_database_that_failed_shows_no_source(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """The server's own error text, with its excerpt and paths, reaches nobody."""
    client = paired(evolution, http)
    evolution.control("database_error", times=5)
    state = client.state()

    assert state.connected is None or state.connected is True
    assert "prisma" not in state.detail.lower()


FAULTS = {
    "accept_then_hang": Outcome.UNKNOWN,
    "accept_then_close": Outcome.UNKNOWN,
    "accept_then_500": Outcome.UNKNOWN,
    "accept_then_reset": Outcome.UNKNOWN,
    "error_before_accept": Outcome.UNKNOWN,
    "hang": Outcome.UNKNOWN,
    "close": Outcome.UNKNOWN,
    "truncated": Outcome.UNKNOWN,
    "garbage": Outcome.UNKNOWN,
    "slow": Outcome.ACCEPTED,
    "429": Outcome.NOT_SENT,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_ends_in_its_outcome(fault: str, evolution: EvolutionCalls, http: httpx.Client) -> None:
    """A fault that may hide an acceptance is unknown, and a single request is made."""
    client = paired(evolution, http)
    evolution.control("faults", upcoming=[fault], hang_s=1.0, slow_s=0.1)
    impatient = EvolutionClient(
        NAME, GLOBAL_KEY, base_url=evolution.server.base_url, http=http, timeout_s=0.4
    )

    assert FAULTS[fault] is send(impatient).outcome
    assert len(evolution.server.accepted()) <= 1
    assert send(client, "depois").outcome is Outcome.ACCEPTED


def heard(receiver: Receiver, kind: Fact, such: Callable[[Any], bool]) -> Any:
    """The first fact of this kind among what was posted; waits for it."""

    def found() -> Any:
        facts = [parse_event(one.payload) for one in list(receiver.posted)]
        return next((fact for fact in facts if isinstance(fact, kind) and such(fact)), None)

    return eventually(found, what=f"a {kind.__name__}")


def test_the_webhook_tells_the_same_story(
    profiled: EvolutionCalls, http: httpx.Client, receiver: Receiver
) -> None:
    """What the simulator posts carries our header and is read: code, open, sent, read, received, removed."""
    client = client_of(profiled, http)
    client.create()
    client.set_webhook(receiver.url, "our-secret")
    webhook = client.find_webhook()
    assert webhook is not None
    assert webhook.is_as_set(receiver.url, "our-secret")

    code = eventually(lambda: found if isinstance(found := client.connect(), Qr) else None, what="a code")
    shown = heard(receiver, QrShown, lambda fact: fact.code == code.code)
    assert shown.instance == NAME
    profiled.scan(NAME)
    assert heard(receiver, ConnectionChange, lambda fact: fact.state == "open").phone == OWN_PHONE

    sent = send(client, "segue o relatório").provider_message_id
    own = heard(receiver, Message, lambda fact: fact.from_api and sent in fact.provider_message_ids)
    assert (own.phone, own.text, own.kind) == (PERSON, "segue o relatório", "message")
    read = heard(receiver, Message, lambda fact: fact.receipt == "read")
    assert read.provider_message_ids == (sent,)

    profiled.control("inbound", instance=NAME, **{"from": PERSON}, text="SAIR")
    came = heard(receiver, Message, lambda fact: fact.kind == "message" and not fact.from_me)
    assert (came.phone, came.text, came.from_api) == (PERSON, "SAIR", False)

    profiled.control("device_removed", instance=NAME)
    assert heard(receiver, Removed, lambda fact: fact.cause != "closed").cause == "device_removed"
    assert heard(receiver, ConnectionChange, lambda fact: fact.final).reason == 401
    assert {one.headers.get("x-roleta-webhook") for one in receiver.posted} == {"our-secret"}


def test_an_own_logout_is_told_from_a_removal(
    evolution: EvolutionCalls, http: httpx.Client, receiver: Receiver
) -> None:
    """status.instance says who ended it."""
    client = paired(evolution, http)
    client.set_webhook(receiver.url, "our-secret")
    client.logout()

    assert heard(receiver, Removed, lambda fact: fact.cause != "closed").cause == "logged_out"


def test_the_limit_of_codes_is_heard(
    evolution: EvolutionCalls, http: httpx.Client, receiver: Receiver
) -> None:
    """No more codes: both events of it are read."""
    client = client_of(evolution, http)
    client.create()
    client.set_webhook(receiver.url, "our-secret")
    eventually(lambda: isinstance(client.connect(), Qr), what="a code")
    evolution.control("qr_limit", instance=NAME)

    assert heard(receiver, QrLimit, lambda fact: True).instance == NAME
    assert heard(receiver, ConnectionChange, lambda fact: fact.refused).state == "refused"


def test_a_lost_connection_is_not_final(
    evolution: EvolutionCalls, http: httpx.Client, receiver: Receiver
) -> None:
    """A temporary loss shows as connecting and open again, and asks for no new code."""
    client = paired(evolution, http)
    client.set_webhook(receiver.url, "our-secret")
    evolution.control("drop", instance=NAME)
    heard(receiver, ConnectionChange, lambda fact: fact.state == "open")
    facts = [parse_event(one.payload) for one in receiver.posted]

    assert not [fact for fact in facts if isinstance(fact, ConnectionChange) and (fact.final or fact.refused)]
    assert client.state().connected is True
