"""Stop and start said aloud: understood when the audio is heard, and obeyed like the written ones."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.db import Database
from shared.openai_agent import OpenAIAgent
from shared.texts_pt import conversation
from tests.agent_server import AgentServer, agent_server, loopback_media
from tests.database.talking import SETTINGS, Talk
from tests.database.world import World


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """The agent's service over real HTTP."""
    with agent_server() as running:
        yield running


@pytest.fixture
def talk(world: World, db: Database, service: AgentServer) -> Iterator[Talk]:
    """A person, a number and an agent that hears."""
    settings = replace(SETTINGS, agent_url=service.url, transcription_model="whisper-1", agent_timeout_s=60)
    agent = OpenAIAgent(settings, loopback_media())
    yield Talk(world, db, agent, settings)
    agent.close()


def speak(talk: Talk, service: AgentServer, words: str) -> None:
    """An audio of the person, answered."""
    service.transcript = {"text": words}
    talk.say(None, message_kind="audio", media_url=service.file("/1.ogg"))
    assert talk.answer()


def stops(talk: Talk) -> list[bool]:
    """Each stop of the person: whether it is in force."""
    rows = talk.world.rows("select opted_in_at is null as holds from messaging.opt_outs order by id")
    return [row["holds"] for row in rows]


@pytest.mark.parametrize(
    "columns",
    [{}, {"status": "trial", "trial_conversations_count": 5}, {"status": "canceled"}],
    ids=["active", "trial over", "canceled"],
)
def test_spoken_stop_is_obeyed_and_confirmed(
    talk: Talk, service: AgentServer, columns: dict[str, object]
) -> None:
    """What is proactive is withdrawn from every number, whoever the person is to us; no agent is asked."""
    talk.set(**columns)
    waiting = [talk.nudge("content"), talk.nudge("session_1h")]
    kept = talk.nudge("direct")
    speak(talk, service, "Sair.")
    assert talk.texts() == [conversation.stopped("Ana")] and stops(talk) == [True]
    assert [talk.world.state(message) for message in waiting] == ["withdrawn", "withdrawn"]
    assert talk.world.state(kept) == "queued" and service.questions == []
    assert ("user", "Sair.") in talk.history()


def test_spoken_stop_of_who_had_stopped_is_not_confirmed_again(talk: Talk, service: AgentServer) -> None:
    """Confirmed once."""
    speak(talk, service, "sair")
    speak(talk, service, "parar")
    assert talk.texts() == [conversation.stopped("Ana")] and stops(talk) == [True]


def test_spoken_start_undoes_stop(talk: Talk, service: AgentServer) -> None:
    """And is confirmed; said by somebody who never stopped it is a word for the agent."""
    speak(talk, service, "Voltar.")
    assert talk.texts() == ["Que bom te ouvir."] and stops(talk) == []
    talk.say("SAIR", command="stop")
    assert talk.answer()
    speak(talk, service, "Voltar.")
    assert talk.texts()[-1] == conversation.started("Ana") and stops(talk) == [False]


def test_stop_inside_a_spoken_sentence_orders_nothing(talk: Talk, service: AgentServer) -> None:
    """Whoever tells that she goes out does not opt out."""
    speak(talk, service, "Hoje eu vou sair com as amigas.")
    assert talk.texts() == ["Que bom te ouvir."] and stops(talk) == []
