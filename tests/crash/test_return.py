"""A number that was away an hour comes back at the simulated provider: its queue there is purged first, what
waited is thinned out, and the rest leaves slowly, on the provider's own log."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from scripts.simulator.process import SimulatorProcess
from shared import clock
from shared.credentials import KeyRing
from shared.db import Database
from shared.dispatcher import Dispatcher, Providers
from shared.health import HealthDuty
from shared.providers.base import Content, Outcome
from shared.returning import ReturnDuty
from tests.crash import soak
from tests.database.world import BentClock, World
from tests.waiting import eventually

pytestmark = pytest.mark.slow

HELD = ["held 1", "held 2"]


@dataclass
class Scene:
    """One number at the simulator, one worker's parts, and the clock of the database in the test's hand."""

    simulator: SimulatorProcess
    world: World
    clock: BentClock
    db: Database
    providers: Providers
    number: UUID

    def look(self) -> None:
        """The health duty asks the number's state."""
        HealthDuty(self.db, self.providers, every_s=0).run_once()

    def prepare(self, db: Database | None = None) -> int:
        """The duty that prepares returns; how many there were to prepare."""
        return ReturnDuty(db or self.db, self.providers, worker="w").run_once()

    def send_everything(self) -> None:
        """A dispatcher works while the clock jumps to what is due next, until nothing is."""
        dispatcher = Dispatcher(self.db, self.providers, worker="w", max_in_flight=8)
        try:
            while True:
                dispatcher.fill()
                eventually(lambda: not self._in_flight(), 10, "nothing in flight")
                due = self.world.sender(self.number)["ready_at"]
                if due is None:
                    return
                self.clock.move_to(max(due, self.clock.now()))
        finally:
            dispatcher.drain()

    def _in_flight(self) -> int:
        return int(
            self.world.value(
                "select count(*) from messaging.outbox where dispatch_state in ('leased', 'sending')"
            )
        )

    def accepted(self) -> list[tuple[str, str, datetime, datetime]]:
        """Text, lane, begin and end by the bent clock of everything that the provider accepted, in its
        log's order."""
        rows = self.world.rows(
            "select a.provider_message_id, a.lane, a.begun_at, a.ended_at from messaging.attempts as a"
            " where a.outcome = 'accepted'"
        )
        known = {row["provider_message_id"]: row for row in rows}
        return [
            (line["text"], *(known[line["messageId"]][name] for name in ("lane", "begun_at", "ended_at")))
            for line in self.simulator.accepted()
            if line["messageId"] in known
        ]


@pytest.fixture
def scene(database_url: str, db: Database, tmp_path: Path) -> Iterator[Scene]:
    """A number that has sent two messages, which its provider still holds, and is gone since."""
    with (
        SimulatorProcess(log=tmp_path / "log") as simulator,
        psycopg.connect(database_url, autocommit=True) as connection,
    ):
        world = World(connection)
        bent = BentClock(world)
        [number] = soak.add_numbers(database_url, simulator, gaps_s=(25, 45), send_timeout_s=5)
        world.value("select messaging.set_gaps(%s, 25, 45, 'test', 5, 120)", number)
        providers = Providers(zapi_base_url=simulator.base_url, max_connections=8, ring=KeyRing())
        scene = Scene(simulator, world, bent, db, providers, number)
        # Z-API's default (zapi contract 3): it accepts for a phone that is gone, and keeps.
        simulator.control("disconnect", instance_id=simulator.instances()[0]["id"], explicit=True)
        for text in HELD:
            world.enqueue(number, content={"kind": "text", "text": text})
        scene.send_everything()
        assert [text for text, *_ in scene.accepted()] == HELD
        yield scene
        providers.close()


