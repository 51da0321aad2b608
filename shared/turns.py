"""Answering people: one turn at a time, composed, enqueued on the number that was written to."""

from structlog.typing import FilteringBoundLogger

from shared import inbox, texts_pt
from shared.db import Calls
from shared.settings import Settings

ENQUEUED_BY = "webhook-zapi"


class TurnDuty:
    """What a worker does about people who wait for an answer. Threads and processes may share the work."""

    def __init__(self, db: Calls, settings: Settings, log: FilteringBoundLogger) -> None:
        self._db = db
        self._settings = settings
        self._log = log

    def run_once(self, worker: str) -> bool:
        """Answers one person who has gone silent; False when nobody waits.

        Errors of the database pass through: the turn's lease ends and another worker takes it.
        """
        turn = inbox.claim_turn(self._db, worker)
        if turn is None:
            return False
        # A turn may be left without messages, when another worker answered them after losing its lease.
        texts = texts_pt.fixed_answer(turn.profile_name, turn.events) if turn.events else []
        done = inbox.finish_turn(
            self._db, turn, texts, by=ENQUEUED_BY, debounce_s=self._settings.reply_debounce_s
        )
        self._log.info(
            "turn.answered" if done.finished else "turn.lost",
            worker=worker,
            instance_id=str(turn.instance_id),
            last_event_id=turn.last_event_id,
            events=len(turn.events),
            message_ids=done.message_ids,
        )
        return True
