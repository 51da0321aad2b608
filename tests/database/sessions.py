"""Two or more real sessions at once: a call that still waits for a lock, and threads that start together.

What one session does is in tests/database/world.py.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from tests.database.world import Connection, World
from tests.waiting import eventually

T = TypeVar("T")
WAIT_S = 20.0


class Waiting(Generic[T]):
    """A call of one session that another session's lock keeps waiting, proven by pg_stat_activity."""

    def __init__(self, session: World, watcher: World, call: Callable[[], T]) -> None:
        self._answer: Future[T] = Future()
        self._backend = session.connection.info.backend_pid
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()
        eventually(
            lambda: self._answer.done() or _waits_for_lock(watcher, self._backend),
            WAIT_S,
            "the second session to wait for a lock (or to end)",
        )

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._answer.set_result(call())
        except BaseException as error:
            self._answer.set_exception(error)

    @property
    def is_waiting(self) -> bool:
        """Whether it has not answered yet."""
        return not self._answer.done()

    def now_waits_for(self, watcher: World, other: World) -> None:
        """Returns once the call waits for a lock of that other session (or has ended)."""
        blocked = "select %s = any(pg_blocking_pids(%s))"
        pids = (other.connection.info.backend_pid, self._backend)
        eventually(lambda: self._answer.done() or watcher.value(blocked, *pids), WAIT_S, "the other wait")

    def result(self) -> T:
        """What the call answers, or raises, once the lock is free."""
        return self._answer.result(WAIT_S)


def _waits_for_lock(watcher: World, backend: int) -> bool:
    return bool(
        watcher.value("select wait_event_type = 'Lock' from pg_stat_activity where pid = %s", backend)
    )


def all_at_once(sessions: Sequence[Connection], act: Callable[[World, int], T]) -> list[T]:
    """act(world, index) in a thread for each session, released together; their answers in order, or the
    first error."""
    gate = threading.Barrier(len(sessions))

    def run(index: int) -> T:
        world = World(sessions[index])
        gate.wait(WAIT_S)
        return act(world, index)

    with ThreadPoolExecutor(len(sessions)) as pool:
        return list(pool.map(run, range(len(sessions))))
