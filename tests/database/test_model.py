"""Outbox and allocation against a small model, step by step, with time and crashes among the steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from psycopg.pq import TransactionStatus

from tests.database.model import LIVES, Message, Model, Number
from tests.database.world import Claimed, World, bend

pytestmark = pytest.mark.slow

GAPS = (25, 45)
OUTCOMES = ["accepted", "accepted", "rejected", "not_sent", "unknown"]
# Mostly at work, or nothing would ever be sent.
STATUSES = ["active", "active", "active", "active", "paused", "disconnected"]
PHONES = [f"551198765{tail:04d}" for tail in range(3)]
ANY = st.integers(0, 10**6)
WANTED = (
    st.sampled_from(list(LIVES)),
    st.sampled_from(PHONES),
    st.sampled_from([0, 0, 0, 0, 40, 3000]),
    st.integers(0, 50),
)
_NOW = """
    select
        coalesce(
            (select jsonb_object_agg(o.id, o.dispatch_state) from messaging.outbox as o), '{}'
        ) as states,
        (select jsonb_object_agg(i.id, i.current_users) from public.whatsapp_instances as i) as seats,
        (
            select
                jsonb_object_agg(s.instance_id, extract(epoch from greatest(s.next_send_at, c.now) - c.now))
            from messaging.senders as s, messaging.bent_clock as c
        ) as slots
