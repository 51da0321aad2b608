"""Builders for the tests of the SQL: numbers, people, messages, and the steps of a worker, each one SQL call.

What every test shares (servers, clones) is in tests/conftest.py; two sessions at once are in sessions.py.
"""

import json
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

Connection = psycopg.Connection[tuple[Any, ...]]
Connect = Callable[[], Connection]
Row = dict[str, Any]

HOUR_S = 3600.0


class Claimed(NamedTuple):
    """One row of messaging.claim."""

    message_id: int
    lane: str
    lease_token: uuid.UUID


class World:
    """One session that acts on a migrated database through our functions, and reads what became of it.

    With `in_one_transaction` each statement is a savepoint of its own in the one that is open, so that a
    refused one undoes itself alone, as it does over a connection in autocommit.
    """

    def __init__(self, connection: Connection, *, in_one_transaction: bool = False) -> None:
        self.connection = connection
        self._in_one_transaction = in_one_transaction
        self._made = 0

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """All rows of any statement."""
        with self._alone(), self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *parameters: object) -> Any:
        """The one value of the one row of a query; None when there is no row."""
        with self._alone():
            row = self.connection.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def _alone(self) -> AbstractContextManager[object]:
        return self.connection.transaction() if self._in_one_transaction else nullcontext()

    def refusal(self, query: str, *parameters: object) -> str | None:
        """The SQLSTATE with which a statement is refused; None when it is not."""
        try:
            self.rows(query, *parameters)
        except psycopg.Error as error:
            return error.sqlstate
        return None

    def number(
        self, seats: int = 250, *, gap: tuple[float, float] | None = None, **columns: object
    ) -> uuid.UUID:
        """A new Z-API number of the pool; `columns` of whatsapp_instances are set directly afterwards."""
        self._made += 1
        name = f"number {self._made} {uuid.uuid4().hex[:6]}"
        instance: uuid.UUID = self.value(
            "select messaging.add_instance(%s, %s, 'zapi-token', 'client-token', 'test', null, %s)",
            name, f"I-{uuid.uuid4().hex}", seats,
        )  # fmt: skip
        if gap is not None:
            self.value("select messaging.set_gaps(%s, %s, %s, 'test')", instance, *gap)
        for column, value in columns.items():
            self.rows(f"update public.whatsapp_instances set {column} = %s where id = %s", value, instance)
        return instance

    def client_numbers(self, count: int) -> None:
        """Numbers that clients of agencies connected: Evolution, outside the pool."""
        self.rows(
            "insert into public.whatsapp_instances"
            " (name, provider, evolution_instance_name, in_pool, agency_id)"
            " select 'client ' || g, 'evolution', 'client ' || g, false, gen_random_uuid()"
            " from generate_series(1, %s) as g",
            count,
        )

    def profile(self, phone: str | None = None, instance: uuid.UUID | None = None) -> uuid.UUID:
        """A profile as the app itself would insert one."""
        profile: uuid.UUID = self.value(
            "insert into public.profiles (user_id, name, phone, whatsapp_instance_id)"
            " values (gen_random_uuid(), 'Ana', %s, %s) returning id",
            phone, instance,
        )  # fmt: skip
        return profile

    def allocate(self, profile: uuid.UUID, strategy: str = "random") -> uuid.UUID | None:
        """The number that the roulette gives the profile."""
        instance: uuid.UUID | None = self.value(
            "select public.allocate_whatsapp_instance(%s, %s)", profile, strategy
        )
        return instance

    def sign_up(self, phone: str, **arguments: str) -> Row:
        """One sign-up with a welcome; the row that it answers."""
        extra = "".join(f", {name} => %s" for name in arguments)
        return self.rows(
            f"select * from messaging.sign_up('Ana', %s, 'ana@example.com', 'Oi!', 'start-trial'{extra})",
            phone, *arguments.values(),
        )[0]  # fmt: skip

    def wanted(self, instance: uuid.UUID | None = None, **fields: object) -> Row:
        """What a caller asks of enqueue: a text to a person of its own, unless the fields say otherwise."""
        self._made += 1
        message: Row = {
            "purpose": "direct",
            "phone": f"55119{self._made:08d}",
            "content": {"kind": "text", "text": "Oi"},
            "dedupe_key": f"key {uuid.uuid4().hex}",
            "enqueued_by": "test",
        }
        if instance is not None:
            message["instance_id"] = str(instance)
        return message | fields

    def enqueue_many(self, messages: Iterable[Row]) -> list[Row]:
        """The rows that enqueue_many answers."""
        return self.rows("select * from messaging.enqueue_many(%s)", json.dumps(list(messages), default=str))

    def enqueue(self, instance: uuid.UUID | None = None, **fields: object) -> int:
        """One message; its id."""
        return int(self.enqueue_many([self.wanted(instance, **fields)])[0]["message_id"])

    def reply(self, instance: uuid.UUID, phone: str, **fields: object) -> int:
        """One answer to a person, on the number that was written to."""
        return self.enqueue(instance, purpose="answer", phone=phone, **fields)

    def purpose(self, name: str, **columns: object) -> str:
        """A kind of message with rules of its own: bulk, no quiet hours, a day, unless the columns say
        otherwise."""
        rules = {"lane": "bulk", "quiet_hours": False, "expires_after": "24 hours"} | columns
        self.rows(
            f"insert into messaging.purposes (purpose, {', '.join(rules)}) values (%s{', %s' * len(rules)})",
            name, *rules.values(),
        )  # fmt: skip
        return name

    def claim(self, limit: int = 16, worker: str = "w1") -> list[Claimed]:
        """What a worker gets when it asks for work."""
        return [
            Claimed(row["message_id"], row["lane"], row["lease_token"])
            for row in self.rows("select * from messaging.claim(%s, %s)", worker, limit)
        ]

    def begin(self, claimed: Claimed, worker: str = "w1") -> Row:
        """begin_attempt: the attempt, or the refusal."""
        return self.rows(
            "select * from messaging.begin_attempt(%s, %s, %s)",
            claimed.message_id,
            claimed.lease_token,
            worker,
        )[0]

    def record(self, attempt: int, outcome: str = "accepted", **arguments: object) -> Row:
        """record_attempt; an accepted one bears a provider id of its own unless one is given."""
        if outcome == "accepted":
            arguments.setdefault("p_provider_message_id", f"M{attempt}")
        extra = "".join(f", {name} => %s" for name in arguments)
        return self.rows(
            f"select * from messaging.record_attempt(%s, %s{extra})", attempt, outcome, *arguments.values()
        )[0]

    def begun(self, message: int) -> int:
        """Claims until this message comes, begins it, and gives the attempt's id."""
        claimed = next(row for row in self.claim(200) if row.message_id == message)
        begun = self.begin(claimed)
        assert begun["refusal"] is None, begun["refusal"]
        return int(begun["attempt_id"])

    def receipt(
        self, instance: uuid.UUID, provider_message_id: str, receipt: str, **arguments: object
    ) -> int | None:
        """apply_receipt: the message that it belongs to, when it is ours."""
        extra = "".join(f", {name} => %s" for name in arguments)
        message: int | None = self.value(
            f"select messaging.apply_receipt(%s, %s, %s{extra})",
            instance, provider_message_id, receipt, *arguments.values(),
        )  # fmt: skip
        return message

    def decide(self, message: int, decision: str, by: str = "Ana", why: str | None = None) -> str:
        """decide_unknown: where the message stands now."""
        return str(self.value("select messaging.decide_unknown(%s, %s, %s, %s)", message, decision, by, why))

    def set_status(self, instance: uuid.UUID, status: str) -> None:
        """What `roleta instance pause`, `resume` and `ban` do, and the worker that prepares a return."""
        self.value("select messaging.set_instance_status(%s, %s, 'test', 'a test')", instance, status)
        self.prepare_returns()

    def prepare_returns(self) -> list[str]:
        """What workers do for numbers that come back, without a provider; what became of each."""
        return [
            str(row["return_state"])
            for row in self.rows(
                "select f.return_state from messaging.take_returns() as t,"
                " messaging.finish_return(t.instance_id, t.return_token, 0) as f"
            )
        ]

    def cancel(self, **of_what: object) -> list[Row]:
        """A cancel that is meant: not a preview."""
        extra = "".join(f", p_{name} => %s" for name in of_what)
        return self.rows(f"select * from messaging.cancel('test', 'a test', false{extra})", *of_what.values())

    def message(self, message: int) -> Row:
        """The outbox row."""
        return self.rows("select * from messaging.outbox where id = %s", message)[0]

    def state(self, message: int) -> str:
        """Where the message stands."""
        return str(self.message(message)["dispatch_state"])

    def sender(self, instance: uuid.UUID) -> Row:
        """The clocks of a number; None for one that never ran."""
        clocks = (
            f"nullif({name}, '-infinity') as {name}" for name in ("slot_due_at", "next_send_at", "ready_at")
        )
        return self.rows(
            f"select {', '.join(clocks)} from messaging.senders where instance_id = %s", instance
        )[0]

    def instance(self, instance: uuid.UUID) -> Row:
        """The row of a number."""
        return self.rows("select * from public.whatsapp_instances where id = %s", instance)[0]

    def findings(self) -> set[str]:
        """The names of the audit views that find something."""
        return {row["finding"] for row in self.rows("select * from messaging.audit_findings()")}


def bend(world: World) -> None:
    """Puts the row in the clock's place. What is known of every function that asks for the time is lost."""
    world.rows("create table messaging.bent_clock (now timestamptz not null)")
    world.rows("insert into messaging.bent_clock values (clock_timestamp())")
    world.rows(
        "create or replace function messaging.clock() returns timestamptz language sql volatile"
        " security definer set search_path = '' as 'select c.now from messaging.bent_clock as c'"
    )


class BentClock:
    """messaging.clock() of one throw-away database replaced by a row, which the test alone moves
    (design.md 4)."""

    def __init__(self, world: World, start: str = "2025-06-10 12:00:00-03") -> None:
        self.world = world
        if world.value("select to_regclass('messaging.bent_clock')") is None:
            bend(world)
        self.move_to(start)

    def now(self) -> Any:
        """The moment that the database believes in."""
        return self.world.value("select now from messaging.bent_clock")

    def forward(self, seconds: float) -> None:
        """Lets so much time pass."""
        self.world.rows("update messaging.bent_clock set now = now + make_interval(secs => %s)", seconds)

    def move_to(self, moment: object) -> None:
        """Jumps to a moment."""
        self.world.rows("update messaging.bent_clock set now = %s", moment)
