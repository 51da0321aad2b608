"""One action at a time on one number at its provider: create, connect, log out, delete (evolution contract
10.3). The lock is a row of the database, so it holds between processes and machines.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from shared import clock, log
from shared.db import Calls
from shared.errors import Conflict, RoletaError

# Longer than all calls of one action together may take: two actions at once could destroy an instance.
LEASE_S = 180.0
WAIT_S = 20.0
POLL_S = 0.2
# Each holds a thread of its gateway, which has others to serve.
MOST_WAITING = 3

_waiting = threading.BoundedSemaphore(MOST_WAITING)


@contextmanager
def alone(db: Calls, instance_id: UUID, by: str, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Runs the block while nobody else acts on this number. Conflict when that takes more than `wait_s`, or
    when many wait here already."""
    token = _take(db, instance_id, by) or _wait(db, instance_id, by, wait_s)
    try:
        yield
    finally:
        try:
            db.call("messaging.give_lifecycle", p_instance_id=instance_id, p_token=token)
        except RoletaError as error:
            # It ends by itself; what the block did, or raised, matters more.
            log.get().warning("the lock is left to its lease", instance_id=str(instance_id), why=str(error))


def _take(db: Calls, instance_id: UUID, by: str) -> object:
    row = db.call_one("messaging.take_lifecycle", p_instance_id=instance_id, p_by=by, p_lease_s=LEASE_S)
    return row["take_lifecycle"]


def _wait(db: Calls, instance_id: UUID, by: str, wait_s: float) -> object:
    give_up_at = clock.monotonic() + wait_s
    pause = threading.Event()
    if wait_s > 0 and _waiting.acquire(blocking=False):
        try:
            while clock.monotonic() < give_up_at:
                pause.wait(POLL_S)
                if token := _take(db, instance_id, by):
                    return token
        finally:
            _waiting.release()
    raise Conflict("another pairing of this number is under way: try again in a moment")
