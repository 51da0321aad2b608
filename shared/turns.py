"""Answering people: one turn at a time, composed, enqueued on the number that was written to.

The order of what is looked at is the original's (functions 2.2, steps 4 to 13). What needs no agent is
answered in shared/answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from structlog.typing import FilteringBoundLogger

from shared import answers, clock, inbox
from shared.agent import Agent, Bubble, Request, SessionStage
from shared.answers import Answered
from shared.db import Calls
from shared.errors import DatabaseUnavailable, RoletaError, place_of
from shared.inbox import Part, Turn
from shared.redaction import clean_text
from shared.settings import Settings

ENQUEUED_BY = "webhook-zapi"
# What finishing a turn may take after the last word of the agent.
FINISH_S = 20.0


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
        answered = self._answered(turn, time)
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

    def _answered(self, turn: Turn, time: "_Time") -> Answered:
        """The turn's answer; the fixed one after a defect of ours, or the turn would come back for ever."""
        try:
            return self._answer(turn, time)
        except RoletaError:
            raise
        except Exception as error:
            # Its name and place only: an error's text may hold what a person wrote.
            self._log.error("turn.failed", last_event_id=turn.last_event_id, why=place_of(error))
            return answers.fixed(turn)

    def _answer(self, turn: Turn, time: "_Time") -> Answered:
        if not turn.events:
            # Another worker answered them after this turn's lease was lost.
            return Answered("nothing")
        orders = [event["command"] for event in turn.events if event.get("command")]
        if orders:
            return answers.ordered(turn, orders[-1])
        transcripts = self._transcripts(turn.events, time)
        answered = self._of_words(turn, transcripts, time)
        return replace(answered, result={**answered.result, "transcripts": transcripts})

    def _of_words(self, turn: Turn, transcripts: Mapping[str, str], time: "_Time") -> Answered:
        """The answer to what was written and heard."""
        if (order := answers.spoken_order(turn, transcripts)) is not None:
            return order
        texts = [_text(event) or transcripts.get(str(event["event_id"])) for event in turn.events]
        said = [text for text in texts if text]
        if (refused := answers.refused(turn, self._settings.checkout_url)) is not None:
            # Episodes go to a trial that is used up too, and say how to pause them.
            paused = answers.paused_journeys(turn, said)
            return paused[1] if paused else refused
        if not said:
            return answers.not_heard(turn)
        answered = self._composed(turn, said, time)
        return replace(answered, result={**answered.result, "counts": True})

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
        running: SessionStage | None = "running" if turn.facts.get("session_active") else None
        quick = answers.quick(turn, said)
        if quick is None:
            return self._of_agent(turn, said, running, time)
        index, answered = quick
        if "begun_session_id" in answered.result:
            # The agent opens the session itself, where there is one.
            more = self._of_agent(turn, said, "beginning", time)
            if more.what != "agent":
                return answered
            return replace(more, result={**answered.result, **more.result})
        rest = [*said[:index], *said[index + 1 :]]
        more = self._of_agent(turn, rest, running, time) if rest else answered
        if more.what != "agent":
            return answered
        parts, result = [*answered.parts, *more.parts], {**answered.result, **more.result}
        return Answered(f"{answered.what}, agent", parts, result)

    def _of_agent(
        self, turn: Turn, said: Sequence[str], session_stage: SessionStage | None, time: "_Time"
    ) -> Answered:
        """The agent's answer, or the fixed one where it has none."""
        facts = turn.facts
        request = Request(
            name=turn.profile_name,
            text="\n".join(said),
            is_audio=any(event["message_kind"] == "audio" for event in turn.events),
            history=self._history(turn),
            trial_count=_next_trial(facts),
            session_stage=session_stage,
            pending_content=facts.get("pending_content"),
            pending_context=facts.get("pending_context"),
        )
        reply = self._agent.answer(request) if time.is_left() else None
        in_session = session_stage is not None
        if reply is None:
            return answers.fixed(turn, is_open=in_session)
        is_open = in_session or reply.session_active or reply.conversation_status == "awaiting"
        result: dict[str, Any] = {"conversation": "open" if is_open else "closed"}
        if reply.session_active and facts.get("announced_session"):
            # In other words than "vamos": the agent understood that the person is there.
            result["begun_session_id"] = facts["announced_session"]["session_id"]
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
