"""take_run, finish_run, recent_runs: a slot runs once, at one worker; a dead worker's slot at another."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.database.conftest import Worlds
from tests.database.sessions import Waiting, all_at_once
from tests.database.world import BentClock, Connect, Row, World

WEEKLY = "weekly-report"
LEASE_S = 600.0
HOUR = timedelta(hours=1)


class Schedules:
    """The functions under test in one session, with a clock that the test moves; WEEKLY is seen at 12:00."""

    def __init__(self, world: World, bent_clock: BentClock) -> None:
        self.world, self.clock = world, bent_clock
        world.rows("select * from messaging.see_schedules(%s)", [WEEKLY])
        bent_clock.forward(2 * 3600)

    @property
    def now(self) -> datetime:
        """The database's moment, a whole hour at first."""
        now: datetime = self.clock.now()
        return now

    def take(self, slot: datetime, worker: str = "w1", function: str = WEEKLY) -> Row | None:
        """The run, if this worker may."""
        return taken(self.world, slot, worker, function)

    def must_take(self, slot: datetime, **more: str) -> UUID:
        """The token of a run that this worker must get."""
        run = self.take(slot, **more)
        assert run is not None
        token: UUID = run["lease_token"]
        return token

    def finish(self, slot: datetime, token: UUID, error: str | None = None, function: str = WEEKLY) -> bool:
        """Whether the end was accepted."""
        done: bool = self.world.value(
            "select messaging.finish_run(%s, %s, %s, %s, %s)",
            function, slot, token, None if error else '{"status": "success"}', error,
        )  # fmt: skip
        return done

    def last(self, function: str = WEEKLY) -> Row:
        """The latest run of the function."""
        rows = self.world.rows("select * from messaging.recent_runs() where function_name = %s", function)
        return rows[0]


def taken(world: World, slot: datetime, worker: str = "w1", function: str = WEEKLY) -> Row | None:
    """What take_run answers in this session."""
    rows = world.rows("select * from messaging.take_run(%s, %s, %s, %s)", function, slot, worker, LEASE_S)
    return rows[0] if rows else None


def winners(connect: Connect, slot: datetime) -> int:
    """How many of eight sessions that ask together get the slot."""
    sessions = [connect() for _ in range(8)]
    answers = all_at_once(sessions, lambda world, index: taken(world, slot, f"w{index}"))
    return sum(answer is not None for answer in answers)


@pytest.fixture
def schedules(world: World, bent_clock: BentClock) -> Schedules:
    """14:00, and the function was first seen at 12:00."""
    return Schedules(world, bent_clock)


def test_a_slot_is_taken_once_of_eight_that_ask_together(connect: Connect, schedules: Schedules) -> None:
    """Whoever comes first; the others are told no, at that moment and ever after."""
    for hour in (1, 0):
        assert winners(connect, schedules.now - hour * HOUR) == 1
    assert schedules.world.value("select count(*) from messaging.schedule_runs") == 2


def test_eight_that_see_new_functions_together_note_each_once(connect: Connect, world: World) -> None:
    """The first look of several workers that start at the same moment ends well for all."""
    names = [f"function-{index}" for index in range(20)]
    answers = all_at_once(
        [connect() for _ in range(8)],
        lambda session, index: session.value(
            "select seen_at from messaging.see_schedules(%s)", names[::-1] if index % 2 else names
        ),
    )
    assert None not in answers
    assert world.value("select count(*) from messaging.schedules") == 20


def test_a_function_that_two_note_at_once_is_noted_once(world: World, another: Worlds) -> None:
    """The second waits for the first, and goes on."""
    first, second = another(), another()
    with first.connection.transaction():
        first.rows("select * from messaging.see_schedules(%s)", ["new"])
        waiting = Waiting(
            second,
            world,
            lambda: second.value("select new_functions from messaging.see_schedules(%s)", ["new"]),
        )
        assert waiting.is_waiting
    assert waiting.result() == 0


