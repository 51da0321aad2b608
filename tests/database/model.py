"""What the outbox and the allocation do, in memory: the model of tests/database/test_model.py.

It knows no SQL, no index, no wake-up: only rules. Times are seconds since the example began.
"""

from dataclasses import dataclass, field

REPLY_GAP, REPLY_PUSH = 5.0, 120.0
LEASE = 5 + 20 + 45.0
LANES = {"answer": "reply", "direct": "timed", "campaign": "bulk"}
LIVES = {"answer": 15 * 60.0, "direct": 6 * 3600.0, "campaign": 24 * 3600.0}


@dataclass
class Number:
    """One number: its seats, whether it may send, and its pacing clock."""

    seats: int
    fit: bool = True
    slot: float = 0.0
    slot_due: float = 0.0


@dataclass
class Message:
    """One message as we know it. `holder`: the unknown message that holds it."""

    ident: int
    number: str
    purpose: str
    person: str
    not_before: float
    expires: float
    state: str = "queued"
    leased_until: float = 0.0
    lease: int = 0
    attempts: int = 0
    holder: int | None = None

    @property
    def lane(self) -> str:
        """The lane of its purpose."""
        return LANES[self.purpose]

    @property
    def in_flight(self) -> bool:
        """Whether a worker has it."""
        return self.state in ("leased", "sending")


@dataclass
class Model:
    """The whole: numbers, messages, and who sits where."""

    now: float = 0.0
    numbers: dict[str, Number] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    people: dict[str, str | None] = field(default_factory=dict)

    def on(self, number: str) -> list[Message]:
        """A number's messages, in the order in which they were enqueued."""
        return [
            self.messages[ident] for ident in sorted(self.messages) if self.messages[ident].number == number
        ]

    def seated(self, number: str) -> int:
        """How many people a number has."""
        return sum(seat == number for seat in self.people.values())

    def with_room(self) -> set[str]:
        """The numbers that the roulette draws from."""
        return {
            name for name, number in self.numbers.items() if number.fit and self.seated(name) < number.seats
        }

    def move(self, message: Message, state: str) -> None:
        """A message moves; what it held back as an unknown goes on."""
        if message.state == "unknown" and state != "unknown":
            for held in self.messages.values():
                if held.state == "held" and held.holder == message.ident:
                    held.state = "queued"
        message.state = state

    def settle(self, number: str) -> None:
        """Leases that ran out: begun is unknown, not begun is queued."""
        for message in self.on(number):
            if message.in_flight and message.leased_until <= self.now:
                self.move(message, "queued" if message.state == "leased" else "unknown")

    def aside(self, message: Message) -> bool:
        """Whether a message may not go now, and what becomes of it then."""
        if self.now >= message.expires:
            self.move(message, "expired")
            return True
        unknown = [
            each.ident
            for each in self.on(message.number)
            if each.state == "unknown" and each.lane != "reply" and each.person == message.person
        ]
        if message.lane != "reply" and unknown:
            message.state, message.holder = "held", min(unknown)
            return True
        return False

    def claim(self) -> set[int]:
        """What a claim of everything leases."""
        taken: set[int] = set()
        for name, number in self.numbers.items():
            self.settle(name)
            if not number.fit:
                continue
            for message in [each for each in self.on(name) if self._is_next_reply(each)]:
                if not self.aside(message):
                    taken.add(self._lease(message))
            while number.slot <= self.now and not self.paced_in_flight(name):
                head = self._head(name)
                if head is None:
                    break
                if not self.aside(head):
                    taken.add(self._lease(head))
                    number.slot = head.leased_until
        return taken

    def paced_in_flight(self, number: str) -> list[Message]:
        """At most one, ever."""
        return [each for each in self.on(number) if each.in_flight and each.lane != "reply"]

    def _lease(self, message: Message) -> int:
        message.state, message.leased_until = "leased", self.now + LEASE
        message.lease += 1
        return message.ident

    def _is_next_reply(self, message: Message) -> bool:
        others = [
            each
            for each in self.on(message.number)
            if each.lane == "reply" and each.person == message.person and each is not message
        ]
        return (
            message.lane == "reply"
            and message.state == "queued"
            and message.not_before <= self.now
            and not any(each.in_flight for each in others)
            and not any(each.state == "queued" and each.ident < message.ident for each in others)
        )

    def _head(self, number: str) -> Message | None:
        due = [
            each
            for each in self.on(number)
            if each.lane != "reply" and each.state == "queued" and each.not_before <= self.now
        ]
        return min(due, key=lambda each: (each.lane != "timed", each.not_before, each.ident), default=None)

    def begin(self, message: Message, lease: int) -> bool:
        """Whether the attempt begins; else the message is back in its queue, or where its rules put it."""
        if message.state != "leased" or message.lease != lease or message.leased_until <= self.now:
            return False
        number = self.numbers[message.number]
        message.state = "queued"
        if self.aside(message) or not number.fit:
            if message.lane != "reply":
                number.slot = self.now
            return False
        message.state, message.leased_until = "sending", self.now + LEASE
        message.attempts += 1
        if message.lane != "reply":
            number.slot = message.leased_until
        return True

    def record(self, message: Message, outcome: str, gap: float | None) -> None:
        """An attempt that nobody has settled ends; `gap`: the one that was drawn for it."""
        number = self.numbers[message.number]
        self.move(message, "queued" if outcome == "not_sent" else outcome)
        if message.lane != "reply":
            assert gap is not None
            number.slot = number.slot_due = self.now + gap
            return
        if outcome == "not_sent":
            message.not_before = self.now + min(2.0**message.attempts, 60)
        waiting = [
            each.not_before
            for each in self.on(message.number)
            if each.lane != "reply" and each.state == "queued"
        ]
        cap = max(min(waiting), number.slot_due) + REPLY_PUSH if waiting else float("inf")
        number.slot = max(number.slot, min(self.now + REPLY_GAP, cap))

    def record_late(self, message: Message, outcome: str, *, has_id: bool) -> None:
        """The worker's answer came after its lease had been settled: evidence, where it says something."""
        if message.state == "unknown" and (outcome == "rejected" or (outcome == "accepted" and has_id)):
            self.move(message, outcome)

    def cancel(self, message: Message) -> None:
        """What has not begun is withdrawn; the slot that its lease held is free again."""
        if message.state in ("queued", "held", "leased"):
            if message.state == "leased" and message.lane != "reply":
                self.numbers[message.number].slot = self.now
            self.move(message, "withdrawn")

    def expire(self) -> None:
        """The sweep: leases that ran out, then what is over."""
        for number in self.numbers:
            self.settle(number)
        for message in self.messages.values():
            if message.state in ("queued", "held") and message.expires <= self.now:
                self.move(message, "expired")