def _what_waits(scene: Scene) -> dict[str, list[str]]:
    """Forty messages for people: nudges, of which ten are old, twelve that will be over, what was asked for;
    and ten answers."""
    world, number = scene.world, scene.number
    world.purpose("nudge", newest_only=True)
    world.purpose("short", expires_after="30 minutes")
    texts: dict[str, list[str]] = {}

    def enqueue(kind: str, purpose: str, how_many: int, first: int = 0) -> None:
        texts[kind] = [f"{kind} {index}" for index in range(how_many)]
        world.enqueue_many(
            world.wanted(
                number,
                purpose=purpose,
                phone=f"5511987{first + index:06d}",
                content={"kind": "text", "text": text},
            )
            for index, text in enumerate(texts[kind])
        )

    enqueue("old", "nudge", 10)
    enqueue("new", "nudge", 10)
    enqueue("short", "short", 12, 100)
    enqueue("welcome", "welcome", 4)
    enqueue("again", "welcome", 4)
    scene.clock.forward(3595)
    # Answers live 15 minutes: these were written to just before the number came back.
    enqueue("answer", "answer", 10, 200)
    return texts


@pytest.mark.scoreboard("R13", tier="landing")
@pytest.mark.parametrize("by", ["the provider", "an operator"])
def test_a_number_that_was_away_an_hour_comes_back_without_a_burst(scene: Scene, by: str) -> None:
    """Forty messages and ten answers waited: the provider's queue is purged before the first leaves, old
    nudges and what was over never leave, paced messages keep widened gaps, answers five seconds."""
    instance_id = scene.simulator.instances()[0]["id"]
    if by == "the provider":
        scene.look()
    else:
        scene.world.rows(
            "select messaging.set_instance_status(%s, 'paused', 'Rita', 'new phone')", scene.number
        )
    texts = _what_waits(scene)
    # The phone is back, and the provider would fire by itself; nobody of ours knows yet.
    scene.simulator.control("options", queue_interval_s=3600.0)
    scene.simulator.control("connect", instance_id=instance_id)
    if by == "the provider":
        scene.look()
    else:
        scene.world.rows("select messaging.set_instance_status(%s, 'active', 'Rita')", scene.number)
    before = len(scene.simulator.accepted())
    assert scene.world.claim() == []
    assert scene.prepare() == 1
    scene.send_everything()

    purges = scene.simulator.purges()
    assert len(purges) == 1
    [purge] = purges
    came = scene.accepted()
    assert purge["texts"] == HELD
    assert purge["at"] < scene.simulator.accepted()[before]["at"]
    gone = [text for text, *_ in came if text not in HELD]
    assert sorted(gone) == sorted(texts["new"] + texts["welcome"] + texts["again"] + texts["answer"])
    _check_distances([line for line in came if line[0] not in HELD])
    states = scene.world.rows(
        "select dispatch_state, count(*) as n from messaging.outbox group by 1 order by 1"
    )
    assert {row["dispatch_state"]: row["n"] for row in states} == {
        "accepted": 18 + 10 + len(HELD),
        "expired": 12,
        "withdrawn": 10,
    }
    assert scene.world.findings() == set()


def _check_distances(came: list[tuple[str, str, datetime, datetime]]) -> None:
    """From the end of one to the begin of the next, by lane: at least 25 s times what the ramp asks there,
    and five seconds between answers."""
    paced = [(begun, ended) for _, lane, begun, ended in came if lane != "reply"]
    distances = [later[0] - earlier[1] for earlier, later in pairwise(paced)]
    for place, distance in enumerate(distances):
        # By time the ramp may be a little further than by messages.
        assert distance >= timedelta(seconds=25 * max(1.0, 3 - 2 * place / 20 - 0.3)), place
    answers = [(begun, ended) for _, lane, begun, ended in came if lane == "reply"]
    between = [later[0] - earlier[1] for earlier, later in pairwise(answers)]
    assert min(between) >= timedelta(seconds=5)
    print(
        f"{len(paced)} paced at least {min(distances).total_seconds():.0f} s apart, the first two "
        f"{distances[0].total_seconds():.0f} s; {len(answers)} answers {min(between).total_seconds():.0f} s"
    )


class Ends(Exception):
    """The worker ends here."""