def test_whoever_asks_for_a_slot_in_hand_waits_for_nobody(another: Worlds, schedules: Schedules) -> None:
    """Most asking is of this kind: told no without a lock."""
    schedules.must_take(schedules.now)
    holder, other = another(), another()
    other.rows("set statement_timeout = '5s'")
    with holder.connection.transaction():
        holder.rows("select from messaging.schedules for update")
        assert taken(other, schedules.now, "w2") is None


def test_the_run_id_names_function_and_slot(schedules: Schedules) -> None:
    """In UTC, to the minute: the same for whoever runs the slot, and a run that `cancel` knows."""
    run = schedules.take(schedules.now)
    assert run is not None
    assert run["run_id"] == "weekly-report:2025-06-10T17:00Z"
    number = schedules.world.number()
    message = schedules.world.enqueue(number, run_id=run["run_id"])
    schedules.world.cancel(run_id=run["run_id"])
    assert schedules.world.state(message) == "withdrawn"


def test_a_run_that_ended_well_is_over(schedules: Schedules) -> None:
    """Its answer stands; neither its lease's end nor another worker opens it again."""
    slot = schedules.now
    token = schedules.must_take(slot)
    assert schedules.finish(slot, token)
    assert not schedules.finish(slot, token)
    schedules.clock.forward(LEASE_S * 2)
    assert schedules.take(slot, "w2") is None
    last = schedules.last()
    assert (last["run_state"], last["answer"], last["error"]) == ("done", {"status": "success"}, None)


def test_a_run_whose_worker_died_is_taken_again_after_its_lease(schedules: Schedules) -> None:
    """Not a moment before; and the dead worker, should it come back, changes nothing any more."""
    slot = schedules.now
    dead = schedules.must_take(slot)
    schedules.clock.forward(LEASE_S - 1)
    assert schedules.take(slot, "w2") is None
    assert schedules.last()["run_state"] == "running"
    schedules.clock.forward(1)
    assert schedules.last()["run_state"] == "waiting"
    token = schedules.must_take(slot, worker="w2")
    assert token != dead
    assert not schedules.finish(slot, dead, "too late")
    assert schedules.finish(slot, token)
    last = schedules.last()
    assert (last["run_state"], last["worker"], last["taken_count"]) == ("done", "w2", 2)


def test_one_of_eight_takes_over_from_a_dead_worker(connect: Connect, schedules: Schedules) -> None:
    """Also the second time it is one."""
    slot = schedules.now
    schedules.must_take(slot)
    schedules.clock.forward(LEASE_S)
    assert winners(connect, slot) == 1


def test_a_run_that_failed_is_tried_three_times_in_all(schedules: Schedules) -> None:
    """Each time after its lease, with the last error on record; then it has failed for good."""
    slot = schedules.now
    for attempt, state in ((1, "waiting"), (2, "waiting"), (3, "failed")):
        token = schedules.must_take(slot)
        assert schedules.take(slot, "w2") is None
        assert (schedules.last()["run_state"], schedules.last()["error"]) == ("running", None)
        assert schedules.finish(slot, token, f"error {attempt}")
        assert schedules.take(slot, "w2") is None
        last = schedules.last()
        assert (last["run_state"], last["error"], last["taken_count"]) == (state, f"error {attempt}", attempt)
        schedules.clock.forward(LEASE_S)
    assert schedules.take(slot) is None
    assert schedules.last()["finished_at"] is not None


def test_a_run_that_kills_its_worker_three_times_is_left_alone(schedules: Schedules) -> None:
    """A slot that brings workers down does not bring them down all day."""
    slot = schedules.now
    for _ in range(3):
        schedules.must_take(slot)
        schedules.clock.forward(LEASE_S)
    assert schedules.take(slot) is None
    assert schedules.last()["run_state"] == "failed"


def test_slots_until_a_function_was_first_seen_are_not_run(schedules: Schedules) -> None:
    """An installation sends nothing for times before it; the very next slot runs."""
    noon = schedules.now - 2 * HOUR
    assert schedules.take(noon) is None
    assert schedules.take(noon + timedelta(microseconds=1)) is not None
    assert schedules.take(schedules.now, function="new-function") is None
    assert schedules.last("new-function")["run_state"] == "never"


