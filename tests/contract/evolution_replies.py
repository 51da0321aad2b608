"""A scripted Evolution server that answers by method and route, and the client under test at its address."""

import json
from collections.abc import Iterable
from typing import Any

import httpx

from shared.providers.evolution import EvolutionClient
from tests.contract.adapters import API_KEY, INSTANCE_NAME
from tests.contract.conftest import Script
from tests.contract.evolution_answers import UNKNOWN_INSTANCE
from tests.contract.scripted_server import Behaviour, Conversation, ScriptedServer

Given = tuple[int, Any] | Behaviour
GONE: Given = (404, UNKNOWN_INSTANCE)


def state(word: str | None) -> tuple[int, Any]:
    """An answer to connectionState."""
    return 200, {"instance": {"instanceName": INSTANCE_NAME} | ({"state": word} if word else {})}


class Replies:
    """Answers by method and route, each list in order and its last for ever."""

    def __init__(self, **routes: Iterable[Given]) -> None:
        self._routes = {name: list(answers) for name, answers in routes.items()}
        self.asked: list[str] = []

    def __call__(self, talk: Conversation) -> None:
        """`GET /instance/connectionState/x` is `get_connectionState`."""
        method, target = self.server.requests[-1].split(b" ")[:2]
        name = f"{method.decode().lower()}_{target.decode().split('/')[2]}"
        self.asked.append(name)
        answers = self._routes[name]
        given = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(given):
            return given(talk)
        return talk.answer(given[0], json.dumps(given[1]).encode())

    def started(self, script: Script) -> ScriptedServer:
        """The server that gives these answers."""
        self.server = script(self)
        return self.server


def client_at(base_url: str, http: httpx.Client, timeout_s: float = 2.0) -> EvolutionClient:
    """The client under test."""
    return EvolutionClient(
        INSTANCE_NAME, API_KEY, base_url=base_url, http=http, timeout_s=timeout_s, call_timeout_s=timeout_s
    )
