"""Whether a number is connected, as far as its provider lets us know."""

import json
from typing import Any

import pytest

from shared.providers.base import ChannelState
from tests.contract.adapters import ADAPTERS, State
from tests.contract.conftest import Make, Script
from tests.contract.scripted_server import Conversation

EVERY_STATE = [
    pytest.param(adapter, row, id=f"{adapter.name} {row[0]} {json.dumps(row[1])[:50]}")
    for adapter in ADAPTERS
    for row in adapter.states
]


@pytest.mark.parametrize(("adapter", "row"), EVERY_STATE)
def test_state_says_only_what_the_answer_says(row: State, script: Script, make: Make) -> None:
    """Connected, disconnected, or could not tell: an answer without a plain yes or no is no
    "disconnected"."""
    http_status, body, connected, refused = row
    server = script(lambda talk: talk.answer(http_status, json.dumps(body).encode()))
    state = make(server.base_url).state()

    assert (connected, refused) == (state.connected, state.account_refused)


@pytest.mark.parametrize("behave", [Conversation.close, Conversation.reset, Conversation.hang])
def test_state_of_a_silent_provider_is_unknown(behave: Any, script: Script, make: Make) -> None:
    """A provider that does not answer says nothing about the phone, and raises nothing."""
    state = make(script(behave).base_url).state()

    assert isinstance(state, ChannelState)
    assert state.connected is None
    assert state.account_refused is None
    assert state.detail
