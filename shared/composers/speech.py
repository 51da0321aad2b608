"""A text that somebody wants heard: the agent's service speaks it, the words stay the same."""

from shared.agent import Agent
from shared.compose import Composed, Draft
from shared.db import Calls


def compose(agent: Agent, _db: Calls, draft: Draft) -> Composed | None:
    """The same text, spoken; None, so that it goes to be read, where the service has no voice now."""
    text = draft.content["text"]
    spoken_url = agent.speak(text)
    return None if spoken_url is None else Composed(text, spoken_url=spoken_url)
