"""What the unit tests of the agent share: an agent at an address, and the one line that a failure logs."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from shared.openai_agent import OpenAIAgent
from shared.settings import Settings
from tests.agent_server import loopback_media

KEY = "sk-CANARY-0123456789"
WORDS = "segredo-da-pessoa"
PATIENCE_S = 20.0
SHORT_PATIENCE_S = 0.4
# For a busy machine; the slow services would take twenty seconds and more.
MARGIN_S = 5.0
Said: TypeAlias = list[Mapping[str, Any]]


def agent_at(url: str, key: str = KEY, timeout_s: float = PATIENCE_S) -> OpenAIAgent:
    """The agent over a service, with every model set."""
    return OpenAIAgent(
        Settings(
            agent_url=url,
            agent_key=key,
            transcription_model="ear-1",
            speech_model="mouth-1",
            agent_timeout_s=timeout_s,
        ),
        loopback_media(),
    )


def expect_one_line(said: Said, call: str, *, in_time: bool = True) -> None:
    """A warning that says which call failed and why, without the key and without anybody's words."""
    (line,) = said
    assert line["log_level"] == "warning"
    assert (line["event"], line["call"]) == ("the agent failed", call)
    assert (line["why"] != "out of time") is in_time
    assert KEY not in repr(line)
    assert WORDS not in repr(line)
