"""The agent's line of conversation-followup: over a real service, a real draft and a real history."""

from collections.abc import Iterator
from uuid import UUID

import pytest
import structlog

from shared.agent import Agent, FixedAgent
from shared.compose import DraftDuty
from shared.db import Database
from shared.openai_agent import OpenAIAgent
from shared.settings import Settings
from tests.agent_server import AgentServer, agent_server, failing
from tests.database.nudging import (
    NOON,
    ago,
    conversation_of,
    delivered,
    insert,
    run,
    texts,
    with_conversation,
)
from tests.database.world import BentClock, World

FUNCTION = "conversation-followup"
pytestmark = pytest.mark.usefixtures("noon")
CONTEXT = "prova da faculdade | ansiosa | pausas e sono"


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """The service."""
    with agent_server() as service:
        yield service


@pytest.fixture
def agent(service: AgentServer) -> Iterator[Agent]:
    """Our side of it."""
    agent = OpenAIAgent(Settings(agent_url=service.url, agent_key="key", agent_timeout_s=5.0))
    yield agent
    agent.close()


@pytest.fixture
def noon(world: World, bent_clock: BentClock) -> BentClock:
    """A number without gaps, at noon."""
    bent_clock.move_to(NOON)
    world.number(gap=(0, 0))
    return bent_clock


def talked(world: World, context: str | None = None) -> UUID:
    """A resting conversation of two messages."""
    profile = with_conversation(world, wrote="1 hour", conversation_context=context)
    for role, content, before in (
        ("user", "Tenho uma prova amanhã e não consigo dormir", "65 minutes"),
        ("assistant", "O que pesa mais: a prova ou a noite?", "60 minutes"),
    ):
        insert(world, "messages", profile, role=role, content=content, created_at=ago(world, before))
    return profile


def composed(world: World, db: Database, agent: Agent) -> str:
    """Runs the function, composes its draft, and tells in which state the message is then."""
    run(db, FUNCTION)
    assert DraftDuty(db, agent, structlog.get_logger(), agent_timeout_s=5.0).run_once("w1")
    return str(world.value("select dispatch_state from messaging.outbox order by id desc limit 1"))


def fixed(world: World) -> str:
    """The fixed line that the function hands to the outbox."""
    return str(world.value("select content ->> 'text' from messaging.outbox order by id desc limit 1"))


def test_the_line_and_the_context_come_from_what_was_said(
    world: World, db: Database, service: AgentServer, agent: Agent
) -> None:
    """First what it was about, then one line about that; both are kept when the line went out."""
    profile = talked(world)
    service.say(CONTEXT, "“Como você chegou em casa depois da prova?”\nBeijos")
    assert composed(world, db, agent) == "queued"
    assert texts(delivered(world)) == ["Como você chegou em casa depois da prova?"]
    assert conversation_of(world, profile)["conversation_context"] == CONTEXT
    about, line = service.questions
    assert "Tenho uma prova amanhã" in about.words and "a prova ou a noite?" in about.words
    assert CONTEXT in line.words


def test_a_good_context_is_not_asked_for_again(
    world: World, db: Database, service: AgentServer, agent: Agent
) -> None:
    """One question, about what is known already."""
    profile = talked(world, CONTEXT)
    service.say("Conseguiu descansar?")
    assert composed(world, db, agent) == "queued"
    assert texts(delivered(world)) == ["Conseguiu descansar?"]
    assert len(service.questions) == 1
    assert conversation_of(world, profile)["conversation_context"] == CONTEXT


@pytest.mark.parametrize("weak", ["", "oi", "Conversa Casual", "a" * 15])
def test_a_weak_context_is_asked_for_again(
    world: World, db: Database, service: AgentServer, agent: Agent, weak: str
) -> None:
    """Fifteen characters or a filler say nothing."""
    profile = talked(world, weak)
    service.say(CONTEXT, "Conseguiu descansar?")
    assert composed(world, db, agent) == "queued"
    delivered(world)
    assert len(service.questions) == 2
    assert conversation_of(world, profile)["conversation_context"] == CONTEXT


@pytest.mark.parametrize(
    "skip", ["SKIP", "skip.", '"SKIP"', "**SKIP**", "SKIP - ela pediu um tempo", " \nSKIP"]
)
def test_skip_withdraws_the_message(
    world: World, db: Database, service: AgentServer, agent: Agent, skip: str
) -> None:
    """Where silence is kinder nothing goes out, and no later run of the same silence asks again."""
    profile = talked(world, CONTEXT)
    service.say(skip)
    assert composed(world, db, agent) == "withdrawn"
    assert delivered(world) == []
    assert conversation_of(world, profile)["followup_count"] == 0
    world.rows("update messaging.bent_clock set now = now + interval '1 hour'")
    assert run(db, FUNCTION)["followupsSent"] == 0


@pytest.mark.parametrize("about", ["CASUAL", "casual.", "", "conversa casual"])
def test_casual_talk_gets_the_fixed_line(
    world: World, db: Database, service: AgentServer, agent: Agent, about: str
) -> None:
    """Nothing to pick up, so the agent is not asked for a line."""
    talked(world)
    service.say(about)
    assert composed(world, db, agent) == "queued"
    assert fixed(world).startswith("Ana, ")
    assert len(service.questions) == 1


def test_without_a_service_and_without_a_word_the_fixed_line_goes(
    world: World, db: Database, service: AgentServer, agent: Agent
) -> None:
    """The agent that is off, the one that fails, and a conversation of which nothing is kept."""
    talked(world)
    assert composed(world, db, FixedAgent()) == "queued"
    service.trouble = failing(500)
    talked(world, CONTEXT)
    assert composed(world, db, agent) == "queued"
    service.trouble = None
    service.requests.clear()
    with_conversation(world, wrote="1 hour")
    assert composed(world, db, agent) == "queued"
    assert service.requests == []
    assert all(text.startswith("Ana, ") for text in texts(delivered(world)))


def test_a_line_that_is_too_long_is_shortened_or_not_taken(
    world: World, db: Database, service: AgentServer, agent: Agent
) -> None:
    """At most 200 characters reach a person: whole sentences, or the fixed line."""
    talked(world, CONTEXT)
    service.say("Conseguiu descansar? " + "Fiquei pensando em tudo o que você me contou. " * 20)
    assert composed(world, db, agent) == "queued"
    talked(world, CONTEXT)
    service.say("a" * 5000)
    assert composed(world, db, agent) == "queued"
    first, second = sorted(texts(delivered(world)), reverse=True)
    assert first.startswith("Conseguiu descansar?") and len(first) <= 200
    assert second.startswith("Ana, ")