"""


@dataclass
class Held:
    """What a worker has in hand: a lease, then perhaps an attempt."""

    claimed: Claimed
    lease: int
    attempt: int | None = None


class OutboxMachine(RuleBasedStateMachine):
    """Each step is done to both; then both must say the same. One transaction an example, undone."""

    connection: ClassVar["psycopg.Connection[tuple[object, ...]]"]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.connection)
        self.model = Model()
        self.keys: dict[str, int] = {}
        self.in_hand: list[Held] = []
        self.with_id: set[int] = set()
        self.open: dict[int, Held] = {}
        self.signed_up = 0

    def teardown(self) -> None:
        """Nothing that must not be, at the end of an example either; then it is undone."""
        try:
            if self.connection.info.transaction_status is not TransactionStatus.INERROR:
                assert self.world.findings() == set()
        finally:
            self.connection.rollback()

    @initialize(
        seats=st.lists(st.integers(1, 3), min_size=1, max_size=2),
        asked=st.lists(st.tuples(*WANTED), min_size=4, max_size=10),
    )
    def numbers(self, seats: list[int], asked: list[tuple[str, str, int, int]]) -> None:
        """One or two numbers with few seats, and messages; a return has no ramp here (test_returning.py)."""
        self.world.purpose("campaign")
        for each in seats:
            self.model.numbers[str(self.world.number(seats=each, gap=GAPS))] = Number(each)
        self.world.rows("update messaging.senders set ramp_messages = 0")
        for place, wanted in enumerate(asked):
            self._enqueue(place, *wanted)

    def _number(self, pick: int) -> str:
        return list(self.model.numbers)[pick % len(self.model.numbers)]

    def _message(self, pick: int) -> Message | None:
        there = list(self.model.messages.values())
        return there[pick % len(there)] if there else None

    @rule(number=ANY, asked=st.lists(st.tuples(*WANTED), min_size=2, max_size=5))
    def enqueue(self, number: int, asked: list[tuple[str, str, int, int]]) -> None:
        """Messages on a number; asked again by its key, each is the one that is there."""
        for each in asked:
            self._enqueue(number, *each)

    def _enqueue(self, number: int, purpose: str, person: str, later: int, key: int) -> None:
        name = self._number(number)
        dedupe_key = f"{name} {purpose} {person} {later} {key}"
        life = LIVES[purpose]
        asked = self.world.wanted(
            None, instance_id=name, purpose=purpose, phone=person, dedupe_key=dedupe_key
        )
        if later and dedupe_key not in self.keys:
            asked["not_before"] = str(self._at(later))
        if dedupe_key in self.keys:
            asked.pop("not_before", None)
        [row] = self.world.enqueue_many([asked])
        ident = int(row["message_id"])
        assert self.keys.setdefault(dedupe_key, ident) == ident
        if ident not in self.model.messages:
            now = self.model.now
            expires = now + life + (later if later else 0)
            self.model.messages[ident] = Message(ident, name, purpose, person, now + later, expires)

    def _at(self, seconds: float) -> object:
        return self.world.value(
            "select now + make_interval(secs => %s) from messaging.bent_clock", float(seconds)
        )

    @rule()
    def claim(self) -> None:
        """A worker takes what is due: exactly what the model takes."""
        got = self.world.claim(200)
        assert {row.message_id for row in got} == self.model.claim()
        self.in_hand += [Held(row, self.model.messages[row.message_id].lease) for row in got]

    @rule(pick=ANY)
    def begin(self, pick: int) -> None:
        """It begins something that it has taken, or is refused."""
        waiting = [held for held in self.in_hand if held.attempt is None]
        if waiting:
            self._begin(waiting[pick % len(waiting)])

    @rule(outcome=st.sampled_from(OUTCOMES))
    def work(self, outcome: str) -> None:
        """It takes what is due and does it all, as a worker at work does."""
        self.claim()
        for held in [each for each in self.in_hand if each.attempt is None]:
            self._begin(held)
        while any(each.attempt is not None for each in self.in_hand):
            self.record(0, outcome, True)

    def _begin(self, held: Held) -> None:
        begun = self.world.begin(held.claimed)
        message = self.model.messages[held.claimed.message_id]
        assert (begun["refusal"] is None) == self.model.begin(message, held.lease), begun["refusal"]
        if begun["refusal"] is None:
            held.attempt = begun["attempt_id"]
            self.open[held.attempt] = held
        else:
            self.in_hand.remove(held)

    @rule(
        pick=ANY,
        outcome=st.sampled_from(OUTCOMES),
        has_id=st.booleans(),
    )
    def record(self, pick: int, outcome: str, has_id: bool) -> None:
        """It says how an attempt ended, in time or after its lease was settled."""
        begun = [held for held in self.in_hand if held.attempt is not None]
        if not begun:
            return
        held = begun[pick % len(begun)]
        self.in_hand.remove(held)
        assert held.attempt is not None
        message = self.model.messages[held.claimed.message_id]
        is_open = self.world.value(
            "select outcome is null from messaging.attempts where id = %s", held.attempt
        )
        extra = {"p_provider_message_id": f"M{held.attempt}"} if has_id and outcome == "unknown" else {}
        self.world.record(held.attempt, outcome, **extra)
        if outcome == "accepted" or extra:
            self.with_id.add(held.attempt)
        if not is_open:
            self.model.record_late(message, outcome, has_id=True)
            return
        gap = self.world.value("select gap_s from messaging.attempts where id = %s", held.attempt)
        assert gap is None or GAPS[0] <= gap <= GAPS[1]
        self.model.record(message, outcome, None if gap is None else float(gap))

    @rule(pick=ANY)
    def crash(self, pick: int) -> None:
        """A worker dies: it forgets a lease or an attempt."""
        if self.in_hand:
            self.in_hand.pop(pick % len(self.in_hand))

    @rule(pick=ANY)
    def receipt(self, pick: int) -> None:
        """The provider says that something arrived: what was unknown is accepted."""
        if not self.with_id:
            return
        attempt = sorted(self.with_id)[pick % len(self.with_id)]
        message = self.model.messages[self.open[attempt].claimed.message_id]
        self.world.rows(
            "select messaging.apply_receipt(%s::uuid, %s, 'delivered')", message.number, f"M{attempt}"
        )
        if message.state == "unknown":
            self.model.move(message, "accepted")

    @rule(seconds=st.sampled_from([1, 1, 4, 4, 26, 46, 71, 901, 6 * 3600]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.world.rows(
            "update messaging.bent_clock set now = now + make_interval(secs => %s)", float(seconds)
        )
        self.model.now += seconds

    @rule(number=ANY, status=st.sampled_from(STATUSES))
    def change_number(self, number: int, status: str) -> None:
        """A number stops or comes back, and its return is prepared."""
        name = self._number(number)
        was_fit = self.model.numbers[name].fit
        self.world.set_status(name, status)  # type: ignore[arg-type]
        self.model.numbers[name].fit = status == "active"
        if status == "active" and not was_fit:
            for message in self.model.on(name):
                if message.state in ("queued", "held") and message.expires <= self.model.now:
                    self.model.move(message, "expired")

    @rule(pick=ANY)
    def cancel(self, pick: int) -> None:
        """A person withdraws a message."""
        if message := self._message(pick):
            self.world.cancel(message_id=message.ident)
            self.model.cancel(message)

    @rule()
    def expire(self) -> None:
        """The sweep of the workers."""
        self.world.rows("select messaging.expire_due()")
        self.model.expire()

    @rule()
    def sign_up(self) -> None:
        """A person is given a number with room, or none where there is none."""
        room = self.model.with_room()
        self.signed_up += 1
        profile = self.world.profile(f"55119{self.signed_up:08d}")
        given = self.world.allocate(profile)
        assert (str(given) in room) if room else given is None
        self.model.people[str(profile)] = None if given is None else str(given)

    @rule(pick=ANY, number=ANY)
    def move_person(self, pick: int, number: int) -> None:
        """The app moves a person by hand, whatever the seats."""
        if self.model.people:
            who = list(self.model.people)[pick % len(self.model.people)]
            self.model.people[who] = self._number(number)
            self.world.rows(
                "update public.profiles set whatsapp_instance_id = %s::uuid where id = %s::uuid",
                self.model.people[who],
                who,
            )

    @rule(pick=ANY)
    def delete_person(self, pick: int) -> None:
        """The app deletes a person: the seat is free."""
        if self.model.people:
            who = list(self.model.people)[pick % len(self.model.people)]
            del self.model.people[who]
            self.world.rows("delete from public.profiles where id = %s::uuid", who)

    @invariant()
    def both_say_the_same(self) -> None:
        """States, seats, slots; at most one paced message in flight."""
        if not self.model.numbers:
            return
        [found] = self.world.rows(_NOW)
        assert found["states"] == {str(each.ident): each.state for each in self.model.messages.values()}
        assert found["seats"] == {name: self.model.seated(name) for name in self.model.numbers}
        slots = {name: max(number.slot - self.model.now, 0) for name, number in self.model.numbers.items()}
        assert found["slots"] == pytest.approx(slots, abs=0.01)
        assert all(len(self.model.paced_in_flight(name)) <= 1 for name in self.model.numbers)


@pytest.fixture
def session(database_url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A session that never commits, on a database whose clock the machine moves."""
    with psycopg.connect(database_url) as connection:
        world = World(connection)
        bend(world)
        world.rows("update messaging.bent_clock set now = '2025-06-10 12:00:00-03'")
        connection.commit()
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("examples", "steps"),
    [
        pytest.param(30, 40, id="commit", marks=pytest.mark.scoreboard("R9", tier="commit", small=True)),
        pytest.param(150, 50, id="landing", marks=pytest.mark.scoreboard("R9", tier="landing")),
        pytest.param(1_000, 50, id="nightly", marks=pytest.mark.scoreboard("R9", tier="nightly")),
    ],
)
def test_outbox_and_allocation_do_what_the_model_does(
    session: "psycopg.Connection[tuple[object, ...]]", examples: int, steps: int
) -> None:
    """Enqueue, claim, begin, record, receipt, cancel, expiry, numbers that stop, people who come, move and
    go, time and crashes, in any order: never a difference. The same steps each run (derandomized): a failure
    is printed as the steps that repeat it."""
    OutboxMachine.connection = session
    run_state_machine_as_test(
        OutboxMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