def test_nothing_older_than_the_newest_slot_is_run(schedules: Schedules) -> None:
    """A worker whose clock or file lags behind does not go back; nor does an unfinished slot come again."""
    first = schedules.now - HOUR
    schedules.must_take(first)
    schedules.must_take(schedules.now)
    schedules.clock.forward(LEASE_S)
    assert schedules.take(first) is None
    assert schedules.take(first - timedelta(minutes=5)) is None
    states = schedules.world.rows("select run_state from messaging.recent_runs(5) order by slot_at")
    assert [row["run_state"] for row in states] == ["overtaken", "waiting"]


def test_a_slot_is_made_up_for_within_a_day(schedules: Schedules) -> None:
    """Just inside 24 hours it runs, from then on never."""
    slot = schedules.now
    schedules.clock.forward(24 * 3600)
    assert schedules.take(slot) is None
    assert schedules.take(slot + timedelta(seconds=1)) is not None


def test_a_living_run_does_not_hold_up_the_next_slot(schedules: Schedules) -> None:
    """Every five minutes is every five minutes, also while a dead worker's lease lasts ten."""
    schedules.must_take(schedules.now)
    schedules.clock.forward(300)
    assert schedules.take(schedules.now, "w2") is not None


def test_functions_do_not_wait_for_each_other(another: Worlds, schedules: Schedules) -> None:
    """Two functions with the same slot are taken in two open transactions side by side."""
    schedules.world.rows("select * from messaging.see_schedules(%s)", ["other"])
    schedules.clock.forward(60)
    other = another()
    with schedules.world.connection.transaction():
        assert schedules.take(schedules.now) is not None
        other.rows("set statement_timeout = '5s'")
        assert taken(other, schedules.now, "w2", "other") is not None


def test_runs_are_kept_for_ninety_days(schedules: Schedules) -> None:
    """Long enough for a person to ask; then the next run clears them away."""
    first = schedules.now
    schedules.must_take(first)
    schedules.clock.forward(90 * 24 * 3600)
    schedules.must_take(schedules.now)
    assert schedules.world.value("select count(*) from messaging.schedule_runs") == 2
    schedules.clock.forward(60)
    schedules.must_take(schedules.now)
    assert schedules.world.value("select min(slot) from messaging.schedule_runs") > first


def test_recent_runs_gives_as_many_of_each_function(schedules: Schedules) -> None:
    """A function that runs every five minutes hides none that runs once a week."""
    schedules.must_take(schedules.now)
    schedules.world.rows("select * from messaging.see_schedules(%s)", ["often"])
    for _ in range(4):
        schedules.clock.forward(300)
        schedules.must_take(schedules.now, function="often")
    rows = schedules.world.rows("select function_name from messaging.recent_runs(3)")
    assert [row["function_name"] for row in rows] == ["often"] * 3 + [WEEKLY]


ARGUMENTS: dict[str, Any] = {"p_function": WEEKLY, "p_slot": "2025-06-10 14:00-03", "p_worker": "w1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_function": ""},
        {"p_function": None},
        {"p_worker": " "},
        {"p_slot": "2025-06-10 14:00:01-03"},
        {"p_slot": None},
        {"p_lease_s": 0},
        {"p_lease_s": 1e6},
        {"p_lease_s": None},
    ],
)
def test_a_run_that_cannot_be_meant__refused(schedules: Schedules, wrong: Row) -> None:
    """No function, no worker, a slot to come, a lease without end: WP003, and nothing is noted."""
    given = ARGUMENTS | wrong
    call = "select * from messaging.take_run(" + ", ".join(f"{name} => %s" for name in given) + ")"
    assert schedules.world.refusal(call, *given.values()) == "WP003"
    assert schedules.world.value("select count(*) from messaging.schedule_runs") == 0


def test_the_end_of_a_run_that_nobody_has_is_refused(schedules: Schedules) -> None:
    """A made-up token, slot or function changes nothing."""
    schedules.must_take(schedules.now)
    assert not schedules.finish(schedules.now, uuid4())
    assert not schedules.finish(schedules.now - HOUR, uuid4())
    assert schedules.last()["run_state"] == "running"
