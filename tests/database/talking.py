"""Builders for the tests of conversations: a person, a number, what is said between them.

Everything goes through the product's own parts: shared/inbox, shared/turns, the real adapter of the agent.
"""

import datetime
import itertools
import uuid
from typing import Any

import structlog

from shared import inbox
from shared.agent import Agent, FixedAgent
from shared.db import Database
from shared.settings import Settings
from shared.turns import TurnDuty
from tests.database.world import Row, World

PHONE = "5511987650001"
SHORT_PHONE = "551187650001"
LID = "100000000000001@lid"
SETTINGS = Settings(reply_debounce_s=0.0, checkout_url="https://pay.example/aura")
_serial = itertools.count()


class Talk:
    """One person of the house and the number that serves her."""

    def __init__(
        self,
        world: World,
        db: Database,
        agent: Agent | None = None,
        settings: Settings = SETTINGS,
        **columns: object,
    ) -> None:
        """`columns` of profiles are set as given."""
        self.world, self.db = world, db
        self.number = world.number(gap=(0, 0))
        self.profile = world.profile(PHONE, self.number)
        self.duty = TurnDuty(db, settings, structlog.get_logger(), agent or FixedAgent())
        self.set(**columns)

    def set(self, **columns: object) -> None:
        """Sets columns of the person's profile."""
        for column, value in columns.items():
            self.world.rows(f"update public.profiles set {column} = %s where id = %s", value, self.profile)

    def say(self, text: str | None = "oi", **more: Any) -> inbox.Accepted:
        """One message of the person, as the webhook hands it over."""
        given: dict[str, Any] = {
            "instance_id": self.number,
            "event_key": f"event-{next(_serial)}",
            "kind": "message",
            "payload": {},
            "phone": PHONE,
            "text": text,
            "message_kind": "text",
            "debounce_s": 0.0,
        }
        return inbox.accept(self.db, **(given | more))

    def type_by_hand(self, takeover_s: float = 1800.0, **more: Any) -> inbox.Accepted:
        """One of us writes to the person on the phone itself."""
        return self.say("Oi, aqui é a Bia", ignored_reason="own_message", takeover_s=takeover_s, **more)

    def answer(self) -> bool:
        """A worker's look for people who wait."""
        return self.duty.run_once("w")

    def answers(self) -> list[Row]:
        """Every message that was enqueued as an answer, in order."""
        return self.world.rows("select * from messaging.outbox where purpose = 'answer' order by id")

    def texts(self) -> list[str]:
        """The words of every answer."""
        return [row["facts"]["text"] for row in self.answers()]

    def nudge(self, purpose: str = "checkin") -> int:
        """Something proactive that waits for this person until tomorrow."""
        return self.world.enqueue(
            self.number,
            purpose=purpose,
            phone=PHONE,
            profile_id=str(self.profile),
            not_before=self.world.value("select messaging.clock() + interval '1 h'"),
        )

    def waiting_answer(self, *texts: str) -> list[int]:
        """The parts of an answer to a message of the person, enqueued and not sent."""
        self.say()
        turn = inbox.claim_turn(self.db, "w")
        assert turn is not None
        return inbox.finish_turn(self.db, turn, [inbox.Part(text) for text in texts], by="test").message_ids

    def person(self) -> Row:
        """The profile."""
        return self.world.rows("select * from public.profiles where id = %s", self.profile)[0]

    def history(self) -> list[tuple[str, str]]:
        """What stands in the app's chat history, oldest first."""
        rows = self.world.rows(
            "select m.role, m.content from public.messages as m inner join public.profiles as p"
            " on p.user_id = m.user_id where p.id = %s order by m.created_at, m.role desc",
            self.profile,
        )
        return [(row["role"], row["content"]) for row in rows]

    def session(self, status: str, scheduled_in: str, **columns: object) -> uuid.UUID:
        """A session of the person that starts so long from now; `columns` are set as given."""
        made: uuid.UUID = self.world.value(
            "insert into public.sessions (user_id, scheduled_at, status) select p.user_id,"
            " messaging.clock() + %s::interval, %s from public.profiles as p where p.id = %s returning id",
            scheduled_in,
            status,
            self.profile,
        )
        for column, value in columns.items():
            self.world.rows(f"update public.sessions set {column} = %s where id = %s", value, made)
        return made

    def followup(self) -> Row | None:
        """The row that says whether the conversation is open."""
        rows = self.world.rows(
            "select f.* from public.conversation_followups as f inner join public.profiles as p"
            " on p.user_id = f.user_id where p.id = %s",
            self.profile,
        )
        return rows[0] if rows else None

    def now(self) -> Any:
        """The database's time."""
        return self.world.value("select messaging.clock()")

    def rated_session(self, **columns: object) -> uuid.UUID:
        """A session that ended an hour ago and was asked to be rated."""
        ended_at = self.now() - datetime.timedelta(hours=1)
        asked: dict[str, Any] = {"status": "completed", "rating_requested": True, "ended_at": ended_at}
        return self.session(scheduled_in="-2 h", **(asked | columns))

    def ratings(self) -> list[int]:
        """What was saved."""
        return [row["rating"] for row in self.world.rows("select rating from public.session_ratings")]

    def send(self) -> list[int]:
        """Everything that is due, accepted by the provider."""
        sent = []
        while due := self.world.claim():
            for claimed in due:
                self.world.record(self.world.begin(claimed)["attempt_id"])
                sent.append(claimed.message_id)
        return sent
