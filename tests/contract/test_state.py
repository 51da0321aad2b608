"""Whether a number is connected, as far as its provider lets us know."""

import json
from typing import Any

import pytest

from shared.providers.base import ChannelState
from tests.contract.conftest import Make, Script
from tests.contract.scripted_server import Conversation
from tests.contract.zapi_answers import LAPSED, NO_ROUTE

STATES: list[tuple[int, Any, bool | None, str | None]] = [
    (
        200,
        {"connected": True, "smartphoneConnected": True, "error": "You are already connected."},
        True,
        None,
    ),
    (200, {"connected": True, "error": None}, True, None),
    (200, {"connected": False, "session": False, "error": "You are not connected."}, False, None),
    (200, {"connected": False, "error": "You need to restore the session"}, False, None),
    (200, {"connected": "true"}, None, None),
    (200, {"error": "You are not connected"}, None, None),
    (200, {}, None, None),
    (200, [], None, None),
    (200, NO_ROUTE, None, None),
    (200, {"error": LAPSED}, None, "subscription_lapsed"),
    (400, {"error": LAPSED}, None, "subscription_lapsed"),
    (403, {"error": "Client-Token x not allowed"}, None, "client_token_refused"),
    (404, {"error": "Instance not found"}, None, "instance_not_found"),
    (401, {}, None, "account_refused"),
    (400, {"error": "You are not connected"}, False, None),
    (500, {"connected": True}, None, None),
    (429, {}, None, None),
]


@pytest.mark.parametrize("row", STATES, ids=lambda row: f"{row[0]} {json.dumps(row[1])[:50]}")
def test_state_says_only_what_the_answer_says(
    row: tuple[int, Any, bool | None, str | None], script: Script, make: Make
) -> None:
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
