"""What a provider itself has of a message: waiting in its queue (Z-API), or stored as sent (Evolution)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import clock, phones
from shared.providers.base import Content, Outcome, Provider, ProviderError, Sought
from shared.providers.evolution import EvolutionClient
from shared.providers.zapi import ZApiClient
from tests.contract.adapters import Adapter
from tests.contract.conftest import Make, Script
from tests.contract.evolution_calls import GLOBAL_KEY, EvolutionCalls
from tests.contract.scripted_server import Conversation

PERSON, OTHER = "5511987654321", "5511912345678"
NAME = "adscape_c_0123456789abcdef"


def sought(phone: str = PERSON, *, since_s: float = -60, until_s: float = 60) -> Sought:
    """A message to a person around now."""
    now = datetime.now(UTC)
    return Sought(phone, now + timedelta(seconds=since_s), now + timedelta(seconds=until_s))


def send(provider: Provider, text: str, phone: str = PERSON) -> str:
    """One text; the provider's id of it."""
    report = provider.send(phone, Content("text", text), deadline=clock.monotonic() + 5)
    assert report.outcome is Outcome.ACCEPTED
    assert report.provider_message_id is not None
    return report.provider_message_id


@pytest.fixture(params=["zapi", "evolution"])
def provider(request: pytest.FixtureRequest, http: httpx.Client) -> Provider:
    """Each provider over its simulator, where what was sent can still be found: Z-API's phone is
    disconnected, so that its queue holds everything."""
    if request.param == "zapi":
        simulator: SimulatorProcess = request.getfixturevalue("simulator")
        simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])
        zapi: ZApiClient = request.getfixturevalue("zapi")
        return zapi
    evolution: EvolutionCalls = request.getfixturevalue("evolution")
    evolution.opened(NAME)
    return EvolutionClient(
        NAME, GLOBAL_KEY, base_url=evolution.server.base_url, http=http, timeout_s=5.0, call_timeout_s=5.0
    )


@pytest.mark.scoreboard("R14", tier="commit")
def test_what_was_sent_is_found_again(provider: Provider) -> None:
    """With its id, text and time, marked as a send over the API; nothing of another person."""
    first, second = send(provider, "bom dia"), send(provider, "boa noite")
    send(provider, "a outra pessoa", OTHER)
    found = {trace.provider_message_id: trace for trace in provider.traces([sought()])}
    assert set(found) == {first, second}
    assert [found[each].text for each in (first, second)] == ["bom dia", "boa noite"]
    for trace in found.values():
        assert (trace.phone, trace.sent_by) == (PERSON, "api")
        assert trace.happened_at is not None
        assert abs(trace.happened_at.timestamp() - datetime.now(UTC).timestamp()) < 60
    assert PERSON not in repr(found)
    assert "bom dia" not in repr(found)


@pytest.mark.scoreboard("R14", tier="commit")
@pytest.mark.parametrize("form", phones.forms(PERSON))
def test_a_person_is_found_under_either_form_of_the_phone(provider: Provider, form: str) -> None:
    """Providers know Brazilian phones with and without the ninth digit."""
    sent = send(provider, "oi")
    assert [trace.provider_message_id for trace in provider.traces([sought(form)])] == [sent]


@pytest.mark.scoreboard("R14", tier="commit")
def test_several_people_are_asked_about_at_once(provider: Provider) -> None:
    """And nobody is found who was not written to."""
    ids = {send(provider, "oi"), send(provider, "oi", OTHER)}
    found = provider.traces([sought(), sought(OTHER), sought("5521955554444")])
    assert {trace.provider_message_id for trace in found} == ids


def evolution_client(evolution: EvolutionCalls, http: httpx.Client) -> EvolutionClient:
    """A client for an instance that is open."""
    evolution.opened(NAME)
    return EvolutionClient(
        NAME, GLOBAL_KEY, base_url=evolution.server.base_url, http=http, timeout_s=5.0, call_timeout_s=5.0
    )


