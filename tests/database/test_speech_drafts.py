"""A text that somebody wants heard: spoken before its turn, and read where that cannot be."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared import log
from shared.agent import FixedAgent
from shared.compose import DraftDuty
from shared.db import Database
from shared.openai_agent import OpenAIAgent
from shared.settings import Settings
from tests.agent_server import AgentServer, agent_server, failing
from tests.database.drafts import draft
from tests.database.world import Row, World

WORDS = "Sua sessão foi marcada."


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """The agent's service over real HTTP."""
    with agent_server() as running:
        yield running


@pytest.fixture
def agent(service: AgentServer) -> Iterator[OpenAIAgent]:
    """An agent that speaks."""
    speaking = OpenAIAgent(Settings(agent_url=service.url, speech_model="tts-1", agent_timeout_s=60))
    yield speaking
    speaking.close()


def spoken(world: World) -> int:
    """A message to be spoken, enqueued for a person; its id."""
    number = world.number(gap=(0, 0))
    profile = world.profile(instance=number)
    return draft(world, number, purpose="direct", compose="speech", text=WORDS, profile_id=str(profile))


def history(world: World) -> list[str]:
    """What the app's chat history holds."""
    return [row["content"] for row in world.rows("select content from public.messages")]


def send(world: World, **outcome: Any) -> Row:
    """The message at the head, begun and settled; what was begun."""
    [claimed] = world.claim()
    begun = world.begin(claimed)
    world.record(begun["attempt_id"], **outcome)
    return begun


def test_text_is_spoken_and_stands_in_the_history_in_words(
    world: World, db: Database, agent: OpenAIAgent, service: AgentServer
) -> None:
    """An MP3 for the ear, the words for the app."""
    message = spoken(world)
    assert DraftDuty(db, agent, log.get()).run_once("w")
    assert service.requests[0].json["input"] == WORDS
    content = send(world)["content"]
    assert content["kind"] == "audio" and content["media_url"].startswith("data:audio/mpeg;base64,")
    assert set(content) == {"kind", "media_url"} and world.state(message) == "accepted"
    assert history(world) == [WORDS]


@pytest.mark.parametrize("trouble", ["failing", "off"])
def test_text_goes_to_be_read_where_nobody_speaks(
    world: World, db: Database, agent: OpenAIAgent, service: AgentServer, trouble: str
) -> None:
    """A service that fails, or none: the message is not lost."""
    spoken(world)
    service.trouble = failing(500)
    assert DraftDuty(db, agent if trouble == "failing" else FixedAgent(), log.get()).run_once("w")
    assert send(world)["content"] == {"kind": "text", "text": WORDS}
    assert history(world) == [WORDS]


def test_refused_audio_goes_to_be_read_once(world: World, db: Database, agent: OpenAIAgent) -> None:
    """Audio first, then text (functions 2.3); the words stand in the history once, when they are accepted."""
    first = spoken(world)
    assert DraftDuty(db, agent, log.get()).run_once("w")
    send(world, outcome="rejected")
    assert world.state(first) == "rejected" and history(world) == []
    assert send(world)["content"] == {"kind": "text", "text": WORDS}
    assert history(world) == [WORDS] and world.claim() == []


def test_refused_text_is_not_tried_in_other_words(world: World) -> None:
    """There is nothing to fall back to."""
    number = world.number(gap=(0, 0))
    world.enqueue(number, purpose="direct")
    send(world, outcome="rejected")
    assert world.claim() == []
