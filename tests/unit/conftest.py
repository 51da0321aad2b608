"""Fixtures of the unit tests: a service for the agent, and what is logged."""

from collections.abc import Iterator

import pytest
import structlog

from shared.openai_agent import OpenAIAgent
from tests.agent_server import AgentServer, agent_server
from tests.unit.agents import SHORT_PATIENCE_S, Said, agent_at


@pytest.fixture
def service() -> Iterator[AgentServer]:
    """A service of the OpenAI shapes that works, until a test makes it fail."""
    with agent_server() as running:
        yield running


@pytest.fixture
def said() -> Iterator[Said]:
    """What was logged, as it is before it is masked."""
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


@pytest.fixture
def agent(service: AgentServer, said: Said) -> Iterator[OpenAIAgent]:
    """The agent over the failing service, with all the patience in the world."""
    made = agent_at(service.url)
    yield made
    made.close()


@pytest.fixture
def hasty(service: AgentServer, said: Said) -> Iterator[OpenAIAgent]:
    """The same with hardly any."""
    made = agent_at(service.url, timeout_s=SHORT_PATIENCE_S)
    yield made
    made.close()