def test_evolution_searches_between_two_times_alone(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """What was sent before or after is not found; its own filter needs both bounds, so it gets both."""
    client = evolution_client(evolution, http)
    send(client, "oi")
    assert client.traces([sought(since_s=-600, until_s=-300)]) == []
    assert client.traces([sought(since_s=300, until_s=600)]) == []
    assert len(client.traces([sought()])) == 1


def test_evolution_turns_every_page(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """More than one page of fifty to one person: all of them, once each."""
    client = evolution_client(evolution, http)
    ids = {send(client, f"texto {place}") for place in range(53)}
    found = [trace.provider_message_id for trace in client.traces([sought()])]
    assert (len(found), set(found)) == (53, ids)


def test_evolution_tells_a_hand_from_the_api(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """What was typed on the phone is found as such; what the person wrote is not found at all."""
    client = evolution_client(evolution, http)
    evolution.control("inbound", instance=NAME, **{"from": PERSON}, text="oi", from_me=True)
    evolution.control("inbound", instance=NAME, **{"from": PERSON}, text="quem é?")
    assert [(trace.sent_by, trace.text) for trace in client.traces([sought()])] == [("hand", "oi")]


def test_evolution_has_no_queue_to_withdraw_from(evolution: EvolutionCalls, http: httpx.Client) -> None:
    """Said, rather than passed over: what it took is gone."""
    with pytest.raises(ProviderError, match="no queue"):
        evolution_client(evolution, http).withdraw("Z1")


def test_zapi_withdraws_one_message_from_its_queue(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """Just that one; told again, it is no error."""
    simulator.control("disconnect", instance_id=simulator.instances()[0]["id"])
    for text in ("um", "dois"):
        send(zapi, text)
    first, second = zapi.traces([sought()])
    for _ in range(2):
        zapi.withdraw(first.provider_queue_id or "")
    assert zapi.traces([sought()]) == [second]


def test_zapi_knows_nothing_of_what_has_left_its_queue(simulator: SimulatorProcess, zapi: ZApiClient) -> None:
    """What WhatsApp has, its queue does not tell: nothing is no proof."""
    send(zapi, "oi")
    assert zapi.traces([sought()]) == []


ODD: list[Callable[[Conversation], None]] = [
    lambda talk: talk.answer(200, b'{"messages": "many"}'),
    lambda talk: talk.answer(200, b"[]"),
    lambda talk: talk.answer(200, b"<html>"),
    lambda talk: talk.answer(500, b"{}"),
    Conversation.close,
    Conversation.hang,
]


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("behave", ODD)
def test_an_answer_that_is_none_says_nothing(behave: Any, script: Script, make: Make) -> None:
    """Odd shapes, errors and silence raise: they must not pass for "it has none"."""
    with pytest.raises(ProviderError):
        make(script(behave).base_url).traces([sought()])


def test_odd_entries_are_passed_over(script: Script, make: Make, adapter: Adapter) -> None:
    """One record that cannot be read does not hide the others, and raises nothing."""
    records: dict[str, dict[str, Any]] = {
        "zapi": {"ZaapId": "Z", "MessageId": "M", "Phone": PERSON, "Message": "oi"},
        "evolution": {
            "key": {"id": "M", "fromMe": True, "remoteJid": f"{PERSON}@s.whatsapp.net"},
            "message": {"conversation": "oi"},
            "messageTimestamp": int(datetime.now(UTC).timestamp()),
        },
    }
    good = records[adapter.name]
    entries = [None, 7, {}, {"key": 1, "ZaapId": 3}, good, {**good, "Phone": 5, "key": {"id": 5}}]
    messages: Any = entries if adapter.name == "zapi" else {"records": entries, "pages": "x"}
    wrapped = {"messages": messages}
    server = script(lambda talk: talk.answer(200, json.dumps(wrapped).encode()))
    found = make(server.base_url).traces([sought()])
    assert {trace.provider_message_id for trace in found} == {"M"}
