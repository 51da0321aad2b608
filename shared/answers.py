"""What a turn is answered without an agent: orders, ratings, confirmations, a session that begins, refusals.

Pure: a turn in, its answer out. How words are read stands in shared/quick_answers, how a turn is taken and
ended in shared/turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared import quick_answers
from shared.inbox import Part, Turn
from shared.quick_answers import Command
from shared.texts_pt import conversation

TRIAL_CONVERSATIONS = 5
TRIAL_TOLD_EVERY_S = 24 * 3600.0
CANCELED_TOLD_EVERY_S = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Answered:
    """What a turn is answered, what that means for the app (inbox.finish_turn), and its name for the log."""

    what: str
    parts: Sequence[Part] = field(default=(), repr=False)
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)


def fixed(turn: Turn, *, is_open: bool = False) -> Answered:
    """The answer while no agent composes one; `is_open`: the conversation goes on."""
    text = conversation.fixed_answer(turn.profile_name)
    return Answered("fixed", [Part(text)], {"conversation": "open" if is_open else "closed"})


def not_heard(turn: Turn) -> Answered:
    """The apology for an audio that nobody heard."""
    return Answered(
        "not heard", [Part(conversation.not_heard(turn.profile_name))], {"conversation": "closed"}
    )


def ordered(turn: Turn, command: Command) -> Answered:
    """The one confirmation of a stop or a start that was obeyed already."""
    say = conversation.stopped if command == "stop" else conversation.started
    return Answered(command, [Part(say(turn.profile_name))], {"conversation": "closed"})


def spoken_order(turn: Turn, transcripts: Mapping[str, str]) -> Answered | None:
    """A stop or a start that was said aloud: finish_turn obeys it. None where nobody ordered anything, or
    a start word is said by somebody who never stopped: that is a word."""
    opted_out = bool(turn.facts.get("opted_out"))
    orders = [command for text in transcripts.values() if (command := quick_answers.command(text))]
    if "stop" in orders:
        # Confirmed once, as at the door.
        answered = Answered("stop", (), {"conversation": "closed"}) if opted_out else ordered(turn, "stop")
    elif "start" in orders and opted_out:
        answered = ordered(turn, "start")
    else:
        return None
    return Answered(answered.what, answered.parts, {**answered.result, "command": answered.what})


def refused(turn: Turn, checkout_url: str | None) -> Answered | None:
    """For whom no agent is asked: a trial that is used up, a subscription that is over. Told now and then,
    in between silence."""
    facts = turn.facts
    used = facts.get("trial_conversations_count") or 0
    if facts.get("status") == "trial" and used >= TRIAL_CONVERSATIONS:
        what, every_s = "trial over", TRIAL_TOLD_EVERY_S
        text = conversation.trial_over(turn.profile_name, checkout_url)
    elif facts.get("status") == "canceled":
        what, every_s = "canceled", CANCELED_TOLD_EVERY_S
        text = conversation.canceled(turn.profile_name, checkout_url)
    else:
        return None
    told_s = facts.get("limit_told_s")
    if told_s is not None and float(told_s) < every_s:
        return Answered(what, result={"conversation": "closed"})
    return Answered(what, [Part(text)], {"conversation": "closed", "limit_told": True})


def paused_journeys(turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
    """The wish to pause the journeys, and which message is nothing else (functions 2.14)."""
    for index, text in enumerate(said):
        if quick_answers.pauses_journeys(text):
            told = Part(conversation.journeys_paused(turn.profile_name))
            result = {"journeys_paused": True, "conversation": "closed"}
            return index, Answered("journeys paused", [told], result)
    return None


def quick(turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
    """The answer to what was asked for, and which message is nothing else; the latest question first."""
    return (
        _rating(turn, said)
        or _beginning(turn, said)
        or _confirmation(turn, said)
        or paused_journeys(turn, said)
    )


def _rating(turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
    if asked := turn.facts.get("open_rating"):
        for index, text in enumerate(said):
            if (given := quick_answers.rating(text)) is not None:
                rating = {"session_id": asked["session_id"], "rating": given}
                thanks = Part(conversation.rated(turn.profile_name, given))
                return index, Answered("rating", [thanks], {"rating": rating, "conversation": "closed"})
    return None


def _beginning(turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
    if asked := turn.facts.get("announced_session"):
        for index, text in enumerate(said):
            if quick_answers.begins(text):
                told = Part(conversation.session_begun(turn.profile_name))
                result = {"begun_session_id": asked["session_id"], "conversation": "open"}
                return index, Answered("session begun", [told], result)
    return None


def _confirmation(turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
    if asked := turn.facts.get("awaiting_confirmation"):
        for index, text in enumerate(said):
            if quick_answers.confirms(text):
                told = Part(conversation.confirmed(turn.profile_name, asked["date"], asked["time"]))
                result = {"confirmed_session_id": asked["session_id"], "conversation": "closed"}
                return index, Answered("confirmation", [told], result)
    return None
