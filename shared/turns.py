"""Answering people: one turn at a time, composed, enqueued on the number that was written to.

The order of what is looked at is the original's (functions 2.2, steps 8 to 13); words that need no agent are
read in shared/quick_answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from structlog.typing import FilteringBoundLogger

from shared import clock, inbox, quick_answers
from shared.agent import Agent, Bubble, Request
from shared.db import Calls
from shared.errors import DatabaseUnavailable, RoletaError
from shared.inbox import Part, Turn
from shared.redaction import clean_text
from shared.settings import Settings
from shared.texts_pt import conversation

ENQUEUED_BY = "webhook-zapi"
TRIAL_CONVERSATIONS = 5
TRIAL_TOLD_EVERY_S = 24 * 3600.0
CANCELED_TOLD_EVERY_S = 7 * 24 * 3600.0
# What finishing a turn may take after the last word of the agent.
FINISH_S = 20.0


@dataclass(frozen=True)
class Answered:
    """What a turn is answered, what that means for the app (inbox.finish_turn), and its name for the log."""

    what: str
    parts: Sequence[Part] = field(default=(), repr=False)
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)


class TurnDuty:
    """What a worker does about people who wait for an answer. Threads and processes may share the work."""

    def __init__(self, db: Calls, settings: Settings, log: FilteringBoundLogger, agent: Agent) -> None:
        self._db = db
        self._settings = settings
        self._log = log
        self._agent = agent
        # Long enough for an audio, an answer and its speech, each as slow as the agent may be.
        self._lease_s = 60.0 if settings.agent_url is None else 60.0 + 3 * settings.agent_timeout_s

    def run_once(self, worker: str) -> bool:
        """Answers one person who has gone silent; False when nobody waits.

        Errors of the database pass through: the turn's lease ends and another worker takes it.
        """
        turn = inbox.claim_turn(self._db, worker, lease_s=self._lease_s)
        if turn is None:
            return False
        time = _Time(clock.monotonic() + self._lease_s, self._settings.agent_timeout_s)
        answered = self._answer(turn, time)
        done = inbox.finish_turn(
            self._db,
            turn,
            answered.parts,
            by=ENQUEUED_BY,
            result=answered.result,
            debounce_s=self._settings.reply_debounce_s,
        )
        self._log.info(
            "turn.answered" if done.finished else "turn.lost",
            worker=worker,
            instance_id=str(turn.instance_id),
            last_event_id=turn.last_event_id,
            events=len(turn.events),
            what=answered.what,
            message_ids=done.message_ids,
        )
        return True

    def _answer(self, turn: Turn, time: "_Time") -> Answered:
        if not turn.events:
            # Another worker answered them after this turn's lease was lost.
            return Answered("nothing")
        name = turn.profile_name
        orders = [event["command"] for event in turn.events if event.get("command")]
        if orders:
            text = conversation.stopped(name) if orders[-1] == "stop" else conversation.started(name)
            return Answered(orders[-1], [Part(text)], {"conversation": "closed"})
        if (refused := self._refused(turn)) is not None:
            return refused
        transcripts = self._transcripts(turn.events, time)
        texts = [_text(event) or transcripts.get(str(event["event_id"])) for event in turn.events]
        said = [text for text in texts if text]
        if not said:
            return Answered("not heard", [Part(conversation.not_heard(name))], {"conversation": "closed"})
        answered = self._composed(turn, said, time)
        return replace(answered, result={**answered.result, "transcripts": transcripts, "counts": True})

    def _refused(self, turn: Turn) -> Answered | None:
        """For whom no agent is asked: a trial that is used up, a subscription that is over. Told now and
        then, in between silence."""
        facts, url = turn.facts, self._settings.checkout_url
        used = facts.get("trial_conversations_count") or 0
        if facts.get("status") == "trial" and used >= TRIAL_CONVERSATIONS:
            what, every_s = "trial over", TRIAL_TOLD_EVERY_S
            text = conversation.trial_over(turn.profile_name, url)
        elif facts.get("status") == "canceled":
            what, every_s = "canceled", CANCELED_TOLD_EVERY_S
            text = conversation.canceled(turn.profile_name, url)
        else:
            return None
        told_s = facts.get("limit_told_s")
        if told_s is not None and float(told_s) < every_s:
            return Answered(what, result={"conversation": "closed"})
        return Answered(what, [Part(text)], {"conversation": "closed", "limit_told": True})

    def _transcripts(self, events: Sequence[Mapping[str, Any]], time: "_Time") -> dict[str, str]:
        """What could be heard of the audios, by event id, as messaging.finish_turn stores it."""
        heard: dict[str, str] = {}
        for event in events:
            url = event.get("media_url")
            if event["message_kind"] != "audio" or _text(event) or not url or not time.is_left(for_calls=2):
                continue
            if text := clean_text(self._agent.transcribe(url) or "").strip():
                heard[str(event["event_id"])] = text
        return heard

    def _composed(self, turn: Turn, said: Sequence[str], time: "_Time") -> Answered:
        """The quick answer to a message that is one, and the agent's answer to everything else."""
        quick = self._quick(turn, said)
        if quick is None:
            return self._of_agent(turn, said, time)
        index, answered = quick
        rest = [*said[:index], *said[index + 1 :]]
        if not rest:
            return answered
        more = self._of_agent(turn, rest, time)
        if more.what != "agent":
            return answered
        parts, result = [*answered.parts, *more.parts], {**answered.result, **more.result}
        return Answered(f"{answered.what}, agent", parts, result)

    def _quick(self, turn: Turn, said: Sequence[str]) -> tuple[int, Answered] | None:
        """A rating or a confirmation that was asked for, and which message is nothing else."""
        name, facts = turn.profile_name, turn.facts
        if asked := facts.get("open_rating"):
            for index, text in enumerate(said):
                if (given := quick_answers.rating(text)) is not None:
                    rating = {"session_id": asked["session_id"], "rating": given}
                    thanks = Part(conversation.rated(name, given))
                    return index, Answered("rating", [thanks], {"rating": rating, "conversation": "closed"})
        if asked := facts.get("awaiting_confirmation"):
            for index, text in enumerate(said):
                if quick_answers.confirms(text):
                    told = Part(conversation.confirmed(name, asked["date"], asked["time"]))
                    result = {"confirmed_session_id": asked["session_id"], "conversation": "closed"}
                    return index, Answered("confirmation", [told], result)
        return None

    def _of_agent(self, turn: Turn, said: Sequence[str], time: "_Time") -> Answered:
        """The agent's answer, or the fixed one where it has none."""
        facts = turn.facts
        request = Request(
            name=turn.profile_name,
            text="\n".join(said),
            is_audio=any(event["message_kind"] == "audio" for event in turn.events),
            history=self._history(turn),
            trial_count=_next_trial(facts),
            pending_content=facts.get("pending_content"),
            pending_context=facts.get("pending_context"),
        )
        reply = self._agent.answer(request) if time.is_left() else None
        in_session = bool(facts.get("session_active"))
        if reply is None:
            text = conversation.fixed_answer(turn.profile_name)
            return Answered("fixed", [Part(text)], {"conversation": "open" if in_session else "closed"})
        is_open = in_session or reply.session_active or reply.conversation_status == "awaiting"
        result: dict[str, Any] = {"conversation": "open" if is_open else "closed"}
        if reply.do_not_disturb_h is not None:
            result["do_not_disturb_h"] = reply.do_not_disturb_h
        if facts.get("pending_content"):
            result["said"] = facts["pending_content"]
        return Answered("agent", [self._part(bubble, time) for bubble in reply.bubbles], result)

    def _history(self, turn: Turn) -> Sequence[Mapping[str, str]]:
        """What was lately said; nothing where the app's table cannot be read: the agent answers without."""
        try:
            return inbox.recent_messages(self._db, turn.profile_id)
        except DatabaseUnavailable:
            raise
        except RoletaError as error:
            self._log.error("turn.without_history", why=str(error))
            return ()

    def _part(self, bubble: Bubble, time: "_Time") -> Part:
        """The bubble spoken, where it is meant to be and can be; else to be read."""
        text = clean_text(bubble.text)
        return Part(text, self._agent.speak(text) if bubble.spoken and time.is_left() else None)


@dataclass(frozen=True)
class _Time:
    """How long a turn may go on asking the agent: each call must be able to end before the lease does."""

    ends_at: float
    longest_call_s: float

    def is_left(self, *, for_calls: int = 1) -> bool:
        return clock.monotonic() + for_calls * self.longest_call_s + FINISH_S <= self.ends_at


def _text(event: Mapping[str, Any]) -> str | None:
    return event.get("text") or None


def _next_trial(facts: Mapping[str, Any]) -> int | None:
    """Which trial conversation this is; None for whoever is not on trial."""
    return (facts.get("trial_conversations_count") or 0) + 1 if facts.get("status") == "trial" else None
