"""What the town does: people write and answer, the app around us keeps its sessions, some say stop."""

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from edge import start_trial, webhook_zapi
from edge.functions import Call
from scripts.simulate.driver import Driver, Sent
from scripts.simulate.town import ZONE, Inhabitant, Number, Town
from shared.agent import Bubble, Reply, Request

_SAYS = (
    "oi",
    "hoje foi um dia longo",
    "estou pensando no que você disse",
    "consegui caminhar",
    "e agora?",
    "tudo bem",
)
DAY_BEGINS, DAY_ENDS = 8, 22


class TownAgent:
    """The AI service of the town: one or two bubbles, and now and then a question."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def answer(self, request: Request) -> Reply | None:
        """Two bubbles in ten answers, a question in five."""
        bubbles = [Bubble("Estou aqui com você."), Bubble("O que pesa mais agora?")]
        awaiting = self._source.random() < 0.2
        return Reply(
            bubbles if self._source.random() < 0.1 else bubbles[:1],
            conversation_status="awaiting" if awaiting else "complete",
        )

    def write(self, instructions: str, material: str, *, longest: int) -> str | None:
        """A sentence, or nothing, as a service that sometimes fails."""
        return (
            "Foi uma semana de passos pequenos e firmes."[:longest] if self._source.random() < 0.9 else None
        )

    def transcribe(self, audio_url: str) -> str | None:
        """The town writes."""
        return None

    def speak(self, text: str) -> str | None:
        """The town reads."""
        return None

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Life:
    """Plans the week on a driver, and keeps a diary to judge it by."""

    driver: Driver
    town: Town
    source: random.Random
    start: datetime
    days: int
    duplicates: list[str] = field(default_factory=list)
    quiet: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    stopped: dict[str, datetime] = field(default_factory=dict)
    restarted: dict[str, datetime] = field(default_factory=dict)
    inbound: int = 0

    def plan(self, replies_per_hour: float) -> None:
        """Everything that does not depend on what is sent."""
        self.driver.after_send = self._react
        everybody = list(self.town.people.values())
        for number in self.town.numbers.values():
            self._plan_talk(number, replies_per_hour)
        for person in self.source.sample(everybody, len(everybody) // 8):
            self.driver.plan(self._moment(), lambda person=person: self._wants_peace(person))  # type: ignore[misc]
        for person in self.source.sample(everybody, len(everybody) // 40):
            at = self._moment()
            self.driver.plan(at, lambda person=person: self._says(person, "SAIR"))  # type: ignore[misc]
            if self.source.random() < 0.4:
                later = at + timedelta(hours=30)
                self.driver.plan(later, lambda person=person: self._says(person, "voltar"))  # type: ignore[misc]
        for n in range(20):
            self.driver.plan(self._moment(), lambda n=n: self._signs_up(n))  # type: ignore[misc]
        self.driver.plan(self.start, self._expire)

    def _plan_talk(self, number: Number, per_hour: float) -> None:
        town = self.town
        talkers = [who for who in town.people.values() if who.talks and town.number_of[who.phone] == number]
        at = self.start
        end = self.start + timedelta(days=self.days)
        while per_hour and talkers and (at := at + timedelta(hours=self.source.expovariate(per_hour))) < end:
            if DAY_BEGINS <= at.astimezone(ZONE).hour < DAY_ENDS:
                person = self.source.choice(talkers)
                self.driver.plan(at, lambda person=person: self._says(person, self.source.choice(_SAYS)))  # type: ignore[misc]

    def _moment(self) -> datetime:
        day = self.start + timedelta(days=self.source.randrange(self.days))
        return day + timedelta(hours=self.source.uniform(DAY_BEGINS, DAY_ENDS))

    def _says(self, person: Inhabitant, text: str) -> None:
        """One webhook of Z-API; one in fifty comes twice."""
        number = self.town.number_of[person.phone]
        payload = {
            "type": "ReceivedCallback", "instanceId": number.zapi_id, "connectedPhone": number.phone,
            "messageId": uuid.UUID(int=self.source.getrandbits(128)).hex.upper(), "phone": person.phone,
            "fromMe": False, "fromApi": False, "isGroup": False, "status": "RECEIVED",
            "momment": int(self.driver.now.timestamp() * 1000), "text": {"message": text},
        }  # fmt: skip
        self._deliver(number, payload)
        self.inbound += 1
        if self.source.random() < 0.02:
            self.duplicates.append(payload["messageId"])  # type: ignore[arg-type]
            again = self.driver.now + timedelta(seconds=self.source.uniform(0, 30))
            self.driver.plan(again, lambda: self._deliver(number, payload))
        if text == "SAIR":
            self.stopped[person.phone] = self.driver.now
        elif text == "voltar":
            self.restarted[person.phone] = self.driver.now
        self._ends_peace(person.phone)

    def _deliver(self, number: Number, payload: dict[str, Any]) -> None:
        webhook_zapi.handle(self._call("webhook-zapi", payload, number.webhook_token))

    def _call(self, function: str, body: dict[str, Any], webhook_token: str | None = None) -> Call:
        log = structlog.get_logger("roleta.simulate")
        return Call(function, self.driver.db, self.driver.settings, log, body, {}, webhook_token)

    def _signs_up(self, n: int) -> None:
        body = {"name": f"Nova {n}", "phone": f"1196{n:07d}", "email": f"nova{n}@example.com"}
        start_trial.handle(self._call("start-trial", body))

    def _wants_peace(self, person: Inhabitant) -> None:
        """What the app's agent does when somebody is busy."""
        until = self.driver.now + timedelta(hours=4)
        self._run(
            "update public.profiles set do_not_disturb_until = %s where id = %s", until, person.profile_id
        )
        self.quiet.append((person.phone, self.driver.now, until))

    def _ends_peace(self, phone: str) -> None:
        now = self.driver.now
        self.quiet = [
            (who, since, min(until, now) if who == phone and since <= now else until)
            for who, since, until in self.quiet
        ]

    def _react(self, sent: Sent) -> None:
        person = self.town.people.get(sent.phone)
        if person is None:
            return
        chance, text, minutes = {
            "session_24h": (0.7, "confirmo", (5, 60)),
            "session_rating": (0.6, "5", (2, 60)),
            "session_start": (0.7, "vamos", (1, 8)),
            "conversation_followup": (0.3, "oi, estava ocupada", (2, 30)),
            "checkin": (0.3, "oi!", (10, 300)),
        }.get(sent.purpose, (0.0, "", (1, 1)))
        if self.source.random() < chance:
            at = self.driver.now + timedelta(minutes=self.source.uniform(*minutes))
            self.driver.plan(at, lambda: self._says(person, text))
            if sent.purpose == "session_start":
                self.driver.plan(at + timedelta(minutes=45), lambda: self._ends_session(person))

    def _ends_session(self, person: Inhabitant) -> None:
        """What the app does at the end of a session that began with the person's "vamos"."""
        self._run(
            "update public.sessions set status = 'completed', ended_at = messaging.clock(),"
            " session_summary = 'Uma conversa boa.' where user_id = %s and status = 'in_progress'",
            person.user_id,
        )

    def _expire(self) -> None:
        """The worker's duty beside the sends."""
        self._run("select messaging.expire_due()")
        self.driver.plan(self.driver.now + timedelta(minutes=10), self._expire)

    def _run(self, statement: str, *parameters: object) -> None:
        self.driver.connection.execute(statement.encode(), parameters)