class EndsBefore:
    """The database as a worker sees it that ends right before one call."""

    def __init__(self, db: Database, function: str) -> None:
        self._db, self._function = db, function

    def call(self, function: str, /, **arguments: object) -> list[dict[str, object]]:
        """Asks, unless that is where it ends."""
        if function == self._function:
            raise Ends
        return self._db.call(function, **arguments)

    def call_one(self, function: str, /, **arguments: object) -> dict[str, object]:
        """As call, one row."""
        if function == self._function:
            raise Ends
        return self._db.call_one(function, **arguments)


@pytest.mark.parametrize(
    ("last_call", "purged"), [("messaging.note_queue", 0), ("messaging.finish_return", 1)]
)
def test_a_worker_that_ends_around_the_purge_leaves_the_number_silent_and_a_trace(
    scene: Scene, last_call: str, purged: int
) -> None:
    """Before it noted the queue, or after the purge and before it could say so: nothing leaves, the next
    worker purges again when the lease is over, and what stood there is known as ours either way."""
    scene.look()
    with pytest.raises(Ends):
        scene.prepare(EndsBefore(scene.db, last_call))  # type: ignore[arg-type]
    assert len(scene.simulator.purges()) == purged
    scene.simulator.control("options", queue_interval_s=3600.0)
    scene.simulator.control("connect", instance_id=scene.simulator.instances()[0]["id"])
    scene.look()
    scene.world.enqueue(scene.number, content={"kind": "text", "text": "after"})
    assert scene.world.claim() == []
    scene.clock.forward(120)
    assert scene.prepare() == 1
    scene.send_everything()

    assert [text for text, *_ in scene.accepted()] == [*HELD, "after"]
    assert [text for purge in scene.simulator.purges() for text in purge["texts"]] == HELD
    noted = scene.world.rows(
        "select o.content ->> 'text' as text, o.dispatch_state, p.purged_at is not null as confirmed"
        " from messaging.purged as p inner join messaging.outbox as o on p.message_id = o.id order by o.id"
    )
    # Whoever ended after the purge never confirmed it: the trace says no more than it knows.
    assert noted == [{"text": text, "dispatch_state": "accepted", "confirmed": purged == 0} for text in HELD]


def test_a_queue_that_cannot_be_purged_keeps_the_number_silent(scene: Scene) -> None:
    """The provider refuses the purge: nothing is sent, the reason is kept; once it works the rest goes."""
    scene.world.enqueue(scene.number, content={"kind": "text", "text": "after"})
    scene.look()
    scene.simulator.control("options", purge="refused", queue_interval_s=3600.0)
    scene.simulator.control("connect", instance_id=scene.simulator.instances()[0]["id"])
    scene.look()
    assert scene.prepare() == 1
    scene.send_everything()
    [told] = scene.world.rows("select * from messaging.returns()")
    assert (told["is_prepared"], told["failure"]) == (False, "unreachable: Internal Server Error")
    assert [text for text, *_ in scene.accepted()] == HELD

    scene.simulator.control("options", purge="silent")
    scene.clock.forward(5)
    assert scene.prepare() == 1
    scene.send_everything()
    assert [text for text, *_ in scene.accepted()] == [*HELD, "after"]


def test_a_phone_that_is_away_takes_nothing_along(scene: Scene) -> None:
    """What the provider holds is purged while the number is down: at the reconnection nothing is left that it
    could fire, before anybody of ours hears of it."""
    scene.look()
    assert scene.prepare() == 1
    client = scene.providers({**_credentials(scene), "provider": "zapi", "instance_id": scene.number})
    assert [purge["texts"] for purge in scene.simulator.purges()] == [HELD]
    scene.simulator.control("connect", instance_id=scene.simulator.instances()[0]["id"])
    assert scene.simulator.control("counters")["queued"] == 0
    # The purge takes nothing away from what comes later.
    sent = client.send("5511987650001", Content("text", "later"), deadline=clock.monotonic() + 5)
    assert sent.outcome is Outcome.ACCEPTED


def _credentials(scene: Scene) -> dict[str, object]:
    number = scene.simulator.instances()[0]
    return {
        "zapi_instance_id": number["id"],
        "zapi_token": number["token"],
        "zapi_client_token": number["client_token"],
    }
