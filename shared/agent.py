"""The AI services around us behind one small protocol: answers, paragraphs, transcription, speech.

What speaks to a real service lives in shared/openai_agent. Its failures are an answer (None), not an
exception.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

from shared.settings import Settings

SessionStage = Literal["beginning", "running"]
ConversationStatus = Literal["complete", "awaiting", "neutral"]
CONVERSATION_STATUSES: tuple[ConversationStatus, ...] = get_args(ConversationStatus)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a person wrote, and what the agent may know of them.

    `history`: what was said before, oldest first, as {"role": "user" or "assistant", "content": text}.
    `trial_count`: which conversation of a trial this is, from 1; None for everyone else. `pending_content`:
    what an earlier answer did not get to say; `pending_context`: the app's remark about it. `session_stage`:
    a booked session begins with this answer, or is running; None outside of one.
    """

    name: str | None
    text: str = field(repr=False)
    is_audio: bool = False
    history: Sequence[Mapping[str, str]] = field(default=(), repr=False)
    trial_count: int | None = None
    pending_content: str | None = field(default=None, repr=False)
    pending_context: str | None = field(default=None, repr=False)
    session_stage: SessionStage | None = None


@dataclass(frozen=True)
class Bubble:
    """One message of an answer; `spoken`: the agent wants it heard rather than read."""

    text: str = field(repr=False)
    spoken: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer: one to eight bubbles, each of 1 to 1,500 characters and without internal tags.

    `do_not_disturb_h`: for how many hours the person asked to be left alone (above 0, at most 168).
    """

    bubbles: Sequence[Bubble]
    conversation_status: ConversationStatus = "neutral"
    session_active: bool = False
    do_not_disturb_h: float | None = None


class Agent(Protocol):
    """Every method answers within about settings.agent_timeout_s, never raises, and says None where the
    service is off or failed: then the caller's fixed text stands. Threads may share it."""

    def answer(self, request: Request) -> Reply | None:
        """The answer to what a person wrote."""

    def write(self, instructions: str, material: str, *, longest: int) -> str | None:
        """A text of at most `longest` characters; a longer one loses whole sentences at its end."""

    def transcribe(self, audio_url: str) -> str | None:
        """What is said in the audio at an http or https address (at most 16 MiB)."""

    def speak(self, text: str) -> str | None:
        """The text (at most 4,096 characters) as a data URI of an MP3 (at most 4 MiB)."""

    def close(self) -> None:
        """Releases connections; whoever made the agent calls it once, at the end."""


class FixedAgent:
    """The agent that is off: no answer of its own to anything."""

    def answer(self, request: Request) -> Reply | None:
        """None: the fixed answer stands."""
        return None

    def write(self, instructions: str, material: str, *, longest: int) -> str | None:
        """None: the fixed text stands."""
        return None

    def transcribe(self, audio_url: str) -> str | None:
        """None: an apology is sent."""
        return None

    def speak(self, text: str) -> str | None:
        """None: the text is sent to be read."""
        return None

    def close(self) -> None:
        """Nothing is open."""


def from_settings(settings: Settings) -> Agent:
    """The service at settings.agent_url; the agent that is off where none is set."""
    if settings.agent_url is None:
        return FixedAgent()
    # Not at the top: the adapter is made of this module's words.
    from shared.openai_agent import OpenAIAgent  # noqa: PLC0415

    return OpenAIAgent(settings)
